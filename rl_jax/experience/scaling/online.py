"""Running statistics for one stream of experience: an observation counts before it is shown, a reward before it is learned from.

What :mod:`rl_jax.experience.scaling.normalize` does for rollouts of many environments leaves out the present ones, and has nothing to
divide by when a stream begins: one observation has no spread. Here it is as in streaming learning.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.errors import RLJaxError
from rl_jax.experience.scaling.by_part import map_normalized, map_statistics, moments_of
from rl_jax.experience.scaling.normalize import RunningMoments, plausible
from rl_jax.experience.transform import Transform
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import NotNegative, Share


def push(moments: RunningMoments, item: jax.Array) -> RunningMoments:
    """Moments after one more item (Welford 1962); all items weigh the same.

    Implausible elements are left out, as in :class:`~rl_jax.experience.scaling.normalize.RunningMoments`.
    """
    good = plausible(item)
    n = jnp.max(good).astype(jnp.float32)
    item = jnp.where(good, item.astype(jnp.float32), moments.mean)
    shift = item - moments.mean
    share = jnp.where(good, 1.0 / jnp.maximum(moments.count + n, 1.0), 0.0)
    var = (moments.var + shift**2 * share) * (1.0 - share)
    return moments.rounded_to(moments.mean + shift * share, var, n, share, item, jnp.zeros_like(item))


def spread(moments: RunningMoments, epsilon: Any) -> jax.Array:
    """The standard deviation (that of a sample, divided by ``count - 1``); 1 until there are two items."""
    sample = moments.var * moments.count / jnp.maximum(moments.count - 1.0, 1.0)
    return jnp.sqrt(jnp.where(moments.count < 2.0, 1.0, sample) + epsilon)


def check_stream(rollout: Rollout, name: str) -> None:
    """Raise :class:`RLJaxError` unless the rollout is one step of one environment."""
    if rollout.reward.shape != (1, 1):
        length, envs = rollout.reward.shape
        raise RLJaxError(
            f"{name} updates its statistics before each step, which one rollout of {length} steps of {envs} environments cannot: "
            "use num_envs=1 and rollout_length=1, or rl_jax.experience.normalize_obs and normalize_reward"
        )


@struct.dataclass
class NormalizeObsOnline(Transform):
    """Shows ``(obs - mean) / std`` with statistics of all observations up to *and including* this one.

    Elsayed et al. 2024, "Streaming Deep Reinforcement Learning Finally Works" (arXiv 2410.14606), section 3, as in its published code:
    the last observation of an episode counts too, and so does the first of the next. An item that is counted cannot lie further than
    ``(n - 1) / sqrt(n)`` deviations from the mean of ``n``; one that is left out is clipped to ``sqrt(n)``. An evaluation counts each
    observation for itself, and keeps nothing. Discrete observations pass unchanged.

    Attributes:
        epsilon: added to the variance.
    """

    epsilon: Any = 1e-8

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_numbers("normalize_obs_online's", self, epsilon=NotNegative)
        return moments_of(spec.obs_space, RunningMoments.zero)

    def observe(self, state: PyTree, obs: PyTree) -> PyTree:
        def counted(moments: RunningMoments, x: jax.Array) -> jax.Array:
            moments = push(moments, x)
            most = jnp.sqrt(moments.count)  # of what is counted, nothing is beyond it
            return jnp.clip((x.astype(jnp.float32) - moments.mean) / spread(moments, self.epsilon), -most, most)

        return map_normalized(counted, state, obs)

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        check_stream(rollout, "normalize_obs_online")
        if not jax.tree.leaves(state):
            return state, rollout, {}

        def count(moments: RunningMoments, x: jax.Array) -> RunningMoments:
            return push(moments, x[0, 0])

        moments = map_statistics(count, state, rollout.obs)
        final_moments = map_statistics(count, moments, rollout.next_obs)
        # If the episode goes on, the next step counts that observation.
        next_state = jax.tree.map(lambda a, b: jnp.where(rollout.done[0, 0], a, b), final_moments, moments)
        last = rollout.last.replace(obs=self.observe(next_state, rollout.last.obs))  # type: ignore[attr-defined]
        obs, next_obs = self.observe(state, rollout.obs), self.observe(moments, rollout.next_obs)
        return next_state, rollout.replace(obs=obs, next_obs=next_obs, last=last), {}  # type: ignore[attr-defined]


class RewardTrace(NamedTuple):
    """State of :class:`NormalizeRewardOnline`: the running discounted return, and its moments."""

    trace: jax.Array
    moments: RunningMoments


@struct.dataclass
class NormalizeRewardOnline(Transform):
    """Divides rewards by the standard deviation of ``u``, where ``u <- gamma (1 - done) u + reward``; nothing is subtracted or clipped.

    Elsayed et al. 2024 (see :class:`NormalizeObsOnline`). As there, ``u`` starts afresh *with* the step that ends an episode, not
    after it. The statistics include the step that they scale.

    Attributes:
        gamma: discount of the running return.
        epsilon: added to the variance.
    """

    gamma: Any = 0.99
    epsilon: Any = 1e-8

    def init(self, key: Key, spec: Spec) -> RewardTrace:
        check_numbers("normalize_reward_online's", self, gamma=Share, epsilon=NotNegative)
        return RewardTrace(jnp.zeros((), jnp.float32), RunningMoments.zero())

    def update(self, state: RewardTrace, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        check_stream(rollout, "normalize_reward_online")
        carried = jnp.where(rollout.done[0, 0], 0.0, self.gamma * state.trace)
        trace = (carried + rollout.reward[0, 0]).astype(jnp.float32)
        moments = push(state.moments, trace)
        scale = 1.0 / spread(moments, self.epsilon)
        rollout = rollout.replace(reward=rollout.reward * scale)  # type: ignore[attr-defined]
        return RewardTrace(trace, moments), rollout, {"reward/scale": scale}


def normalize_obs_online() -> NormalizeObsOnline:
    """Normalise observations as a stream does; see :class:`NormalizeObsOnline`."""
    return NormalizeObsOnline()


def normalize_reward_online(gamma: Any = 0.99) -> NormalizeRewardOnline:
    """Scale rewards as a stream does; see :class:`NormalizeRewardOnline`."""
    return NormalizeRewardOnline(gamma)
