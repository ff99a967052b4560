"""Shortest ways on maps of cells: exact distances of cells, those of positions, and where to go next.

The length of a way is Euclidean: a step to one of the four neighbours is 1, a diagonal one the square root of 2. A diagonal step needs
both cells beside it free, so that a small body makes it without touching a wall.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

MOVES = np.array([(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)], np.int32)
"""What a step adds to row and column: nothing, four straight ones, four diagonal ones."""


def distance_field(walls: jax.Array, goal: jax.Array, diagonal: bool = True) -> jax.Array:
    """The length of the shortest way from every cell to ``goal``, ``float32 [H, W]``; infinite in walls and where there is none.

    Exact, but for the rounding of sums: Bellman's equation is iterated until nothing changes. It can be vmapped, over goals or maps.

    Args:
        walls: ``bool [H, W]``. What is outside the map is wall.
        goal: ``int32 [2]``, row and column.
        diagonal: whether there are eight neighbours, or four.
    """
    row, column = (jnp.arange(length, dtype=jnp.int32) for length in walls.shape)
    there = (row[:, None] == goal[0]) & (column == goal[1]) & ~walls
    start = jnp.where(there, 0.0, jnp.inf).astype(jnp.float32)
    free = ~walls

    def sweep(field: jax.Array) -> jax.Array:
        best = field
        for move in MOVES[1 : 9 if diagonal else 5]:
            allowed = free
            if all(move):
                allowed = allowed & _beside(free, (move[0], 0), False) & _beside(free, (0, move[1]), False)
            best = jnp.where(allowed, jnp.minimum(best, _beside(field, move, jnp.inf) + _length(move)), best)
        return best

    def changed(fields: tuple[jax.Array, jax.Array]) -> jax.Array:
        return jnp.any(fields[0] != fields[1])

    return jax.lax.while_loop(changed, lambda fields: (fields[1], sweep(fields[1])), (start, sweep(start)))[1]


def all_distances(walls: jax.Array, diagonal: bool = True) -> jax.Array:
    """:func:`distance_field` of every cell, ``float32 [H, W, H, W]``: first the goal's row and column."""
    height, width = walls.shape
    cells = jnp.stack(jnp.unravel_index(jnp.arange(height * width, dtype=jnp.int32), (height, width)), axis=-1)
    fields = jax.vmap(lambda goal: distance_field(walls, goal, diagonal))(cells)
    return fields.reshape(height, width, height, width)


def distance_at(field: jax.Array, position: jax.Array, goal: jax.Array | None = None) -> jax.Array:
    """The distance of any position, ``float32 []``: straight to the middle of a cell next to it, and on by the field.

    Of the cells around, those count to which a straight or diagonal step may be made, and the best of them is taken. In the middle
    of a cell it is the field's own value; in sight of a goal next to it, the straight line.

    How exact: it is the length of a way that can be walked, so never too short. A point that may cut all corners has a shorter one, by
    up to 8% in the open, where eight directions stand for all, and by more where it turns (from corridor to corridor around the end
    of a wall: 4.16 in place of 6). For a finer answer, give a map whose cells are repeated along both axes. Within a cell it changes
    by no more than the position does; where a position enters another cell, with other cells around, it may jump by up to 0.54.

    Args:
        field: ``[H, W]`` of one goal, with eight neighbours; with ``goal``, ``[H, W, H, W]`` of all.
        position: ``float32 [2]`` in cells, row and column, in a free cell of a map that is walled all round. The middle of the first
            cell is at 0.5, 0.5.
        goal: ``int32 [2]``, the goal's cell.
    """
    middles, values = _around(field, position, goal)
    return jnp.min(values + _apart(middles, position))


def next_middle(field: jax.Array, position: jax.Array, goal: jax.Array | None = None) -> jax.Array:
    """The middle of the cell to which the way of :func:`distance_at` goes straight, ``float32 [2]``; the arguments are the same."""
    middles, values = _around(field, position, goal)
    return middles[jnp.argmin(values + _apart(middles, position))]


def _around(field: jax.Array, position: jax.Array, goal: jax.Array | None) -> tuple[jax.Array, jax.Array]:
    """Middles ``[9, 2]`` of the cells around a position, and their values ``[9]``, infinite where one cannot go straight."""
    lead, moves = () if goal is None else (goal[0], goal[1]), jnp.asarray(MOVES)
    cells = jnp.floor(position).astype(jnp.int32) + moves
    values = field[(*lead, cells[:, 0], cells[:, 1])]
    free = jnp.isfinite(values)
    # The straight moves that make a diagonal one: -1 and +1 along rows stand at 1 and 2, along columns at 3 and 4.
    up_down, left_right = np.where(MOVES[5:, 0] < 0, 1, 2), np.where(MOVES[5:, 1] < 0, 3, 4)
    # The way through the middle of the own cell is never shorter, but where that is the goal.
    allowed = jnp.concatenate([values[:1] == 0, free[1:5], free[5:] & free[up_down] & free[left_right]])
    return cells + 0.5, jnp.where(allowed, values, jnp.inf)


def _apart(middles: jax.Array, position: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.sum((middles - position) ** 2, axis=-1))


def _length(move: np.ndarray) -> float:
    return math.hypot(*move)


def _beside(x: jax.Array, move: tuple[int, int] | np.ndarray, outside: float | bool) -> jax.Array:
    """What stands one move further, ``[H, W]``."""
    height, width = x.shape
    row, column = int(move[0]) + 1, int(move[1]) + 1
    return jnp.pad(x, 1, constant_values=outside)[row : row + height, column : column + width]
