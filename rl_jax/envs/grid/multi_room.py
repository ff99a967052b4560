"""``grid/multi-room``: rooms one after another, closed doors between them, the goal in the last."""

import functools
import math
from dataclasses import dataclass
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.argument_checks import check_argument
from rl_jax.envs.grid.rooms import Rooms
from rl_jax.envs.grid.world import CLOSED, FLOOR, GOAL, WALL, World, put
from rl_jax.ops import random_index
from rl_jax.types import Key
from rl_jax.values import Range

WALKS = 4096
"""How many ways of the rooms through the plane there are to choose from."""


@functools.cache
def _walks(rooms: int, side: int) -> np.ndarray:
    """Ways through a square of ``side * side`` rooms that visit none twice, ``int32[WALKS, rooms]``, drawn at random."""
    random = np.random.default_rng(0)
    walks: list[list[int]] = []
    while len(walks) < WALKS:
        walk = [int(random.integers(side * side))]
        while len(walk) < rooms:
            row, column = divmod(walk[-1], side)
            steps = [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
            near = [r * side + c for r, c in steps if 0 <= r < side and 0 <= c < side]
            free = [room for room in near if room not in walk]
            if not free:
                break
            walk.append(free[random.integers(len(free))])
        if len(walk) == rooms:
            walks.append(walk)
    return np.asarray(walks, np.int32)


@dataclass(frozen=True)
class MultiRoom:
    """A chain of rooms, after MiniGrid's ``MultiRoomEnv``, drawn without rejection.

    The plane is divided by walls that run right through it, at random distances; the rooms are fields that follow one another
    on a random way, and the other fields are solid. (MiniGrid places each room freely against the last, and gives up some.) The
    agent stands anywhere in the first room, the goal anywhere in the last.

    Attributes:
        length: how many rooms at most, 2 to 16.
        size: average side of a room with its walls, at least 4; sides differ by up to ``size - 4`` either way.
    """

    length: int
    size: int

    def __post_init__(self) -> None:
        check_argument("grid/multi-room's rooms", self.length, Annotated[int, Range(2, 16)])
        check_argument("grid/multi-room's size (walls included)", self.size, Annotated[int, Range(4, 100)])

    @property
    def side(self) -> int:
        """Fields along each side of the plane: half as many again as there are rooms, so that ways can turn."""
        return math.ceil(math.sqrt(1.5 * self.length))

    @property
    def shape(self) -> tuple[int, int]:
        side = self.side * (self.size - 1) + 1
        return side, side

    def draw(self, key: Key, length: jax.Array) -> World:
        """A map of ``length`` rooms, clipped to what there can be."""
        first, second = jax.random.split(key)
        length = jnp.clip(length, 2, self.length)
        side, pitch, jitter = self.side, self.size - 1, (self.size - 4) // 2
        spread = jnp.array([WALKS] + [2 * jitter + 1] * (2 * (side - 1)), jnp.int32)
        drawn = random_index(first, spread.shape, spread)
        walk = jnp.asarray(_walks(self.length, side))[drawn[0]]
        inner = pitch * np.arange(1, side, dtype=np.int32) + drawn[1:].reshape(2, -1) - jitter
        lines = jnp.pad(inner, ((0, 0), (1, 1)), constant_values=((0, 0), (0, side * pitch)))  # [2, side + 1]

        # Room i of the chain covers rows and columns low[i] + 1 ... high[i] - 1.
        fields = jnp.stack([walk // side, walk % side])  # [2, rooms]
        low, high = (jnp.take_along_axis(lines, fields + more, axis=1) for more in (0, 1))
        inside = high - low - 1
        last = length - 1
        along = jnp.where(_apart(fields) != 0, 1, inside[:, :-1])
        ends = jnp.concatenate([inside[:, 0], inside[:, last], jnp.full((1,), 4, jnp.int32)])
        counts = jnp.concatenate([ends, along.reshape(-1)])
        places = random_index(second, counts.shape, counts)
        start, goal, direction = places[:2], places[2:4], places[4]

        # A door lies on the line between two rooms, anywhere along the side that they share.
        across = jnp.where(_apart(fields) > 0, high[:, :-1], low[:, :-1])
        doors = jnp.where(_apart(fields) != 0, across, low[:, :-1] + 1 + places[5:].reshape(2, -1))
        exists = jnp.arange(self.length - 1, dtype=jnp.int32) < last
        tiles = put(self._walls(lines, walk, length), jnp.where(exists, doors, -1).T, CLOSED)
        tiles = put(tiles, low[:, last] + 1 + goal, GOAL)
        return World(tiles, low[:, 0] + 1 + start, direction, jnp.zeros((), jnp.int32))

    def _walls(self, lines: jax.Array, walk: jax.Array, length: jax.Array) -> jax.Array:
        """Floor in the rooms, wall elsewhere: ``int8[H, W]``."""
        place = jnp.arange(self.shape[0], dtype=jnp.int32)
        on_line = jnp.any(place[:, None] == lines[:, None, :], axis=-1)  # [2, H]
        band = jnp.sum(place[:, None] >= lines[:, None, 1:-1], axis=-1, dtype=jnp.int32)
        # The rooms that exist as bits of one word: looking a bit up is arithmetic, looking a table up is a loop on a CPU.
        exists = jnp.arange(self.length, dtype=jnp.int32) < length
        word = jnp.sum(jnp.where(exists, jnp.int32(1) << walk, 0), dtype=jnp.int32)
        room = (word >> (band[0][:, None] * self.side + band[1][None, :])) & 1
        floor = (room == 1) & ~(on_line[0][:, None] | on_line[1][None, :])
        return jnp.where(floor, jnp.int8(FLOOR), jnp.int8(WALL))


def _apart(fields: jax.Array) -> jax.Array:
    """The step from each room to the next in rows and columns, ``int32[2, rooms - 1]``, one of which is 0."""
    return fields[:, 1:] - fields[:, :-1]


def multi_room(rooms: int = 4, size: int = 6, time_limit: int | None = None, **options: Any) -> Rooms:
    """``grid/multi-room``: see :class:`MultiRoom`, and :class:`~rl_jax.envs.grid.rooms.Rooms` for the other options.

    By default an episode has 20 steps for each room, as in MiniGrid, or more where rooms are larger than 6.
    """
    limit = rooms * max(20, 4 * size - 4) if time_limit is None else time_limit
    return Rooms("grid/multi-room", MultiRoom(rooms, size), limit, **options)
