"""Which steps of a ring a sampler may draw, kept as one number per step: zero for those that it may not.

A step may be drawn when a whole trajectory begins there: see :func:`rl_jax.replay.ring.starts`. Every ``add`` makes some steps
drawable and others not, and both lie in a few neighbouring rows, so a sampler's table is kept up to date with a few writes of
whole rows.
"""

from typing import Any, Protocol

import jax
import jax.numpy as jnp

from rl_jax.ops import any_true
from rl_jax.replay.ring import Added, Layout, Ring, row_of_age


class Table(Protocol):
    """One number per step, at ``row * N + environment``: a :class:`rl_jax.ops.SumTree`, for one."""

    def get_range(self, start: Any, number: int) -> jax.Array: ...

    def set_range(self, start: Any, values: jax.Array) -> Any: ...


def no_values(layout: Layout, dtype: Any) -> jax.Array:
    """What :func:`enter` keeps before the first ``add``: ``[length - 1, N]``."""
    return jnp.zeros((layout.length - 1, layout.num_envs), dtype)


def enter(waiting: jax.Array, values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Exchange new steps' ``values`` ``[T, N]`` for those of the ``T`` rows that become drawable now.

    A trajectory of ``length`` steps is whole ``length - 1`` rows after its first step was written; until then the values of first
    steps wait in ``waiting`` ``[length - 1, N]``. Returns the values of the rows that are drawable from now on and what waits.
    """
    values = jnp.concatenate([waiting, values.astype(waiting.dtype)])
    rows = values.shape[0] - waiting.shape[0]
    return values[:rows], values[rows:]


def renew(table: Any, ring: Ring, layout: Layout, before: Added, values: jax.Array) -> Any:
    """The table after an ``add``.

    Args:
        table: a :class:`Table` that was right before.
        ring: the ring as it is now.
        layout: its sizes.
        before: its head and size before.
        values: ``[T, N]`` of the rows whose trajectories have become whole, :func:`enter`'s first result.
    """
    steps, envs, length = layout.rollout_length, layout.num_envs, layout.length

    def write(table: Any, row: jax.Array, values: jax.Array) -> Any:
        return table.set_range(row * envs, values.reshape(-1))

    zeros = jnp.zeros_like(values)
    if length > 1:  # else all of these rows are drawable at once
        table = write(table, before.head, zeros)
    table = write(table, ring.head, zeros[:1])
    table = _give_up(table, ring, layout, before)

    # The rows of ages length + steps - 1 down to length. The ring's rows are a multiple of `steps`, and so is its head; so these
    # rows reach over one and always the same border between two rollouts, where alone the ring can begin anew.
    age = length + steps - 1 - jnp.arange(steps, dtype=jnp.int32)
    row = row_of_age(ring, layout, age)
    drawable = (age <= ring.size) & (row % layout.period == 0)
    values = jnp.where(drawable[:, None], values, 0)
    until = (length - 1) % steps
    for part in (slice(0, until), slice(until, steps)):
        if part.start < part.stop:
            table = write(table, row[part.start], values[part])
    return table


def _give_up(table: Any, ring: Ring, layout: Layout, before: Added) -> Any:
    """Zeros for the rows that the ring gave up although nothing was written over them: their final observations are gone."""
    envs = layout.num_envs
    oldest = jnp.minimum(before.size + layout.rollout_length, layout.rows - 1)

    # No run of a vmapped batch may change its table for the others' sake: a loop whose end differs between them would copy all
    # tables in every pass. So all loop as long as any needs it, and those that are done write what is there.
    def more(carry: tuple[Any, jax.Array]) -> jax.Array:
        return any_true(carry[1] > ring.size)

    def body(carry: tuple[Any, jax.Array]) -> tuple[Any, jax.Array]:
        table, age = carry
        start = row_of_age(ring, layout, age) * envs
        kept = jnp.where(age > ring.size, 0, table.get_range(start, envs))
        return table.set_range(start, kept), age - 1

    return jax.lax.while_loop(more, body, (table, oldest))[0]
