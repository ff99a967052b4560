"""How a disc moves among wall cells: pushed by a force, slowed by friction, stopped by walls and sliding along them."""

from typing import Any

import jax
import jax.numpy as jnp

SKIN = 1e-3
"""By so much, in cells, a disc beside a wall may be nearer than its radius before it counts as in front of it."""


def top_speed(gain: Any, friction: Any, radius: Any) -> jax.Array:
    """The largest speed along an axis, cells a step, ``float32 []``: what the largest force keeps up against friction.

    It is also below ``1 - radius``, so that only the next row or column of cells can be met within a step: nothing is jumped over.
    """
    return jnp.minimum(jnp.asarray(gain, jnp.float32) / friction, 0.99 - jnp.asarray(radius, jnp.float32))


def accelerate(velocity: jax.Array, force: jax.Array, gain: Any, friction: Any, radius: Any) -> jax.Array:
    """The velocity ``[2]`` after a step of ``force`` ``[2]`` in [-1, 1]: ``(1 - friction) velocity + gain force``.

    With ``friction`` 1 the force is the velocity (kinematic), with less it is an acceleration (a double integrator, damped).
    """
    limit = top_speed(gain, friction, radius)
    return jnp.clip((1 - friction) * velocity + gain * force, -limit, limit)


def slide(walls: jax.Array, radius: Any, position: jax.Array, change: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Move a disc by ``change``, along rows and then along columns, each until it touches a wall.

    The place of contact is that of a circle and a square, to within :data:`SKIN`.

    Args:
        walls: ``bool [H, W]``, walled all round.
        radius: of the disc, below a half.
        position: of its middle, ``float32 [2]``, in cells, row and column.
        change: ``float32 [2]``, each below ``1 - radius``.

    Returns:
        The new position, and along which axes it was stopped, ``bool [2]``.
    """
    row, column = position
    travel, stopped_rows = _free_way(walls, radius, row, column, change[0], 0)
    row = row + travel
    travel, stopped_columns = _free_way(walls, radius, column, row, change[1], 1)
    return jnp.stack([row, column + travel]), jnp.stack([stopped_rows, stopped_columns])


def _free_way(
    walls: jax.Array, radius: Any, place: jax.Array, across: jax.Array, change: jax.Array, axis: int
) -> tuple[jax.Array, jax.Array]:
    """How far one gets along an axis on which one stands at ``place``, and at ``across`` on the other; and whether a wall stops it."""
    cell, cell_across = jnp.floor(place), jnp.floor(across)
    forward = change > 0
    sides = jnp.arange(-1, 2, dtype=jnp.int32)
    line = cell.astype(jnp.int32) + jnp.where(forward, 1, -1)
    beside = cell_across.astype(jnp.int32) + sides
    met = walls[line, beside] if axis == 0 else walls[beside, line]
    # How far the disc reaches ahead, at the sides of the three cells that are nearest to its middle.
    inner = across - cell_across
    aside = jnp.stack([inner, jnp.zeros_like(inner), 1 - inner])
    chord = jnp.maximum((radius - SKIN) ** 2 - aside**2, 0.0)
    reach = jnp.where(sides == 0, radius, jnp.sqrt(chord))
    face = jnp.where(forward, cell + 1 - place, place - cell)
    room = jnp.where(met & ((sides == 0) | (chord > 0)), jnp.maximum(face - reach, 0.0), jnp.inf)
    least = jnp.min(room)
    wanted = jnp.abs(change)
    way = jnp.minimum(wanted, least)
    return jnp.where(forward, way, -way), least < wanted
