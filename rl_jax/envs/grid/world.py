"""The engine of the grid worlds: a map of tiles, an agent that turns, walks and uses what is ahead, and what it sees.

The rules are those of MiniGrid (Chevalier-Boisvert et al. 2023, "Minigrid & Miniworld", https://github.com/Farama-Foundation/Minigrid)
with these differences:

- One action, *use*, stands for *pickup* and *toggle*: what is ahead decides. There is no *drop*. *Stay* is MiniGrid's *done*.
- Keys have no colours: any key opens any locked door, and is used up by it. The agent may carry several.
- The view goes through walls (MiniGrid's ``see_through_walls=True``).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

FLOOR, WALL, OPEN, CLOSED, LOCKED, KEY, GOAL = range(7)
"""Tiles. A door is ``OPEN``, ``CLOSED`` or ``LOCKED``."""

LEFT, RIGHT, FORWARD, USE, STAY = range(5)
"""Actions: turn left, turn right, go one tile forward, use the tile ahead, nothing."""

EAST, SOUTH, WEST, NORTH = range(4)
"""Directions, clockwise."""

PLANES = 11
"""Planes of :func:`view`: six kinds of tile, whether a key is carried, four directions."""


class World(NamedTuple):
    """A map and who is on it.

    ``tiles``: ``int8[H, W]``, walled all round, so that nothing is ever outside. ``position``: ``int32[2]``, row and column.
    ``direction``: ``int32``. ``carried``: ``int32``, how many keys.
    """

    tiles: jax.Array
    position: jax.Array
    direction: jax.Array
    carried: jax.Array


def heading(direction: jax.Array) -> jax.Array:
    """One step into ``direction``, ``int32[2]``: rows grow to the south, columns to the east."""
    row = (direction == SOUTH).astype(jnp.int32) - (direction == NORTH).astype(jnp.int32)
    column = (direction == EAST).astype(jnp.int32) - (direction == WEST).astype(jnp.int32)
    return jnp.stack([row, column])


def put(tiles: jax.Array, places: jax.Array, tile: jax.Array | int) -> jax.Array:
    """``tiles`` ``int8[H, W]`` with ``tile`` at each of ``places`` ``int32[..., 2]``; places outside are left out.

    Every tile is compared with every place, which is vectorised: writing to places is a loop over environments on a CPU.
    """
    row, column = (jnp.arange(length, dtype=jnp.int32) for length in tiles.shape)
    places = places.reshape(-1, 2)
    matches = (row[:, None, None] == places[:, 0]) & (column[:, None] == places[:, 1])
    return jnp.where(jnp.any(matches, axis=-1), jnp.asarray(tile, jnp.int8), tiles)


def ahead(world: World) -> jax.Array:
    """The tile before the agent, ``int8``."""
    row, column = world.position + heading(world.direction)
    return world.tiles[row, column]


def on_goal(world: World) -> jax.Array:
    """Whether the agent stands on a goal."""
    return world.tiles[world.position[0], world.position[1]] == GOAL


def act(world: World, action: jax.Array) -> World:
    """The world after ``action``.

    *Forward* goes onto floor, goals and through open doors. *Use* takes a key, opens a closed door, closes an open one, and
    opens a locked one with a key, which is then gone. Where an action has nothing to do, nothing happens.
    """
    target = world.position + heading(world.direction)
    tile = world.tiles[target[0], target[1]]
    free = (tile == FLOOR) | (tile == OPEN) | (tile == GOAL)
    position = jnp.where((action == FORWARD) & free, target, world.position)

    takes = (action == USE) & (tile == KEY)
    unlocks = (action == USE) & (tile == LOCKED) & (world.carried > 0)
    opens = (action == USE) & (tile == CLOSED) | unlocks
    closes = (action == USE) & (tile == OPEN)
    new = jnp.where(takes, jnp.int8(FLOOR), jnp.where(opens, jnp.int8(OPEN), jnp.where(closes, jnp.int8(CLOSED), tile)))

    turn = (action == RIGHT).astype(jnp.int32) - (action == LEFT).astype(jnp.int32)
    carried = world.carried + takes.astype(jnp.int32) - unlocks.astype(jnp.int32)
    return World(put(world.tiles, target, new), position, (world.direction + turn) % 4, carried)


def view(world: World, size: int) -> jax.Array:
    """What the agent sees, ``bool[size, size, 11]``: the square that reaches ``size - 1`` tiles ahead, turned with the agent.

    The agent is in the middle of the last row and looks along the columns towards the first. Nothing is hidden by walls; what
    lies outside the map is wall. The planes are the tiles ``WALL`` to ``GOAL`` (floor is none of them), then, all over, whether
    a key is carried, and the direction.
    """
    margin, half = size - 1, size // 2
    padded = jnp.pad(world.tiles, margin, constant_values=WALL)
    corner = world.position + heading(world.direction) * half + (margin - half)
    square = jax.lax.dynamic_slice(padded, (corner[0], corner[1]), (size, size))
    turns = {EAST: jnp.rot90(square, 1), SOUTH: jnp.rot90(square, 2), WEST: jnp.rot90(square, 3)}
    for direction, turned in turns.items():
        square = jnp.where(world.direction == direction, turned, square)
    planes = square[..., None] == jnp.arange(WALL, GOAL + 1, dtype=jnp.int8)
    facts = jnp.concatenate([(world.carried > 0)[None], world.direction == jnp.arange(4, dtype=jnp.int32)])
    return jnp.concatenate([planes, jnp.broadcast_to(facts, (size, size, len(facts)))], axis=-1)
