"""Networks of goal-conditioned agents: twin values, representations of subgoals, and policies that choose these."""

import math
from dataclasses import replace
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.errors import UnsupportedSpace
from rl_jax.networks.critics import Body, StateValue
from rl_jax.networks.distributions import DiagonalGaussian
from rl_jax.networks.torsos import Dense
from rl_jax.spaces import Box, Dict, describe, seen_by_actor, seen_by_critic
from rl_jax.types import Spec


def check_goal(agent: str, spec: Spec) -> None:
    """Raise :class:`UnsupportedSpace` unless observations are dictionaries with a goal."""
    if not isinstance(spec.obs_space, Dict) or "goal" not in spec.obs_space:
        raise UnsupportedSpace(
            f"{agent} reads the part 'goal' of observations, which this environment's {describe(spec.obs_space)} lack; choose another "
            "agent (see 'rl-jax list') or another environment, such as point/medium"
        )


def with_latent_goal(spec: Spec, dim: int) -> Spec:
    """The spaces as if goals were vectors ``[dim]``."""
    parts = dict(spec.obs_space.parts)  # type: ignore[union-attr]
    return replace(spec, obs_space=Dict({**parts, "goal": Box.of(-np.inf, np.inf, (dim,))}))


def scaled_to_sphere(x: jax.Array) -> jax.Array:
    """Vectors ``[..., D]`` at length ``sqrt(D)``; differentiable also at 0, which stays there."""
    return x * (math.sqrt(x.shape[-1]) * jax.lax.rsqrt(jnp.sum(x**2, axis=-1, keepdims=True) + 1e-12))


class GoalValues(nn.Module):
    """Observations ``[B, ...]`` with a goal to values ``[members, B]``, by networks side by side.

    Attributes:
        body: of each.
        members: how many.
    """

    body: nn.Module
    members: int = 2

    @nn.compact
    def __call__(self, obs: Any) -> jax.Array:
        ensemble = nn.vmap(
            StateValue, variable_axes={"params": 0}, split_rngs={"params": True}, in_axes=0, axis_size=self.members
        )
        # A copy for every member: one product of all members' first layers would have to be transposed for the second.
        return ensemble(self.body)(jax.tree.map(lambda x: jnp.broadcast_to(x, (self.members, *x.shape)), obs))


class RepresentedGoalValues(nn.Module):
    """``V(s, phi(s, g))``, values ``[members, B]``: they see of the goal a vector ``phi`` of length ``sqrt(dim)``, from where one is.

    Park et al. 2023, arXiv 2307.11949. ``represent`` gives ``phi`` ``[B, dim]``.

    Attributes:
        encoder: observations with their goal to features.
        values: observations, with ``phi`` for the goal, to values.
        dim: of ``phi``.
    """

    encoder: nn.Module
    values: nn.Module
    dim: int

    def setup(self) -> None:
        self.last = Dense(self.dim, 1.0)

    def represent(self, obs: Any) -> jax.Array:
        """``phi`` ``[B, dim]`` of the goals in ``obs``, seen from there."""
        return scaled_to_sphere(self.last(self.encoder(obs)))

    def __call__(self, obs: Any) -> jax.Array:
        return self.values({**obs, "goal": self.represent(obs)})


class SubgoalPolicy(nn.Module):
    """Observations ``[B, ...]`` with their goal to a Gaussian over subgoals' representations ``[B, dim]``, of deviation 1."""

    body: nn.Module
    dim: int

    @nn.compact
    def __call__(self, obs: Any) -> DiagonalGaussian:
        mean = Dense(self.dim, 0.01)(self.body(obs))
        return DiagonalGaussian(mean, jnp.zeros_like(mean))


def goal_values(spec: Spec, hidden: tuple[int, ...], activation: str, dtype: str, layer_norm: bool) -> GoalValues:
    """The usual values of observations with goals."""
    return GoalValues(Body(seen_by_critic(spec.obs_space), hidden, activation, dtype, layer_norm))


def represented_goal_values(
    spec: Spec, dim: int, hidden: tuple[int, ...], activation: str, dtype: str, layer_norm: bool
) -> RepresentedGoalValues:
    """The usual values by representations of goals."""
    encoder = Body(seen_by_critic(spec.obs_space), hidden, activation, dtype, layer_norm)
    return RepresentedGoalValues(encoder, goal_values(with_latent_goal(spec, dim), hidden, activation, dtype, layer_norm), dim)


def subgoal_policy(spec: Spec, dim: int, hidden: tuple[int, ...], activation: str, dtype: str) -> SubgoalPolicy:
    """The usual policy that chooses subgoals."""
    return SubgoalPolicy(Body(seen_by_actor(spec.obs_space), hidden, activation, dtype), dim)
