"""Selective sample replay of VL-Rethinker: batches are filled up with columns that had an advantage."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience.advantage.group import check_whole
from rl_jax.experience.selection import advantage_buffer as buffers
from rl_jax.experience.selection.columns import columns_of, put_columns, take_columns
from rl_jax.experience.selection.subsets import keep_steps
from rl_jax.experience.transform import Transform
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import NotNegative, Share


@struct.dataclass
class SelectiveReplay(Transform):
    """A part of the rollout's columns is drawn anew, by ``|A|^alpha``, and the rest is not learned from.

    Wang et al. 2025, "VL-Rethinker", arXiv:2504.08837, algorithm 1, as its code has it (``replay_buffer.py`` of
    TIGER-AI-Lab/VL-Rethinker): of the fresh columns with an advantage as many are drawn, with replacement, as there are, at most
    half the rollout; what lacks to that half comes from a buffer of the newest columns with an advantage, these among them. The old
    log-probabilities stay, and the clipped ratio answers for what has changed since. For after the advantages; needs ``extras``
    ``advantage`` and ``weight``.

    Not here: the code also offers right answers without an advantage, whose probability of being drawn is zero.

    Attributes:
        alpha: exponent; 0: uniform.
        share: of the columns that are learned from; as many are kept.
    """

    alpha: Any = 1.0
    share: float = struct.field(pytree_node=False, default=0.5)

    def init(self, key: Key, spec: Spec) -> buffers.AdvantageBuffer:
        check_whole(spec, "selective_replay")
        check_numbers("selective_replay's", self, alpha=NotNegative, share=Share)
        return buffers.empty_buffer(spec.rollout, self._number(spec.num_envs))

    def _number(self, columns: int) -> int:
        return max(1, round(self.share * columns))

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        strength = buffers.strength_of(rollout)
        state = buffers.push(state, rollout, strength)
        columns = strength.shape[0]
        number = self._number(columns)
        key_fresh, key_old = jax.random.split(context.key)
        fresh = take_columns(columns_of(rollout, buffers.KEEP), buffers.draw_index(key_fresh, strength, self.alpha, columns))
        old = buffers.draw(key_old, state, self.alpha, columns)
        active = jnp.minimum(jnp.sum(strength > 0), number)
        place = jnp.arange(columns)
        rollout = put_columns(put_columns(rollout, fresh, place < active), old, place >= active)
        used = (place < number) & jnp.any(state.strength > 0)
        metrics = {"replay/share": 1.0 - active / number}
        return state, keep_steps(rollout, used), metrics


def selective_replay(alpha: Any = 1.0, share: float = 0.5) -> SelectiveReplay:
    """Fill batches with columns that had an advantage; see :class:`SelectiveReplay`."""
    return SelectiveReplay(alpha, share)
