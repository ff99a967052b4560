"""The selective sample buffer of Skywork R1V2: earlier columns with an advantage stand in for those without."""

from typing import Any

import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience.advantage.group import check_whole
from rl_jax.experience.selection import advantage_buffer as buffers
from rl_jax.experience.selection.columns import put_columns
from rl_jax.experience.selection.subsets import keep_steps
from rl_jax.experience.transform import Transform
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Count, NotNegative


@struct.dataclass
class FillIdle(Transform):
    """Columns without an advantage are replaced by earlier ones that had one, drawn in proportion to ``|A|``.

    Wei et al. 2025, "Skywork R1V2", arXiv:2504.16656, section on the selective sample buffer: samples with an advantage are cached
    and put back, with weighted sampling, where groups are all right or all wrong. The paper says neither how many are cached nor
    how old they
    may be: here the newest ``slots``. Old log-probabilities stay. For after the advantages; needs ``extras`` ``advantage`` and
    ``weight``.

    Attributes:
        slots: columns that are kept.
        alpha: exponent of ``|A|``.
    """

    slots: int = struct.field(pytree_node=False, default=512)
    alpha: Any = 1.0

    def init(self, key: Key, spec: Spec) -> buffers.AdvantageBuffer:
        check_whole(spec, "fill_idle")
        check_numbers("fill_idle's", self, slots=Count, alpha=NotNegative)
        return buffers.empty_buffer(spec.rollout, self.slots)

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        strength = buffers.strength_of(rollout)
        idle = (strength == 0) & jnp.any(state.strength > 0)
        old = buffers.draw(context.key, state, self.alpha, strength.shape[0])
        mixed = put_columns(rollout, old, idle)
        return buffers.push(state, rollout, strength), keep_steps(mixed, jnp.ones_like(idle)), {"replay/share": jnp.mean(idle)}


def fill_idle(slots: int = 512, alpha: Any = 1.0) -> FillIdle:
    """Replace columns without an advantage by earlier ones with one; see :class:`FillIdle`."""
    return FillIdle(slots, alpha)
