"""Running statistics of observations and returns, and reward clipping."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import Bound, Limit, check_numbers
from rl_jax.experience.scaling.by_part import map_normalized, map_statistics, moments_of
from rl_jax.experience.transform import Transform
from rl_jax.ops import any_true, two_sum
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import NotNegative, Share

#: Numbers beyond this count as errors of a simulator, not as data: float32 is coarser than 65,000 there, and one of them would
#: outweigh all other data.
ABSURD = 1e12

#: Items from which on running statistics gather what rounding leaves out.
LONG = 2.0**24


def plausible(x: jax.Array) -> jax.Array:
    """Where an array is a number, and neither infinite nor beyond :data:`ABSURD`."""
    return jnp.abs(x.astype(jnp.float32)) <= ABSURD


@struct.dataclass
class RunningMoments:
    """Mean and variance of all items so far, merged batch by batch (Chan, Golub & LeVeque 1979).

    Elements that are not finite or beyond :data:`ABSURD` are left out, and do not count. One bad number would otherwise stay in
    the statistics for ever.

    Every item weighs the same, however long the run is. In ``float32`` alone the count would stop at 2^24 when one item comes at a
    time, and a mean would no longer move where a step towards a batch is less than half its last bit: after 2^24 items of mean 100
    and deviation 1, in batches of 64, nothing moves it. What rounding leaves out is therefore gathered in ``rest`` and added again:
    of the count always, which is exact to 2^48; of mean and variance from :data:`LONG` items on, so that shorter runs are what
    ``float32`` alone makes of them, up to last bits. Then a mean of 100 and deviation 1 is within 1e-5 of ``float64`` (one last bit).

    Attributes:
        mean, var: of each element, ``float32``.
        count: of items, ``float32``, one for all elements: a batch counts as many items as its best element has.
        rest: what rounding has left out of the three.
    """

    mean: jax.Array
    var: jax.Array
    count: jax.Array
    rest: tuple[jax.Array, jax.Array, jax.Array]

    @classmethod
    def of(cls, mean: jax.Array, var: jax.Array, count: Any) -> "RunningMoments":
        """Known moments of ``count`` items."""
        mean, var, count = (jnp.asarray(x, jnp.float32) for x in (mean, var, count))
        return cls(mean, var, count, (jnp.zeros_like(mean), jnp.zeros_like(var), jnp.zeros_like(count)))

    @classmethod
    def zero(cls, shape: tuple[int, ...] = ()) -> "RunningMoments":
        """No items yet: mean 0, variance 1, of elements of ``shape``."""
        return cls.of(jnp.zeros(shape, jnp.float32), jnp.ones(shape, jnp.float32), 0.0)

    def merge(self, batch: jax.Array) -> "RunningMoments":
        """Moments after a batch ``[B, ...]`` (population variance)."""
        if not batch.shape[0]:
            return self
        good = plausible(batch)
        # Nothing is left out of nearly all batches, and counting what is takes as long as the rest.
        n, instead, missing = jax.lax.cond(
            any_true(~good),
            lambda: self._of_good(batch, good),
            lambda: (jnp.float32(batch.shape[0]), self.mean, jnp.zeros_like(self.var)),
        )
        batch = jnp.where(good, batch.astype(jnp.float32), instead)
        mean, var = jnp.mean(batch, axis=0), jnp.var(batch, axis=0)
        share = n / jnp.maximum(self.count + n, 1.0)
        shift = mean - self.mean
        merged = self.var * (1 - share) + var * share + shift**2 * share * (1 - share)
        merged = merged + missing * share
        return self.rounded_to(self.mean + shift * share, merged, n, share, mean, var + missing)

    def rounded_to(
        self, mean: jax.Array, var: jax.Array, n: jax.Array, share: jax.Array, new_mean: jax.Array, new_var: jax.Array
    ) -> "RunningMoments":
        """Moments after ``n`` more items of ``new_mean`` and ``new_var``, which weigh ``share``.

        ``mean`` and ``var`` are what ``float32`` made of them. From :data:`LONG` items on they are made anew with ``rest``.
        """
        rest_mean, rest_var, rest_count = self.rest
        count, rest_count = two_sum(self.count, n + rest_count)
        long = count >= LONG
        # The moments may be batched by now: each batch element has its own compensation.
        short = (mean, jnp.broadcast_to(rest_mean, mean.shape)), (var, jnp.broadcast_to(rest_var, var.shape))

        def compensated() -> tuple[tuple[jax.Array, jax.Array], ...]:
            shift = new_mean - self.mean - rest_mean
            step = (new_var - self.var - rest_var + shift**2 * (1 - share)) * share
            sums = two_sum(self.mean, rest_mean + shift * share), two_sum(self.var, rest_var + step)
            return jax.tree.map(lambda a, b: jnp.where(long, a, b), sums, short)

        # A branch, since fusing this with the sums of shorter runs would change their last bits.
        (mean, rest_mean), (var, rest_var) = jax.lax.cond(any_true(long), compensated, lambda: short)
        return RunningMoments(mean, var, count, (rest_mean, rest_var, rest_count))

    def _of_good(self, batch: jax.Array, good: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The number of items, the value that replaces those left out, and the variance that is then missing.

        Both are of the batch's good items, or of the state where there are none.
        """
        n = jnp.sum(good, axis=0, dtype=jnp.int32).astype(jnp.float32)
        mean = jnp.sum(jnp.where(good, batch, 0), axis=0, dtype=jnp.float32) / jnp.maximum(n, 1.0)
        var = jnp.sum(jnp.where(good, batch - mean, 0.0) ** 2, axis=0) / jnp.maximum(n, 1.0)
        missing = 1 - n / batch.shape[0]
        return jnp.max(n), jnp.where(n > 0, mean, self.mean), jnp.where(n > 0, var, self.var) * missing

    def standardize(self, x: jax.Array, clip: Any, epsilon: Any) -> jax.Array:
        """``clip((x - mean) / std)`` of items ``[..., shape]``; ``epsilon`` is added to the variance."""
        return jnp.clip((x.astype(jnp.float32) - self.mean) * jax.lax.rsqrt(self.var + epsilon), -clip, clip)


@struct.dataclass
class NormalizeObs(Transform):
    """Shows the policy ``clip((obs - mean) / std)`` with statistics of everything observed *before* this rollout.

    The statistics are frozen while a rollout is collected and while it is learned from, so that the probability ratio of the
    first epoch is exactly one; they take in the rollout's raw observations afterwards. They are part of the training state,
    hence of every checkpoint, and evaluation uses them without updating them. Discrete observations pass unchanged. Of a dictionary,
    each part of floats has statistics of its own, and all others pass unchanged, the action mask among them.

    Attributes:
        clip: bound of the normalised values, in standard deviations.
        epsilon: added to the variance.
    """

    clip: Any = 10.0
    epsilon: Any = 1e-8

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_numbers("normalize_obs's", self, clip=Bound, epsilon=NotNegative)
        return moments_of(spec.obs_space, RunningMoments.zero)

    def observe(self, state: PyTree, obs: PyTree) -> PyTree:
        return map_normalized(lambda moments, x: moments.standardize(x, self.clip, self.epsilon), state, obs)

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        if not jax.tree.leaves(state):
            return state, rollout, {}
        raw = rollout.obs
        last = rollout.last.replace(obs=self.observe(state, rollout.last.obs))  # type: ignore[attr-defined]
        rollout = rollout.replace(  # type: ignore[attr-defined]
            obs=self.observe(state, raw), next_obs=self.observe(state, rollout.next_obs), last=last
        )

        def merged(moments: RunningMoments, x: jax.Array) -> RunningMoments:
            return moments.merge(x.reshape(-1, *moments.mean.shape))

        return map_statistics(merged, state, raw), rollout, {}


@struct.dataclass
class RewardScale:
    """State of :class:`NormalizeReward`: running discounted return per environment ``[N]``, and its moments."""

    trace: jax.Array
    moments: RunningMoments


@struct.dataclass
class NormalizeReward(Transform):
    """Divides rewards by the running standard deviation of the discounted return, and clips; the mean is not subtracted.

    Engstrom et al. 2020, "Implementation Matters in Deep Policy Gradients", section 3, item 3. The statistics include the
    rollout that they scale, so that the first one is scaled too.

    Attributes:
        gamma: discount of the running return.
        clip: bound of the scaled reward.
        epsilon: added to the variance.
    """

    gamma: Any = 0.99
    clip: Any = 10.0
    epsilon: Any = 1e-8

    def init(self, key: Key, spec: Spec) -> RewardScale:
        check_numbers("normalize_reward's", self, gamma=Share, clip=Bound, epsilon=NotNegative)
        return RewardScale(jnp.zeros((spec.num_envs,), jnp.float32), RunningMoments.zero())

    def update(self, state: RewardScale, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        def step(trace: jax.Array, x: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            reward, done = x
            trace = self.gamma * trace + reward
            return jnp.where(done, 0.0, trace), trace

        trace, returns = jax.lax.scan(step, state.trace, (rollout.reward, rollout.done), unroll=8)
        moments = state.moments.merge(returns.reshape(-1))
        scale = jax.lax.rsqrt(moments.var + self.epsilon)
        reward = jnp.clip(rollout.reward * scale, -self.clip, self.clip)
        return RewardScale(trace, moments), rollout.replace(reward=reward), {"reward/scale": scale}  # type: ignore[attr-defined]


@struct.dataclass
class ClipReward(Transform):
    """Clips rewards to ``[low, high]``."""

    low: Any = -1.0
    high: Any = 1.0

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_numbers("clip_reward's", self, low=Limit, high=Limit)
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        return state, rollout.replace(reward=jnp.clip(rollout.reward, self.low, self.high)), {}  # type: ignore[attr-defined]


def normalize_obs(clip: Any = 10.0) -> NormalizeObs:
    """Normalise observations by running statistics; see :class:`NormalizeObs`."""
    return NormalizeObs(clip)


def normalize_reward(gamma: Any = 0.99, clip: Any = 10.0) -> NormalizeReward:
    """Scale rewards by the running spread of returns; see :class:`NormalizeReward`."""
    return NormalizeReward(gamma, clip)


def clip_reward(low: Any = -1.0, high: Any = 1.0) -> ClipReward:
    """Clip rewards; see :class:`ClipReward`."""
    return ClipReward(low, high)
