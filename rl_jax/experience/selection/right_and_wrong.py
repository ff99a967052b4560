"""One right and one wrong answer of each group."""

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_argument
from rl_jax.experience.advantage.group import check_groups
from rl_jax.experience.selection.subsets import keep_steps
from rl_jax.experience.transform import Transform
from rl_jax.ops.groups import grouped, ungrouped
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Range


def repetition(pass_rate: jax.Array, repeats: tuple[tuple[float, float], ...]) -> jax.Array:
    """How often a prompt counts, of its pass rate ``[...]``: the second number of the first pair ``(bound, times)`` whose bound
    is above it.

    Beyond the last bound: never.
    """
    times = jnp.zeros_like(pass_rate)
    for bound, count in reversed(repeats):
        times = jnp.where(pass_rate < bound, count, times)
    return times


@struct.dataclass
class RightAndWrong(Transform):
    """Learns from one right and one wrong column of each group, drawn at random; from a group that has only one kind, nothing.

    ``weight`` is zero at all other columns, multiplied by the repetition of the group, and brought back to mean 1. Right is an
    outcome above 1/2. Lyu et al. 2025, "Exploring the Limit of Outcome Reward for Learning Mathematical Reasoning" (OREAL),
    section 4.1 and its published code. There a prompt is repeated in the data by the pass rate of the first policy; here by that
    of its group, which is how it stands today.

    Needs ``extras`` ``outcome``, ``pass_rate`` and ``weight``.

    Attributes:
        size: ``G``.
        repeats: ``(bound, times)`` by rising bounds: a group whose pass rate lies below the bound counts so often. In the
            published code 6 below 0.2, 4 below 0.6, 2 below 0.8, and prompts above are left out. ``()``: all alike.
    """

    size: int = struct.field(pytree_node=False, default=8)
    repeats: tuple[tuple[float, float], ...] = struct.field(pytree_node=False, default=((0.2, 6.0), (0.6, 4.0), (0.8, 2.0)))

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_groups(spec, "right_and_wrong", self.size)
        for bound, times in self.repeats:
            check_argument("right_and_wrong's bounds", bound, Annotated[float, Range(0, 1.01)])
            check_argument("right_and_wrong's repetitions", times, Annotated[float, Range(0, 1000)])
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        right = rollout.extras["outcome"][0] > 0.5
        chosen = one_of_each(context.key, right, self.size)
        times = repetition(rollout.extras["pass_rate"][0], self.repeats) if self.repeats else 1.0
        kept = keep_steps(rollout, jnp.where(chosen, times, 0.0))
        return state, kept, {"selection/columns": jnp.mean(chosen.astype(jnp.float32))}


def one_of_each(key: Key, right: jax.Array, size: int) -> jax.Array:
    """Which columns ``bool [N]``: a random one of both kinds in each group of ``size`` that has both."""
    kinds = grouped(right, size)
    draw = jax.random.uniform(key, kinds.shape)

    def one(among: jax.Array) -> jax.Array:
        best = jnp.argmax(jnp.where(among, draw, -1.0), axis=-1)
        return among & (jnp.arange(size) == best[..., None])

    mixed = jnp.any(kinds, axis=-1, keepdims=True) & ~jnp.all(kinds, axis=-1, keepdims=True)
    return ungrouped(mixed & (one(kinds) | one(~kinds)))


def right_and_wrong(size: int = 8, **options: Any) -> RightAndWrong:
    """Learn from one right and one wrong column of each group; see :class:`RightAndWrong`."""
    return RightAndWrong(size, **options)
