"""``grid/key-corridor``: rooms on both sides of a corridor, one of them locked, its key in another."""

from dataclasses import dataclass
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.argument_checks import check_argument
from rl_jax.envs.grid.rooms import Rooms
from rl_jax.envs.grid.world import CLOSED, FLOOR, GOAL, KEY, LOCKED, WALL, World, put
from rl_jax.ops import random_index
from rl_jax.types import Key
from rl_jax.values import Range


@dataclass(frozen=True)
class KeyCorridor:
    """A corridor from north to south with a room on either side of each of its rows, after MiniGrid's ``KeyCorridorEnv``.

    Each room has a door to the corridor, closed, and one is locked: the goal is in it. The key is in another. The agent
    starts in the middle row of the corridor. (In MiniGrid the goal is a ball to be picked up, the locked room is always on the
    right, the key always on the left, and rooms may have doors to one another instead of to the corridor.)

    Attributes:
        length: how many rows of rooms at most.
        size: side of a room with its walls, at least 3; the corridor is as wide.
    """

    length: int
    size: int

    def __post_init__(self) -> None:
        check_argument("grid/key-corridor's rows", self.length, Annotated[int, Range(1, 100)])
        check_argument("grid/key-corridor's size (walls included)", self.size, Annotated[int, Range(3, 100)])

    @property
    def shape(self) -> tuple[int, int]:
        return self.length * (self.size - 1) + 1, 3 * (self.size - 1) + 1

    def draw(self, key: Key, length: jax.Array) -> World:
        """A map of ``length`` rows, clipped to what there can be; below them all is solid."""
        length = jnp.clip(length, 1, self.length)
        pitch, inside = self.size - 1, self.size - 2
        rooms = 2 * length
        counts = jnp.stack([rooms, rooms - 1, jnp.full((), 4, jnp.int32)])
        counts = jnp.concatenate([counts, jnp.full((6 + 2 * self.length,), inside, jnp.int32)])
        drawn = random_index(key, counts.shape, counts)
        locked = drawn[0]
        with_key = (locked + 1 + drawn[1]) % rooms
        start, goal, lost = drawn[3:5], drawn[5:7], drawn[7:9]

        # Room 2k lies west of row k, room 2k + 1 east of it.
        room = np.arange(2 * self.length, dtype=np.int32)
        doors = jnp.stack([room // 2 * pitch + 1 + drawn[9:], jnp.asarray((1 + room % 2) * pitch)], axis=-1)
        doors = jnp.where((room < rooms)[:, None], doors, -1)
        tiles = put(put(self._walls(length), doors, CLOSED), doors[locked], LOCKED)
        tiles = put(tiles, self._corner(locked) + goal, GOAL)
        tiles = put(tiles, self._corner(with_key) + lost, KEY)
        middle = jnp.stack([length // 2 * pitch + 1, jnp.full((), pitch + 1, jnp.int32)])
        return World(tiles, middle + start, drawn[2], jnp.zeros((), jnp.int32))

    def _corner(self, room: jax.Array) -> jax.Array:
        """The first floor tile of a room."""
        pitch = self.size - 1
        return jnp.stack([room // 2 * pitch, room % 2 * (2 * pitch)]) + 1

    def _walls(self, length: jax.Array) -> jax.Array:
        """Floor in rooms and corridor, wall elsewhere: ``int8[H, W]``."""
        pitch = self.size - 1
        row, column = np.arange(self.shape[0])[:, None], np.arange(self.shape[1])[None, :]
        corridor = (pitch < column) & (column < 2 * pitch) & (row > 0)
        floor = (corridor | (row % pitch > 0)) & (column % pitch > 0)
        return jnp.where(floor & (row < length * pitch), jnp.int8(FLOOR), jnp.int8(WALL))


def key_corridor(rows: int = 3, size: int = 4, time_limit: int | None = None, **options: Any) -> Rooms:
    """``grid/key-corridor``: see :class:`KeyCorridor`, and :class:`~rl_jax.envs.grid.rooms.Rooms` for the other options.

    By default an episode has ``30 * size^2`` steps, as in MiniGrid.
    """
    limit = 30 * size**2 if time_limit is None else time_limit
    return Rooms("grid/key-corridor", KeyCorridor(rows, size), limit, **options)
