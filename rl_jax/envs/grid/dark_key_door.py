"""``grid/dark-key-door``: find an invisible key, then an invisible door.

Laskin et al. 2022, "In-context Reinforcement Learning with Algorithm Distillation": 9 x 9, 50 steps, 6561 tasks, random starts. That an
episode ends at the door, and that both rewards come at once where key and door share a place, is as in
https://github.com/corl-team/toy-meta-gym.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.envs.grid.darkroom import MOVES, Square
from rl_jax.ops import random_index
from rl_jax.spaces import Discrete, Space
from rl_jax.types import Key, Step
from rl_jax.values import Count


@struct.dataclass
class DarkKeyDoorParams:
    """The task: where key and door are, each ``int32[2]``, row and column. They may be in one place."""

    key: Any
    door: Any


class DarkKeyDoorState(NamedTuple):
    """``position``: ``int32[2]``. ``has_key``, ``opened``: what was found. ``key``, ``door``: the task's, kept only to be drawn."""

    position: jax.Array
    has_key: jax.Array
    opened: jax.Array
    key: jax.Array
    door: jax.Array


@dataclass(frozen=True)
class DarkKeyDoor:
    """Find the key, then the door: reward 1 for each, once.

    ``info``, of the state after the step: ``cell`` (``row * size + column``), ``carried`` (1 with the key) and ``success`` (the
    door is open).

    Attributes:
        size: side of the room.
        terminate: the episode ends when the door is opened. Otherwise it goes on without reward until the time limit.
        time_limit: steps after which the loop truncates.
        random_start, one_hot: see :class:`Square`.
        name: of the environment.
    """

    size: int = 9
    terminate: bool = True
    time_limit: int | None = 50
    random_start: bool = True
    one_hot: bool = False
    name: str = "grid/dark-key-door"

    def __post_init__(self) -> None:
        _ = self.room
        check_numbers(f"{self.name}'s", self, terminate=bool, time_limit=Count | None)

    @property
    def room(self) -> Square:
        return Square(self.size, self.random_start, self.one_hot)

    @property
    def default_params(self) -> DarkKeyDoorParams:
        """The key in the first corner, the door in the last."""
        return DarkKeyDoorParams(np.zeros((2,), np.int32), np.full((2,), self.size - 1, np.int32))

    @property
    def num_cells(self) -> int:
        """How many values ``info["cell"]`` has."""
        return self.size**2

    def sample_task(self, key: Key) -> DarkKeyDoorParams:
        """Key and door anywhere, each by itself."""
        places = self.room.place(random_index(key, (2,), self.size**2))
        return DarkKeyDoorParams(places[0], places[1])

    def all_tasks(self) -> DarkKeyDoorParams:
        """Every pair of places, leading axis ``[size^4]``: 6561 for a side of 9."""
        pairs = jnp.arange(self.size**4, dtype=jnp.int32)
        return DarkKeyDoorParams(self.room.place(pairs // self.size**2), self.room.place(pairs % self.size**2))

    def observation_space(self, params: Any) -> Space:
        return self.room.space

    def action_space(self, params: Any) -> Space:
        return Discrete(len(MOVES))

    def reset(self, key: Key, params: DarkKeyDoorParams) -> tuple[DarkKeyDoorState, jax.Array]:
        """Anywhere, or in the middle, with nothing found."""
        none = jnp.zeros((), bool)
        state = DarkKeyDoorState(self.room.start(key), none, none, *_places(params))
        return state, self.room.see(state.position)

    def step(self, key: Key, state: DarkKeyDoorState, action: jax.Array, params: DarkKeyDoorParams) -> Step:
        """Deterministic; ``key`` is not used."""
        position = self.room.move(state.position, action)
        place_of_key, place_of_door = _places(params)
        has_key = state.has_key | jnp.all(position == place_of_key)
        opened = state.opened | (has_key & jnp.all(position == place_of_door))
        reward = (has_key & ~state.has_key).astype(jnp.float32) + (opened & ~state.opened).astype(jnp.float32)
        state = DarkKeyDoorState(position, has_key, opened, place_of_key, place_of_door)
        info = {"cell": self.room.index(position), "carried": has_key.astype(jnp.int32), "success": opened}
        return Step(state, self.room.see(position), reward, opened & bool(self.terminate), jnp.zeros((), bool), info)


def _places(params: DarkKeyDoorParams) -> tuple[jax.Array, jax.Array]:
    return jnp.asarray(params.key, jnp.int32), jnp.asarray(params.door, jnp.int32)
