"""A task of the point worlds: its map and its numbers, and what follows from them alone."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.ops import random_index
from rl_jax.ops.arrays.shortest import distance_at
from rl_jax.types import Key


@struct.dataclass
class PointParams:
    """The task. :meth:`PointMaze.task` makes one for other walls, whose distances it finds.

    Attributes:
        walls, starts, goals: ``bool [H, W]``: walls all round; cells in which episodes start; cells of which one is the goal, but
            that of the start.
        gates: ``int32 [H, W]``: numbers of cells that are remembered when they are passed; 0: not remembered.
        distances: ``float32 [H, W, H, W]``, from every cell (last) to every other (first), see :mod:`rl_jax.ops.arrays.shortest`.
        radius: of the disc, in cells.
        goal_radius: how near to the middle of the goal's cell counts as there, in cells.
        gain: cells a step that a full force adds to the speed.
        friction: share of the speed that is lost in a step; 1: the action is the velocity.
        noise: standard deviation of what is added to each action, which is then clipped; ``None``: nothing is drawn, which is faster.
        spread: where in its cell an episode starts: 0 in the middle, 1 anywhere.
        progress, distance, success, time: the reward is ``progress`` times the cells by which the distance to the goal became
            shorter, minus ``distance`` times the distance, plus ``success`` at the goal, minus ``time`` away from it.
        ends: whether the episode ends at the goal.
    """

    walls: Any
    starts: Any
    goals: Any
    gates: Any
    distances: Any
    radius: Any
    goal_radius: Any
    gain: Any
    friction: Any
    noise: Any
    spread: Any
    progress: Any
    distance: Any
    success: Any
    time: Any
    ends: Any


def distance_to(goal: jax.Array, position: jax.Array, params: PointParams) -> jax.Array:
    """The length of the shortest way from ``position`` ``[2]`` to the cell ``goal`` ``int32 [2]``, in cells."""
    return distance_at(jnp.asarray(params.distances), position, goal)


def near(position: jax.Array, goal: jax.Array, params: PointParams) -> jax.Array:
    """Whether the goal ``[..., 2]``, a place, counts as reached at ``position`` ``[..., 2]``."""
    return jnp.sum((position - goal) ** 2, axis=-1) < params.goal_radius**2


def sparse_reward(reached: jax.Array, params: PointParams) -> jax.Array:
    """The part of the reward that depends on whether the goal is reached alone."""
    return jnp.where(reached, params.success, -params.time)


def draw_cell(key: Key, cells: jax.Array, but: jax.Array | None = None) -> jax.Array:
    """One of the marked cells ``bool [H, W]``, ``int32 [2]``; another one than ``but``, if there is one."""
    flat, width = jnp.asarray(cells).reshape(-1), cells.shape[1]
    if but is not None:
        others = flat & (jnp.arange(flat.shape[0], dtype=jnp.int32) != but[0] * width + but[1])
        flat = jnp.where(jnp.any(others), others, flat)
    number = random_index(key, (), jnp.sum(flat, dtype=jnp.int32))
    index = jnp.argmax(jnp.cumsum(flat, dtype=jnp.int32) > number).astype(jnp.int32)
    return jnp.stack([index // width, index % width])
