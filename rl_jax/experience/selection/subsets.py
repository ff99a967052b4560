"""Learning from some of the columns: which carry a signal, or which the dice choose."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience.advantage.group import check_groups, check_whole
from rl_jax.experience.transform import Transform
from rl_jax.experience.weights import rescaled
from rl_jax.ops.arrays.largest import among_largest
from rl_jax.ops.groups import group_alike
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Share


def keep_steps(rollout: Rollout, mask: jax.Array) -> Rollout:
    """The rollout learned from only where ``mask`` (``[T, N]``, or ``[N]`` for whole columns) is true; weights have mean 1 again.

    A mask of numbers says how much instead. Needs ``extras["weight"]``.
    """
    return rollout.with_extras(weight=rescaled(rollout.extras["weight"] * mask))


def scheduled(first: Any, last: Any, context: Context) -> jax.Array:
    """``first`` at the start of training, ``last`` at its end, linear in between."""
    return (1.0 - context.progress) * first + context.progress * last


def number_of(share: jax.Array, total: jax.Array | int) -> jax.Array:
    """The share of a total as a count ``int32``, at least 1."""
    return jnp.maximum(jnp.round(share * total), 1.0).astype(jnp.int32)


@struct.dataclass
class DropUniform(Transform):
    """Nothing is learned from groups whose outcomes are all alike: their advantages are zero, and would only dilute the mean.

    The filter of DAPO (Yu et al. 2025, section 3.2) without its further sampling. Needs ``extras`` ``outcome`` and ``weight``.

    Attributes:
        size: columns of a group.
    """

    size: int = struct.field(pytree_node=False, default=8)

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_groups(spec, "drop_uniform", self.size)
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        return state, keep_steps(rollout, ~group_alike(rollout.extras["outcome"][0], self.size)), {}


@struct.dataclass
class RandomSubset(Transform):
    """A random share of the columns, or of the steps, is learned from, of those that are learned from at all.

    The control of every down-sampling. Needs ``extras["weight"]``.

    Attributes:
        first, last: the share at the start and at the end of training, linear in between.
        steps: whether it is one of steps.
    """

    first: Any = 0.5
    last: Any = 0.5
    steps: bool = struct.field(pytree_node=False, default=False)

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_whole(spec, "random_subset")
        check_numbers("random_subset's", self, first=Share, last=Share)
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        eligible = rollout.extras["weight"] > 0
        eligible = eligible if self.steps else jnp.any(eligible, axis=0)
        score = jnp.where(eligible, jax.random.uniform(context.key, eligible.shape), -1.0)
        number = number_of(scheduled(self.first, self.last, context), jnp.sum(eligible))
        return state, keep_steps(rollout, among_largest(score, number)), {}


@struct.dataclass
class CountUsed(Transform):
    """Reports what is learned from: of the columns the share with a weight and an advantage, and the number of such steps.

    For the end of a chain. Needs ``extras`` ``advantage`` and ``weight``.
    """

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        used = rollout.extras["weight"] > 0
        useful = jnp.any(used & (rollout.extras["advantage"] != 0), axis=0)
        metrics = {"used/columns": jnp.mean(useful.astype(jnp.float32)), "used/steps": jnp.sum(used).astype(jnp.float32)}
        return state, rollout, metrics


def drop_uniform(size: int = 8) -> DropUniform:
    """Learn from groups of mixed outcomes only; see :class:`DropUniform`."""
    return DropUniform(size)


def random_subset(first: Any = 0.5, last: Any = 0.5, steps: bool = False) -> RandomSubset:
    """Learn from a random share of the columns or steps; see :class:`RandomSubset`."""
    return RandomSubset(first, last, steps)


def count_used() -> CountUsed:
    """Report what is learned from; see :class:`CountUsed`."""
    return CountUsed()
