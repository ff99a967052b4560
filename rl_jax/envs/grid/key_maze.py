"""``grid/key-maze``: one large fixed map with locked doors, whose reward lies hundreds of steps away.

Made for Go-Explore (Ecoffet et al. 2019, "Go-Explore: a New Approach for Hard-Exploration Problems"): a small Montezuma's Revenge.
Nothing is random but sticky actions, any state can be gone on from, and :meth:`KeyMaze.cell_of` names the cell of a state.
"""

import functools
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.envs.grid.rooms import check_view
from rl_jax.envs.grid.world import EAST, FLOOR, GOAL, KEY, LOCKED, PLANES, WALL, World, act, ahead, on_goal, view
from rl_jax.errors import RLJaxError
from rl_jax.spaces import Box, Discrete, Space
from rl_jax.types import Key, Step
from rl_jax.values import Count, CountOrZero, Range, Share


class Plan(NamedTuple):
    """A maze: ``tiles`` ``int8[H, W]``; places ``int32[..., 2]`` of the ``start``, the ``keys`` and the ``doors``."""

    tiles: np.ndarray
    start: np.ndarray
    keys: np.ndarray
    doors: np.ndarray


@functools.cache
def plan(side: int, size: int, keys: int, seed: int) -> Plan:
    """A maze of ``side * side`` rooms, each with ``size - 2`` tiles a side, joined by gaps in their walls to a tree.

    The way to the deepest room, where the goal is, is divided into ``keys`` parts; each part ends with a locked door, the last
    with that of the goal's room. The key to a door is in the part before it, as far from it as a room there can be.

    Raises:
        RLJaxError: the way is shorter than the number of keys.
    """
    random = np.random.default_rng(seed)
    parents = _tree(side, random)
    depth = [len(_way(parents, room)) for room in range(side * side)]
    way = _way(parents, int(np.argmax(depth)))
    if len(way) - 1 < keys:
        raise RLJaxError(
            f"grid/key-maze: seed {seed} gives a way of {len(way)} rooms, too few for {keys} keys; take another seed"
        )
    behind = {way[round((i + 1) * (len(way) - 1) / keys)]: i for i in range(keys)}  # rooms with a locked door, by number

    pitch = size - 1
    tiles = np.full((side * pitch + 1, side * pitch + 1), WALL, np.int8)
    corner = np.array([divmod(room, side) for room in range(side * side)]) * pitch + 1
    start = (corner[0] + (pitch - 1) // 2).astype(np.int32)
    doors = np.zeros((keys, 2), np.int32)
    for row, column in corner:
        tiles[row : row + pitch - 1, column : column + pitch - 1] = FLOOR
    for room, parent in parents.items():
        apart = (corner[room] - corner[parent]) // pitch
        gap = np.maximum(corner[room], corner[parent]) - (apart != 0) + random.integers(pitch - 1, size=2) * (apart == 0)
        tiles[tuple(gap)] = LOCKED if room in behind else FLOOR
        if room in behind:
            doors[behind[room]] = gap

    # A room's part is that of the last locked door on the way to it.
    part = [max([-1, *(behind[at] for at in _way(parents, room) if at in behind)]) + 1 for room in range(side * side)]
    places = np.zeros((keys, 2), np.int32)
    for door, number in behind.items():
        near = _way(parents, parents[door])
        rooms = [room for room in range(side * side) if part[room] == number]
        room = max(rooms, key=lambda room: len(set(_way(parents, room)) ^ set(near)))
        places[number] = start
        while np.array_equal(places[number], start):
            places[number] = corner[room] + random.integers(pitch - 1, size=2)
        tiles[tuple(places[number])] = KEY
    goal = corner[way[-1]] + random.integers(pitch - 1, size=2)
    tiles[tuple(goal)] = GOAL
    return Plan(tiles, start, places, doors)


def _tree(side: int, random: np.random.Generator) -> dict[int, int]:
    """The parent of every room but the first, by a depth-first walk: long ways, few branches."""
    parents: dict[int, int] = {}
    stack = [0]
    while stack:
        row, column = divmod(stack[-1], side)
        steps = [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
        near = [r * side + c for r, c in steps if 0 <= r < side and 0 <= c < side]
        free = [room for room in near if room and room not in parents]
        if free:
            room = free[random.integers(len(free))]
            parents[room] = stack[-1]
            stack.append(room)
        else:
            stack.pop()
    return parents


def _way(parents: dict[int, int], room: int) -> list[int]:
    """The rooms from the first to ``room``."""
    way = [room]
    while way[-1] in parents:
        way.append(parents[way[-1]])
    return way[::-1]


@struct.dataclass
class KeyMazeParams:
    """``sticky``: the probability that the last executed action is repeated instead of the one chosen.

    Machado et al. 2018, "Revisiting the Arcade Learning Environment": 0.25 there. 0: deterministic.
    """

    sticky: Any = 0.0


class KeyMazeState(NamedTuple):
    """The world, and the action executed last, ``int32``, -1 at the start."""

    world: World
    last: jax.Array


@dataclass(frozen=True)
class KeyMaze:
    """Fetch a key, open the next door, and so on to the goal: reward 1 there, which ends the episode, 0 before.

    The observation is ``bool``: row, column, direction, progress and the tile ahead, each one-hot, which is all that there is to
    know; or, with ``view``, what the agent sees. ``info``, of the state after the step: ``cell``, ``progress``, ``success``.

    Attributes:
        side: rooms along each side of the map.
        size: side of a room with its walls.
        keys: how many, and as many locked doors.
        seed: of the map.
        sticky: of the default task (see :class:`KeyMazeParams`).
        view: side of the square that the agent sees, odd; ``None``: the facts.
        time_limit: steps after which the loop truncates.
        name: of the environment.
    """

    side: int = 5
    size: int = 6
    keys: int = 4
    seed: int = 0
    sticky: float = 0.0
    view: int | None = None
    time_limit: int | None = 1000
    name: str = "grid/key-maze"

    def __post_init__(self) -> None:
        if self.view is not None:
            check_view(self.name, self.view)
        rooms, sizes = Annotated[int, Range(2, 100)], Annotated[int, Range(4, 100)]
        check_numbers(f"{self.name}'s", self, side=rooms, size=sizes, keys=Annotated[int, Range(1, 10_000)], seed=CountOrZero)
        check_numbers(f"{self.name}'s", self, sticky=Share, time_limit=Count | None)
        _ = self.plan

    @property
    def plan(self) -> Plan:
        """The map, a function of the sizes and ``seed``."""
        return plan(self.side, self.size, self.keys, self.seed)

    @property
    def default_params(self) -> KeyMazeParams:
        return KeyMazeParams(np.float32(self.sticky))

    @property
    def num_cells(self) -> int:
        """How many values :meth:`cell_of` has; not all of them can be reached."""
        return self.plan.tiles.size * (2 * self.keys + 1)

    def progress(self, state: KeyMazeState) -> jax.Array:
        """Keys taken plus doors unlocked, ``int32`` in ``[0, 2 * keys]``. They can only be done in turn, so it tells which."""
        keys, doors = self.plan.keys, self.plan.doors
        taken = state.world.tiles[keys[:, 0], keys[:, 1]] != KEY
        unlocked = state.world.tiles[doors[:, 0], doors[:, 1]] != LOCKED
        return jnp.sum(taken, dtype=jnp.int32) + jnp.sum(unlocked, dtype=jnp.int32)

    def cell_of(self, state: KeyMazeState) -> jax.Array:
        """The agent's place and progress as one ``int32`` in ``[0, num_cells)``; the direction is left out."""
        row, column = state.world.position
        return (row * self.plan.tiles.shape[1] + column) * (2 * self.keys + 1) + self.progress(state)

    def observation_space(self, params: Any) -> Space:
        height, width = self.plan.tiles.shape
        facts = (height + width + 4 + 2 * self.keys + 1 + GOAL + 1,)
        return Box.of(0, 1, facts if self.view is None else (self.view, self.view, PLANES), np.bool_)

    def action_space(self, params: Any) -> Space:
        return Discrete(4)

    def reset(self, key: Key, params: KeyMazeParams) -> tuple[KeyMazeState, jax.Array]:
        """Always the same; ``key`` is not used."""
        tiles, start = jnp.asarray(self.plan.tiles), jnp.asarray(self.plan.start)
        world = World(tiles, start, jnp.full((), EAST, jnp.int32), jnp.zeros((), jnp.int32))
        state = KeyMazeState(world, jnp.full((), -1, jnp.int32))
        return state, self._see(state)

    def step(self, key: Key, state: KeyMazeState, action: jax.Array, params: KeyMazeParams) -> Step:
        """``key`` decides whether the action sticks."""
        sticks = (jax.random.uniform(key, (), jnp.float32) < params.sticky) & (state.last >= 0)
        action = jnp.where(sticks, state.last, jnp.asarray(action, jnp.int32))
        state = KeyMazeState(act(state.world, action), action)
        reached = on_goal(state.world)
        info = {"cell": self.cell_of(state), "progress": self.progress(state), "success": reached}
        return Step(state, self._see(state), reached.astype(jnp.float32), reached, jnp.zeros((), bool), info)

    def _see(self, state: KeyMazeState) -> jax.Array:
        if self.view is not None:
            return view(state.world, self.view)
        world, (height, width) = state.world, self.plan.tiles.shape
        numbers = (*world.position, world.direction, self.progress(state), ahead(world).astype(jnp.int32))
        sizes = (height, width, 4, 2 * self.keys + 1, GOAL + 1)
        hot = [number == jnp.arange(size, dtype=jnp.int32) for number, size in zip(numbers, sizes, strict=True)]
        return jnp.concatenate(hot)
