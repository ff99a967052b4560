"""Networks of off-policy actor-critics: feed-forward actors, and ensembles of action-value critics.

All take observations ``[B, ...]`` of their space: vectors pass as they are, image-like ones (three axes) through a CNN of
each network's own, and the parts of a dictionary likewise, joined. Critics read what is ``"privileged"``, actors do not.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rl_jax.errors import chosen
from rl_jax.networks.distributions import LOG_STD, Categorical, DiagonalGaussian
from rl_jax.networks.squashed import TanhGaussian
from rl_jax.networks.torsos import ACTIVATIONS, MLP, Dense, torso
from rl_jax.ops import within
from rl_jax.spaces import Discrete, ObsSpace, Space, seen_by_actor, seen_by_critic
from rl_jax.types import Spec


class Body(nn.Module):
    """Observations ``[B, ...]``, and actions ``[B, D]`` next to them if there are any, to features ``[B, hidden[-1]]``."""

    space: ObsSpace
    hidden: tuple[int, ...] = (256, 256)
    activation: str = "relu"
    dtype: str = "float32"
    layer_norm: bool = False

    @nn.compact
    def __call__(self, obs: Any, action: jax.Array | None = None) -> jax.Array:
        x = torso(self.space, dtype=self.dtype)(obs)
        if action is not None:
            x = jnp.concatenate([x, action], axis=-1)
        activation = chosen("activation", self.activation, ACTIVATIONS)
        return MLP(self.hidden, activation, self.layer_norm, self.dtype)(x)


class StochasticActor(nn.Module):
    """Observations to a policy: :class:`TanhGaussian` in a box, :class:`Categorical` among discrete actions."""

    body: nn.Module
    action_space: Space

    @nn.compact
    def __call__(self, obs: Any) -> Any:
        x = self.body(obs)
        # A small last layer: the first policy is the same everywhere, wide or uniform (Andrychowicz et al. 2021).
        if isinstance(self.action_space, Discrete):
            return Categorical(Dense(self.action_space.n, 0.01)(x))
        shape = self.action_space.shape
        mean, log_std = jnp.split(Dense(2 * math.prod(shape), 0.01)(x), 2, axis=-1)
        log_std = within(log_std, *LOG_STD)
        return TanhGaussian(mean.reshape(-1, *shape), log_std.reshape(-1, *shape), len(shape))


class ClonedActor(nn.Module):
    """Observations to a policy of which actions of the data have a likelihood: :class:`Categorical` among discrete actions.

    In a box a :class:`DiagonalGaussian` whose mean is a tanh, and whose deviation is one for all observations, as in the published
    code of IQL: no density is unbounded at the bounds, where data often lie.
    """

    body: nn.Module
    action_space: Space

    @nn.compact
    def __call__(self, obs: Any) -> Any:
        x = self.body(obs)
        if isinstance(self.action_space, Discrete):
            return Categorical(Dense(self.action_space.n, 0.01)(x))
        shape = self.action_space.shape
        mean = jnp.tanh(Dense(math.prod(shape), 0.01)(x)).reshape(-1, *shape)
        log_std = self.param("log_std", nn.initializers.zeros, shape, jnp.float32)
        return DiagonalGaussian(mean, jnp.broadcast_to(within(log_std, -5.0, 2.0), mean.shape), len(shape))


class StateValue(nn.Module):
    """Observations ``[B, ...]`` to values ``[B]``."""

    body: nn.Module

    @nn.compact
    def __call__(self, obs: Any) -> jax.Array:
        return Dense(1, 1.0)(self.body(obs))[..., 0]


class DeterministicActor(nn.Module):
    """Observations to one action ``[B, ...]`` within ``[-1, 1]``, by a tanh."""

    body: nn.Module
    action_space: Space

    @nn.compact
    def __call__(self, obs: Any) -> jax.Array:
        shape = self.action_space.shape
        return jnp.tanh(Dense(math.prod(shape), 0.01)(self.body(obs))).reshape(-1, *shape)


class _Critic(nn.Module):
    body: nn.Module
    outputs: int

    @nn.compact
    def __call__(self, obs: Any, action: jax.Array | None) -> jax.Array:
        return Dense(self.outputs, 1.0)(self.body(obs, action))


class Critics(nn.Module):
    """``members`` independent critics side by side, their parameters stacked along a leading axis.

    In a box ``(obs [B, ...], action [B, ...]) -> Q [members, B]``; among ``A`` discrete actions
    ``(obs [B, ...]) -> Q [members, B, A]``, of every action at once.
    """

    body: nn.Module
    action_space: Space
    members: int = 2

    @nn.compact
    def __call__(self, obs: Any, action: jax.Array | None = None) -> jax.Array:
        ensemble = nn.vmap(_Critic, variable_axes={"params": 0}, split_rngs={"params": True}, in_axes=0, axis_size=self.members)

        def each(x: jax.Array) -> jax.Array:
            # A copy for every member: one product of all members' first layers would have to be transposed for the second.
            return jnp.broadcast_to(x, (self.members, *x.shape))

        if isinstance(self.action_space, Discrete):
            return ensemble(self.body, self.action_space.n)(jax.tree.map(each, obs), None)
        assert action is not None, "critics of continuous actions need actions"
        return ensemble(self.body, 1)(jax.tree.map(each, obs), each(action.reshape(action.shape[0], -1)))[..., 0]


def stochastic_actor(
    spec: Spec, hidden: tuple[int, ...] = (256, 256), activation: str = "relu", dtype: str = "float32"
) -> StochasticActor:
    """The usual policy network of soft actor-critic."""
    return StochasticActor(Body(seen_by_actor(spec.obs_space), hidden, activation, dtype), spec.action_space)


def cloned_actor(
    spec: Spec, hidden: tuple[int, ...] = (256, 256), activation: str = "relu", dtype: str = "float32"
) -> ClonedActor:
    """The usual policy network of agents that make recorded actions likely."""
    return ClonedActor(Body(seen_by_actor(spec.obs_space), hidden, activation, dtype), spec.action_space)


def state_value(
    spec: Spec, hidden: tuple[int, ...] = (256, 256), activation: str = "relu", dtype: str = "float32", layer_norm: bool = False
) -> StateValue:
    """The usual network of a state's value."""
    return StateValue(Body(seen_by_critic(spec.obs_space), hidden, activation, dtype, layer_norm))


def deterministic_actor(
    spec: Spec, hidden: tuple[int, ...] = (256, 256), activation: str = "relu", dtype: str = "float32"
) -> DeterministicActor:
    """The usual policy network of DDPG and TD3."""
    return DeterministicActor(Body(seen_by_actor(spec.obs_space), hidden, activation, dtype), spec.action_space)


def critics(
    spec: Spec,
    hidden: tuple[int, ...] = (256, 256),
    activation: str = "relu",
    members: int = 2,
    dtype: str = "float32",
    layer_norm: bool = False,
) -> Critics:
    """The usual critics: each ``Q(s, a)`` in a box, each ``Q(s, .)`` among discrete actions; with layer normalisation if asked."""
    return Critics(Body(seen_by_critic(spec.obs_space), hidden, activation, dtype, layer_norm), spec.action_space, members)
