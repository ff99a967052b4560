"""Columns of whole rollouts: what is kept of an episode, and how it is put among others."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.ops import along
from rl_jax.types import PyTree, Rollout


@struct.dataclass
class Columns:
    """Whole episodes ``[T, S, ...]``: what a policy gradient reads of them.

    Not kept are ``next_obs``, ``carry``, ``env_state``, ``info`` and extras that were not asked for: in a rollout into which
    columns are put, these stay those of the episodes that were collected.
    """

    obs: PyTree
    action: jax.Array
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    level: PyTree
    extras: dict[str, jax.Array]


def columns_of(rollout: Rollout, keep: tuple[str, ...]) -> Columns:
    """All columns of a rollout, with the extras named."""
    extras = {name: rollout.extras[name] for name in keep}
    r = rollout
    return Columns(r.obs, r.action, r.reward, r.terminated, r.truncated, r.level, extras)


def blank_columns(rollout: Any, keep: tuple[str, ...], number: int) -> Columns:
    """Room for columns of rollouts of these shapes, all zero.

    Args:
        rollout: as of :attr:`~rl_jax.types.Spec.rollout`.
        keep: extras; those that the rollout has not yet are taken to be floats ``[T, N]``, which earlier transforms add.
        number: ``S``.
    """
    per_step = jax.ShapeDtypeStruct(rollout.reward.shape, jnp.float32)
    extras = {name: rollout.extras.get(name, per_step) for name in keep}
    shapes = columns_of(rollout.replace(extras=extras), keep)
    return jax.tree.map(lambda x: jnp.zeros((x.shape[0], number, *x.shape[2:]), x.dtype), shapes)


def take_columns(columns: Columns, index: jax.Array) -> Columns:
    """The columns with these numbers, ``[T, len(index), ...]``."""
    return jax.tree.map(lambda x: x.at[:, index].get(mode="promise_in_bounds"), columns)


def write_columns(store: Columns, slot: jax.Array, columns: Columns) -> Columns:
    """Columns ``[T, N, ...]`` written to these slots ``[N]`` of a store; slots beyond its end are dropped."""
    return jax.tree.map(lambda old, new: old.at[:, slot].set(new.astype(old.dtype), mode="drop"), store, columns)


def ring_slots(chosen: jax.Array, head: jax.Array, slots: int) -> jax.Array:
    """Where the chosen columns ``bool [N]`` go in a ring whose next slot is ``head``; ``[N]``, of the others ``slots``, beyond its end.

    In their order; of more than there are slots the last.
    """
    number, total = jnp.cumsum(chosen, dtype=jnp.int32) - 1, jnp.sum(chosen, dtype=jnp.int32)
    return jnp.where(chosen & (number >= total - slots), (head + number) % slots, slots)


def put_columns(rollout: Rollout, columns: Columns, where: jax.Array) -> Rollout:
    """The rollout with the columns ``[T, N, ...]`` instead of its own, where a flag ``[N]`` says so."""
    current = columns_of(rollout, tuple(columns.extras))

    def chosen(old: jax.Array, new: jax.Array) -> jax.Array:
        return jnp.where(along(where[None], old), new.astype(old.dtype), old)

    mixed = jax.tree.map(chosen, current, columns)
    extras = {**rollout.extras, **mixed.extras}
    fields = {name: getattr(mixed, name) for name in ("obs", "action", "reward", "terminated", "truncated", "level")}
    return rollout.replace(extras=extras, **fields)  # type: ignore[attr-defined]


def part_of(rollout: Rollout, index: jax.Array) -> Rollout:
    """A rollout of the columns with these numbers alone, without what follows it."""
    start = jax.tree.map(lambda x: x[index], rollout.start)
    part = jax.tree.map(lambda x: x[:, index], rollout.replace(start=None, last=None))  # type: ignore[attr-defined]
    return part.replace(start=start)
