"""Which steps of a ring a sampler may draw, kept as one number per step: zero for those that it may not.

A step may be drawn when a complete trajectory begins there: see :func:`rl_jax.replay.ring.starts`. Every ``add`` makes some steps
drawable and others not, and both lie in a few neighbouring rows, so a sampler's table is kept up to date with a few writes of
full rows.
"""

from typing import Any, Protocol

import jax
import jax.numpy as jnp

from rl_jax.ops import any_true
from rl_jax.replay.ring import Added, Layout, Ring, row_of_age


class Table(Protocol):
    """One number per step, at ``row * N + environment``: a :class:`rl_jax.ops.SumTree`, for one."""

    def set_range(self, start: Any, values: jax.Array) -> Any: ...


def table_size(layout: Layout) -> int:
    """Numbers in a table: one row more than the ring has, always of zeros, so that the row after the last can be written."""
    return (layout.rows + 1) * layout.num_envs


def no_values(layout: Layout, dtype: Any) -> jax.Array:
    """What :func:`enter` keeps before the first ``add``: ``[length - 1, N]``."""
    return jnp.zeros((layout.length - 1, layout.num_envs), dtype)


def enter(waiting: jax.Array, values: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Exchange new steps' ``values`` ``[T, N]`` for those of the ``T`` rows that become drawable now.

    A trajectory of ``length`` steps is complete ``length - 1`` rows after its first step was written; until then the values of first
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
        values: ``[T, N]`` of the rows whose trajectories have become complete, :func:`enter`'s first result.
    """
    steps, length = layout.rollout_length, layout.length
    # The rows of ages length + steps - 1 down to length.
    age = length + steps - 1 - jnp.arange(steps, dtype=jnp.int32)
    row = row_of_age(ring, layout, age)
    drawable = (age <= ring.size) & (row % layout.period == 0)
    values = jnp.where(drawable[:, None], values, 0)
    zero = jnp.zeros_like(values[:1])

    def write(table: Any, row: jax.Array, values: jax.Array) -> Any:
        return table.set_range(row * layout.num_envs, values.reshape(-1))

    # The rollout's own rows, and the present after them.
    own = values if length == 1 else jnp.zeros_like(values)
    table = write(table, before.head, jnp.concatenate([own, zero]))
    table = _zero_given_up(table, ring, layout, before, zero)
    if length == 1:
        return table
    # Rows of earlier rollouts too. The ring's rows are a multiple of `steps`, and so is its head; so these rows reach over one
    # and always the same border between two rollouts, where alone the ring can wrap around.
    until = (length - 1) % steps
    for part in (slice(0, until), slice(until, steps)):
        if part.start < part.stop:
            table = write(table, row[part.start], values[part])
    return table


def _zero_given_up(table: Any, ring: Ring, layout: Layout, before: Added, zero: jax.Array) -> Any:
    """Zeros for the present where the ring wraps around, and for the rows that were given up.

    A row is given up when it was not overwritten, but a final observation that it needs was. Both are rare.
    """
    oldest = jnp.minimum(before.size + layout.rollout_length, layout.rows - 1)

    # Under vmap a loop whose length differs between runs would copy all tables in every pass. So all runs loop as long as any
    # needs it, and those that are done write zeros into the present, which is zero already.
    def more(carry: tuple[Any, jax.Array]) -> jax.Array:
        return any_true(carry[1] > ring.size)

    def body(carry: tuple[Any, jax.Array]) -> tuple[Any, jax.Array]:
        table, age = carry
        given_up = (age > ring.size) & (age <= oldest)
        row = row_of_age(ring, layout, jnp.where(given_up, age, 0))
        return table.set_range(row * layout.num_envs, zero.reshape(-1)), age - 1

    return jax.lax.while_loop(more, body, (table, oldest + (ring.head == 0)))[0]
