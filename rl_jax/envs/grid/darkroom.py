"""``grid/darkroom``, ``grid/darkroom-hard``: the agent sees where it is, and nothing of the goal that it looks for.

Laskin et al. 2022, "In-context Reinforcement Learning with Algorithm Distillation". A task hides the goal in one place; who plays
many episodes of a task must remember where the reward was. Actions and rewards are those of
https://github.com/corl-team/toy-meta-gym. The hard one is 17 x 17 and pays once.
"""

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.ops import random_index
from rl_jax.spaces import Box, Discrete, Space
from rl_jax.types import Key, Step
from rl_jax.values import Count, Range

MOVES = np.array([[0, 0], [-1, 0], [0, 1], [1, 0], [0, -1]], np.int32)
"""What the actions do to row and column: stay, up, right, down, left. Walls stop the agent."""


@struct.dataclass
class DarkroomParams:
    """The task: where the goal is, ``int32[2]``, row and column."""

    goal: Any


class DarkroomState(NamedTuple):
    """``position``: ``int32[2]``. ``goal``: the task's, ``int32[2]``, kept only to be drawn."""

    position: jax.Array
    goal: jax.Array


@dataclass(frozen=True)
class Square:
    """A square room without walls inside: what both environments share.

    Attributes:
        size: side.
        random_start: start anywhere, not in the middle.
        one_hot: show the position as ``float32[size * size]`` with a single 1, not as ``float32[2]`` in ``[0, 1]``.
    """

    size: int
    random_start: bool
    one_hot: bool

    def __post_init__(self) -> None:
        check_numbers("a dark room's", self, size=Annotated[int, Range(2, 1000)], random_start=bool, one_hot=bool)

    @property
    def space(self) -> Box:
        """The observation space: one-hot, or ``[2]`` in [0, 1]."""
        return Box.of(0, 1, (self.size**2,) if self.one_hot else (2,))

    def index(self, position: jax.Array) -> jax.Array:
        """``row * size + column``, ``int32``."""
        return position[0] * self.size + position[1]

    def place(self, index: jax.Array) -> jax.Array:
        """The position of an index, ``int32[..., 2]``."""
        return jnp.stack([index // self.size, index % self.size], axis=-1)

    def start(self, key: Key) -> jax.Array:
        """The first position of an episode, ``int32[2]``."""
        if self.random_start:
            return self.place(random_index(key, (), self.size**2))
        return jnp.full((2,), self.size // 2, jnp.int32)

    def move(self, position: jax.Array, action: jax.Array) -> jax.Array:
        """One step, or none against a wall."""
        return jnp.clip(position + jnp.asarray(MOVES)[action], 0, self.size - 1)

    def see(self, position: jax.Array) -> jax.Array:
        """The observation ``float32``: one-hot ``[size^2]``, or ``[2]``."""
        if self.one_hot:
            return (self.index(position) == jnp.arange(self.size**2, dtype=jnp.int32)).astype(jnp.float32)
        return position.astype(jnp.float32) / (self.size - 1)


@dataclass(frozen=True)
class Darkroom:
    """Find the goal: reward 1 for every step that ends on it, or once.

    ``info``, of the state after the step: ``cell`` (``row * size + column``) and ``success`` (on the goal).

    Attributes:
        size: side of the room.
        once: the episode ends at the goal, with reward 1. Otherwise each step there pays, until the time limit.
        time_limit: steps after which the loop truncates.
        random_start, one_hot: see :class:`Square`.
        name: of the environment.
    """

    size: int = 9
    once: bool = False
    time_limit: int | None = 20
    random_start: bool = False
    one_hot: bool = False
    name: str = "grid/darkroom"

    def __post_init__(self) -> None:
        _ = self.room
        check_numbers(f"{self.name}'s", self, once=bool, time_limit=Count | None)

    @property
    def room(self) -> Square:
        return Square(self.size, self.random_start, self.one_hot)

    @property
    def default_params(self) -> DarkroomParams:
        """The goal in the corner that is last."""
        return DarkroomParams(np.full((2,), self.size - 1, np.int32))

    @property
    def num_cells(self) -> int:
        """How many values ``info["cell"]`` has."""
        return self.size**2

    def sample_task(self, key: Key) -> DarkroomParams:
        """A goal anywhere, also where the agent starts."""
        return DarkroomParams(self.room.place(random_index(key, (), self.size**2)))

    def all_tasks(self) -> DarkroomParams:
        """Every goal, leading axis ``[size^2]``."""
        return DarkroomParams(self.room.place(jnp.arange(self.size**2, dtype=jnp.int32)))

    def observation_space(self, params: Any) -> Space:
        return self.room.space

    def action_space(self, params: Any) -> Space:
        return Discrete(len(MOVES))

    def reset(self, key: Key, params: DarkroomParams) -> tuple[DarkroomState, jax.Array]:
        """In the middle, or anywhere."""
        state = DarkroomState(self.room.start(key), jnp.asarray(params.goal, jnp.int32))
        return state, self.room.see(state.position)

    def step(self, key: Key, state: DarkroomState, action: jax.Array, params: DarkroomParams) -> Step:
        """Deterministic; ``key`` is not used."""
        state = DarkroomState(self.room.move(state.position, action), jnp.asarray(params.goal, jnp.int32))
        success = jnp.all(state.position == state.goal)
        info = {"cell": self.room.index(state.position), "success": success}
        terminated = success & bool(self.once)
        return Step(state, self.room.see(state.position), success.astype(jnp.float32), terminated, jnp.zeros((), bool), info)
