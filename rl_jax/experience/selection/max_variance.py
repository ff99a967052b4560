"""Down-sampling to the columns whose advantages differ most."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience.advantage.group import check_groups, check_whole
from rl_jax.experience.selection.subsets import keep_steps, number_of, scheduled
from rl_jax.experience.transform import Transform
from rl_jax.ops.groups import grouped, ungrouped
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Share


def most_spread(x: jax.Array, number: jax.Array) -> jax.Array:
    """The ``number`` of items of largest variance, as a mask ``[N]`` of ``x`` ``[N]``.

    They are the ``i`` largest and the ``number - i`` smallest for some ``i`` (Xu et al. 2025, "Not All Rollouts are Useful"), so
    sums of the sorted items from either end find them. Of equal items the first count as the larger.
    """
    items = x.shape[0]
    order = jnp.argsort(-x, stable=True)
    down = (x - jnp.mean(x))[order]
    sums = jnp.concatenate([jnp.zeros((2, 1)), jnp.cumsum(jnp.stack([down, down**2]), axis=1)], axis=1)
    largest = jnp.arange(items + 1)
    rest = jnp.clip(items - number + largest, 0, items)
    total, squares = sums[:, largest] + sums[:, -1:] - sums[:, rest]
    variance = squares / number - (total / number) ** 2
    best = jnp.argmax(jnp.where(largest <= number, variance, -jnp.inf))
    place = jnp.argsort(order)
    return (place < best) | (place >= items - number + best)


@struct.dataclass
class MaxVariance(Transform):
    """Learns from the share of the columns whose advantages have the largest variance.

    Over the whole batch, advantages as they are: the upper level of D3S (Wang et al. 2026, "Learning More with Less",
    arXiv:2509.22115, section 3.1, across groups). Within each group, advantages brought to mean 0 and standard deviation 1 over
    what was chosen: PODS (Xu et al. 2025, arXiv:2504.13818), whose outcomes differ most where their advantages do. Needs ``extras``
    ``advantage`` and ``weight``.

    Attributes:
        first, last: the share at the start and at the end of training, linear in between.
        group: columns of a group to choose in; ``None``: in the whole batch.
        renormalize: standardise the advantages of the chosen within each group.
    """

    first: Any = 0.5
    last: Any = 0.5
    group: int | None = struct.field(pytree_node=False, default=None)
    renormalize: bool = struct.field(pytree_node=False, default=False)

    def init(self, key: Key, spec: Spec) -> PyTree:
        if self.group is None:
            check_whole(spec, "max_variance")
        else:
            check_groups(spec, "max_variance", self.group)
        check_numbers("max_variance's", self, first=Share, last=Share)
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        size = self.group or rollout.reward.shape[1]
        share = scheduled(self.first, self.last, context)
        advantage = grouped(rollout.extras["advantage"][0], size)
        chosen = jax.vmap(most_spread, (0, None))(advantage, number_of(share, size))
        if self.renormalize:
            mean = jnp.mean(advantage, -1, keepdims=True, where=chosen)
            spread = jnp.std(advantage, -1, keepdims=True, where=chosen)
            normal = ungrouped((advantage - mean) / (spread + 1e-6))
            rollout = rollout.with_extras(advantage=jnp.broadcast_to(normal, rollout.reward.shape))
        return state, keep_steps(rollout, ungrouped(chosen)), {}


def max_variance(first: Any = 0.5, last: Any = 0.5, group: int | None = None, renormalize: bool = False) -> MaxVariance:
    """Learn from the columns whose advantages differ most; see :class:`MaxVariance`."""
    return MaxVariance(first, last, group, renormalize)
