"""``grid/objects``: a small room with a few objects, all of which is seen; tasks are drawn from a wide family.

The tabular worlds of Oh et al. 2020, "Discovering Reinforcement Learning Algorithms" (arXiv 2007.08794), in which rules of
learning are learned: what an object pays, whether it ends the episode and how soon it is back differ from task to task. The
family of :meth:`Objects.sample_task` is that of https://github.com/EmptyJackson/groove ("all"), without walls and with one
time limit for all tasks.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.envs.grid.darkroom import MOVES
from rl_jax.errors import RLJaxError
from rl_jax.spaces import Discrete, Space
from rl_jax.types import Key, Step
from rl_jax.values import Count, Range


@struct.dataclass
class ObjectsParams:
    """The task.

    Attributes:
        start: cell in which episodes begin, ``int32``.
        place: cell of each object ``int32[K]``.
        reward: for stepping on it while it is there ``float32[K]``.
        ends: probability that the episode ends with that ``float32[K]``.
        returns: probability per step that an object that was taken is back ``float32[K]``.
    """

    start: Any
    place: Any
    reward: Any
    ends: Any
    returns: Any


class ObjectsState(NamedTuple):
    """``cell``: ``int32``, ``row * size + column``. ``there``: which objects are, ``bool[K]``."""

    cell: jax.Array
    there: jax.Array


@dataclass(frozen=True)
class Objects:
    """Step on objects, which take effect at once and are gone for a while.

    The observation is one number for the place and the objects that are there, so a table holds all that can be known: ``cell +
    size^2 * sum_k 2^k there_k``. ``info`` has ``cell`` and ``success``: whether the step paid more than 0.

    Attributes:
        size: side of the room.
        objects: ``K``.
        time_limit: steps after which the loop truncates.
    """

    size: int = 5
    objects: int = 3
    time_limit: int | None = 20
    name: str = "grid/objects"

    def __post_init__(self) -> None:
        check_numbers(f"{self.name}'s", self, size=Annotated[int, Range(2, 1000)], objects=Count, time_limit=Count | None)
        if not 1 <= self.objects < self.size**2:
            raise RLJaxError(f"a room of size {self.size} holds from 1 to {self.size**2 - 1} objects, not {self.objects}")

    @property
    def default_params(self) -> ObjectsParams:
        """From the first cell: the last object, in the last cell, pays 1 and ends the episode; the others, before it, take 1."""
        count, last = self.objects, np.arange(self.objects) == self.objects - 1
        place = self.num_cells - count + np.arange(count)
        ones = np.ones((count,), np.float32)
        pays = np.where(last, 1.0, -1.0).astype(np.float32)
        return ObjectsParams(np.int32(0), place.astype(np.int32), pays, last.astype(np.float32), 0.1 * ones)

    @property
    def num_cells(self) -> int:
        """How many values ``info["cell"]`` has."""
        return self.size**2

    def sample_task(self, key: Key) -> ObjectsParams:
        """Different cells for start and objects; one object pays up to 1, the others from -1 to 1.

        An object ends the episode with a probability from 0.01 to 1 and is back with one from 0.001 to 0.1, both uniform in their
        logarithm.
        """
        keys = jax.random.split(key, 4)
        cells = jax.random.permutation(keys[0], jnp.arange(self.num_cells, dtype=jnp.int32))[: self.objects + 1]
        low = jnp.where(jnp.arange(self.objects) == 0, 0.0, -1.0).astype(jnp.float32)
        shape = (self.objects,)
        reward = jax.random.uniform(keys[1], shape, jnp.float32, low, 1.0)

        def between(key: Key, low: float, high: float) -> jax.Array:
            return jnp.exp(jax.random.uniform(key, shape, jnp.float32, math.log(low), math.log(high)))

        return ObjectsParams(cells[0], cells[1:], reward, between(keys[2], 1e-2, 1.0), between(keys[3], 1e-3, 1e-1))

    def observation_space(self, params: Any) -> Space:
        return Discrete(self.num_cells * 2**self.objects)

    def action_space(self, params: Any) -> Space:
        return Discrete(len(MOVES))

    def see(self, state: ObjectsState) -> jax.Array:
        """The observation, ``int32``."""
        bits = jnp.sum(state.there * 2 ** jnp.arange(self.objects, dtype=jnp.int32), dtype=jnp.int32)
        return (state.cell + self.num_cells * bits).astype(jnp.int32)

    def reset(self, key: Key, params: ObjectsParams) -> tuple[ObjectsState, jax.Array]:
        """At the task's start, all objects there; nothing is drawn."""
        state = ObjectsState(jnp.asarray(params.start, jnp.int32), jnp.ones((self.objects,), bool))
        return state, self.see(state)

    def step(self, key: Key, state: ObjectsState, action: jax.Array, params: ObjectsParams) -> Step:
        """Move (stay, up, right, down, left) and take the object on that cell; objects taken before may return."""
        key_end, key_return = jax.random.split(key)
        row, column = state.cell // self.size, state.cell % self.size
        position = jnp.clip(jnp.stack([row, column]) + jnp.asarray(MOVES)[action], 0, self.size - 1)
        cell = (position[0] * self.size + position[1]).astype(jnp.int32)
        taken = state.there & (jnp.asarray(params.place) == cell)
        reward = jnp.sum(jnp.where(taken, params.reward, 0.0), dtype=jnp.float32)
        ended = jax.random.uniform(key_end, (), jnp.float32) < jnp.sum(jnp.where(taken, params.ends, 0.0))
        returned = jax.random.uniform(key_return, (self.objects,), jnp.float32) < params.returns
        next_state = ObjectsState(cell, (state.there | returned) & ~taken)
        info = {"cell": cell, "success": reward > 0.0}
        return Step(next_state, self.see(next_state), reward, ended, jnp.zeros((), bool), info)
