"""A first-in, first-out buffer of columns that carried a signal, drawn by the size of their advantages."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.experience.selection.columns import Columns, blank_columns, columns_of, ring_slots, take_columns, write_columns
from rl_jax.types import Key, Rollout

#: The extras that a column keeps once its advantage is known.
KEEP = ("log_prob", "own", "weight", "advantage")


@struct.dataclass
class AdvantageBuffer:
    """Columns ``[T, S, ...]``.

    Attributes:
        columns: with the extras of :data:`KEEP`.
        strength: ``|advantage|`` of each ``[S]``; 0: nothing is there.
        head: the slot that is written next.
    """

    columns: Columns
    strength: jax.Array
    head: jax.Array


def empty_buffer(rollout: Any, slots: int) -> AdvantageBuffer:
    """A buffer for ``slots`` columns of rollouts of these shapes."""
    return AdvantageBuffer(blank_columns(rollout, KEEP, slots), jnp.zeros((slots,), jnp.float32), jnp.zeros((), jnp.int32))


def strength_of(rollout: Rollout) -> jax.Array:
    """The largest ``|advantage|`` of each column at steps that are learned from, ``[N]``."""
    return jnp.max(jnp.abs(rollout.extras["advantage"]) * (rollout.extras["weight"] > 0), axis=0)


def push(buffer: AdvantageBuffer, rollout: Rollout, strength: jax.Array) -> AdvantageBuffer:
    """The columns with an advantage written over the oldest, in their order; of too many the last stay."""
    slots = buffer.strength.shape[0]
    active = strength > 0
    slot = ring_slots(active, buffer.head, slots)
    return AdvantageBuffer(
        columns=write_columns(buffer.columns, slot, columns_of(rollout, KEEP)),
        strength=buffer.strength.at[slot].set(strength, mode="drop"),
        head=(buffer.head + jnp.sum(active)) % slots,
    )


def draw_index(key: Key, strength: jax.Array, alpha: Any, number: int) -> jax.Array:
    """Numbers of columns ``[number]``, drawn with replacement in proportion to ``strength^alpha``; never those of strength 0."""
    logits = jnp.where(strength > 0, alpha * jnp.log(jnp.where(strength > 0, strength, 1.0)), -jnp.inf)
    return jax.random.categorical(key, logits, shape=(number,))


def draw(key: Key, buffer: AdvantageBuffer, alpha: Any, number: int) -> Columns:
    """Columns ``[T, number, ...]`` of the buffer; meaningless while it is empty."""
    return take_columns(buffer.columns, draw_index(key, buffer.strength, alpha, number))
