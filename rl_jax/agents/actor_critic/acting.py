"""How actor-critics act: uniformly at random at first, then as their policy does; and as what cloned recorded actions."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from rl_jax.agents.base import AgentBase
from rl_jax.networks.distributions import Categorical, masked
from rl_jax.networks.squashed import TanhGaussian
from rl_jax.ops import batch_parallel
from rl_jax.spaces import Box, without_privileged
from rl_jax.types import Context, Key, PyTree


class RandomAtFirst(AgentBase):
    """What actor-critics do alike whose first ``random_steps`` environment steps are uniformly random, and that remember nothing."""

    random_steps: Any

    def prepare(self, state: Any, context: Context) -> Any:
        """Whether this rollout is random."""
        return state.replace(random=context.steps < self.random_steps)


class ClonesActions(AgentBase):
    """What agents do alike whose policy makes recorded actions likely: a distribution that need not keep within a box."""

    actor: Any
    space: Any

    def actor_params(self, state: Any) -> PyTree:
        """The parameters of the actor alone."""
        return state.params["actor"]

    def policy(self, params: PyTree, obs: PyTree) -> Any:
        """The policy of ``params`` (the actor's) on ``obs`` ``[B, ...]``."""
        return masked(batch_parallel(self.actor.apply, params, (without_privileged(obs),), (0,), 0), obs)

    def act(
        self, state: Any, carry: PyTree, obs: PyTree, first: jax.Array, key: Key, greedy: bool = False
    ) -> tuple[PyTree, jax.Array, dict[str, jax.Array]]:
        """Actions ``[N, ...]``; in a box clipped to it."""
        policy = self.policy(self.actor_params(state), obs)
        action = policy.mode() if greedy else policy.sample(key)
        return carry, jnp.clip(action, -1.0, 1.0) if isinstance(self.space, Box) else action, {}


def mode(policy: Categorical | TanhGaussian) -> tuple[jax.Array, jax.Array]:
    """The likeliest actions ``[N, ...]`` of a policy, and their log-probabilities ``[N]``."""
    action = policy.mode()
    return action, policy.log_prob(action)


def explore(policy: Categorical | TanhGaussian, random: jax.Array, key: Key) -> tuple[jax.Array, jax.Array]:
    """Actions ``[N, ...]`` of a policy, or uniform ones if ``random``, and their log-probabilities ``[N]``.

    Among discrete actions, uniform is over those that the policy does not rule out; in a box it is over ``[-1, 1]``.
    """
    if isinstance(policy, Categorical):
        policy = Categorical(jnp.where(random & (policy.logits > -jnp.inf), 0.0, policy.logits))
        action = policy.sample(key)
        return action, policy.log_prob(action)
    noise = jax.random.normal(key, policy.mean.shape)
    u = policy.unsquashed(noise)
    # Only one of the two is used, so they may share their random numbers.
    action = jnp.where(random, uniform_of_normal(noise), jnp.tanh(u))
    uniform = -math.log(2.0) * math.prod(policy.mean.shape[1:])
    return action, jnp.where(random, uniform, policy.log_prob_unsquashed(u))


def explore_around(action: jax.Array, noise: Any, random: jax.Array, key: Key) -> jax.Array:
    """Actions ``[N, ...]`` with Gaussian noise of standard deviation ``noise``, within ``[-1, 1]``, or uniform ones if ``random``."""
    normal = jax.random.normal(key, action.shape)
    noisy = jnp.clip(action + noise * normal, -1.0, 1.0)
    # Only one of the two is used, so they may share their random numbers.
    return jnp.where(random, uniform_of_normal(normal), noisy)


def uniform_of_normal(noise: jax.Array) -> jax.Array:
    """Standard normal numbers to numbers that are uniform in ``[-1, 1]``: their own distribution function, scaled."""
    return jax.lax.erf(noise * math.sqrt(0.5))
