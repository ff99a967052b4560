"""The point worlds: a disc that is pushed through a map of walls to a goal. Every one is a choice of map, numbers and observation."""

import functools
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.argument_checks import check_argument, check_numbers
from rl_jax.envs.point.layouts import read
from rl_jax.envs.point.motion import accelerate, slide, top_speed
from rl_jax.envs.point.point_task import PointParams, distance_to, draw_cell, near, sparse_reward
from rl_jax.envs.point.sight import Sight
from rl_jax.ops.arrays.shortest import all_distances, next_middle
from rl_jax.spaces import Box, ObsSpace, Space
from rl_jax.types import Key, Step
from rl_jax.values import Count, NotNegative, Number, Range, Share


class PointState(NamedTuple):
    """``position``, ``velocity``: ``float32 [2]``, row and column, in cells (a step). ``goal``: ``int32 [2]``, its cell.

    ``distance``: ``float32``, to the goal. ``gate``: ``int32``, the number of the last gate passed, 0 for none.
    """

    position: jax.Array
    velocity: jax.Array
    goal: jax.Array
    distance: jax.Array
    gate: jax.Array


@dataclass(frozen=True)
class PointMaze:
    """Reach the goal; the action is the force (or velocity) along rows and columns, ``float32 [2]`` in [-1, 1].

    ``info``, of the state after the step: ``distance`` (to the goal, in cells, see
    :func:`rl_jax.ops.arrays.shortest.distance_at`), ``success`` (the goal is reached), ``cell`` (``row * W + column``) and, of a layout
    with gates, ``route`` (the number of the last gate passed, 0 for none).

    The observation is :class:`~rl_jax.envs.point.sight.Sight`'s. Observations of ``goal="dictionary"`` can be relabelled:
    ``hindsight(env.reached, env.with_goal, env.reward)``.

    Attributes:
        name: of the environment.
        layout: the map, see :mod:`rl_jax.envs.point.layouts`.
        time_limit: steps after which the loop truncates.
        goal: where the observation shows the goal.
        velocity: whether it shows the velocity.
        fourier: octaves of Fourier features of positions.
        radius, goal_radius, gain, friction, noise, spread, progress, distance, success, time, ends: of the default task, see
            :class:`PointParams`.
    """

    name: str
    layout: tuple[str, ...]
    time_limit: int | None
    goal: Literal["hidden", "vector", "dictionary"] = "hidden"
    velocity: bool = True
    fourier: int = 0
    radius: float = 0.2
    goal_radius: float = 0.4
    gain: float = 0.05
    friction: float = 0.2
    noise: float | None = None
    spread: float = 1.0
    progress: float = 0.0
    distance: float = 0.0
    success: float = 0.0
    time: float = 0.0
    ends: bool = True

    def __post_init__(self) -> None:
        read(self.layout)
        half, step, octaves = Annotated[float, Range(0.01, 0.45)], Annotated[float, Range(1e-3, 1)], Annotated[int, Range(0, 8)]
        whose = f"{self.name}'s"
        check_argument(f"{whose} goal", self.goal, Literal["hidden", "vector", "dictionary"])
        check_numbers(whose, self, time_limit=Count | None, velocity=bool, fourier=octaves, ends=bool)
        check_numbers(
            whose, self, radius=half, goal_radius=half, gain=step, friction=step, noise=NotNegative | None, spread=Share
        )
        check_numbers(whose, self, progress=Number, distance=Number, success=Number, time=Number)

    @property
    def sight(self) -> Sight:
        """What is seen."""
        return Sight((len(self.layout), len(self.layout[0])), self.velocity, self.fourier, self.goal)

    @property
    def num_cells(self) -> int:
        """How many values ``info["cell"]`` has."""
        return len(self.layout) * len(self.layout[0])

    @property
    def gated(self) -> bool:
        """Whether the layout has gates."""
        return any(sign.isdigit() for sign in "".join(self.layout))

    @property
    def default_params(self) -> PointParams:
        layout = read(self.layout)
        return self._with_numbers(*layout, distances=_distances_of(self.layout))

    def task(self, walls: Any, starts: Any, goals: Any, gates: Any = None) -> PointParams:
        """The default task on another map, all ``[H, W]`` as the layout; can be vmapped. See :class:`PointParams`."""
        walls = jnp.asarray(walls, bool)
        gates = jnp.zeros(walls.shape, jnp.int32) if gates is None else gates
        return self._with_numbers(walls, starts, goals, gates, distances=all_distances(walls))

    def _with_numbers(self, walls: Any, starts: Any, goals: Any, gates: Any, distances: Any) -> PointParams:
        names = ("radius", "goal_radius", "gain", "friction", "noise", "spread", "progress", "distance", "success", "time")
        given = {name: getattr(self, name) for name in names}
        numbers = {name: None if value is None else np.float32(value) for name, value in given.items()}
        return PointParams(walls, starts, goals, gates, distances, ends=np.bool_(self.ends), **numbers)

    def observation_space(self, params: Any) -> ObsSpace:
        return self.sight.space

    def action_space(self, params: Any) -> Space:
        return Box.of(-1, 1, (2,))

    def reset(self, key: Key, params: PointParams) -> tuple[PointState, Any]:
        """At rest in a cell where episodes start, with the goal in another one."""
        key_start, key_goal, key_place = jax.random.split(key, 3)
        start = draw_cell(key_start, params.starts)
        goal = draw_cell(key_goal, params.goals, start)
        jitter = jax.random.uniform(key_place, (2,), jnp.float32, -1.0, 1.0) * params.spread * (0.5 - params.radius)
        position = start + 0.5 + jitter
        state = PointState(
            position, jnp.zeros(2, jnp.float32), goal, distance_to(goal, position, params), jnp.zeros((), jnp.int32)
        )
        return state, self._see(state, params)

    def step(self, key: Key, state: PointState, action: jax.Array, params: PointParams) -> Step:
        """``key`` decides the noise."""
        force = jnp.asarray(action, jnp.float32)
        if params.noise is not None:
            force = force + params.noise * jax.random.normal(key, (2,), jnp.float32)
        force = jnp.clip(force, -1.0, 1.0)
        velocity = accelerate(state.velocity, force, params.gain, params.friction, params.radius)
        position, stopped = slide(jnp.asarray(params.walls), params.radius, state.position, velocity)
        cell = jnp.floor(position).astype(jnp.int32)
        gate = jnp.asarray(params.gates)[cell[0], cell[1]]
        distance = distance_to(state.goal, position, params)
        reached = near(position, state.goal + 0.5, params)
        reward = sparse_reward(reached, params) - params.distance * distance + params.progress * (state.distance - distance)
        info = {"distance": distance, "success": reached, "cell": cell[0] * params.walls.shape[1] + cell[1]}
        state = PointState(
            position, jnp.where(stopped, 0.0, velocity), state.goal, distance, jnp.where(gate > 0, gate, state.gate)
        )
        if self.gated:
            info["route"] = state.gate
        return Step(state, self._see(state, params), reward, reached & params.ends, jnp.zeros((), bool), info)

    def oracle(self, state: PointState, params: PointParams) -> jax.Array:
        """The action ``[2]`` that steers along a shortest way, and can still stop at the next cell; it reaches every goal.

        Which way is that of ``params.distances``: those of a map with one route closed make it take the other.
        """
        error = next_middle(jnp.asarray(params.distances), state.position, state.goal) - state.position
        # From this speed a full force brakes to rest on the way that is left.
        speed = jnp.minimum(jnp.abs(error), jnp.sqrt(2 * params.gain * jnp.abs(error)))
        force = (jnp.sign(error) * speed - (1 - params.friction) * state.velocity) / params.gain
        return jnp.clip(force, -1.0, 1.0)

    def reached(self, obs: Any) -> jax.Array:
        """The goal, as the observation shows it, that lies where the disc is; see :class:`rl_jax.replay.hindsight.Hindsight`."""
        return self.sight.reached(obs)

    def with_goal(self, obs: Any, goal: jax.Array) -> Any:
        """An observation as if the goal had been another, as :meth:`reached` gives it."""
        return self.sight.with_goal(obs, goal)

    def reward(self, next_obs: Any, goal: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Reward and termination of arriving at ``next_obs`` ``[...]`` when ``goal`` was wanted: of ``success`` and ``time`` alone."""
        params = self.default_params
        reached = near(self.sight.place(self.reached(next_obs)), self.sight.place(goal), params)
        return sparse_reward(reached, params), reached & params.ends

    def _see(self, state: PointState, params: PointParams) -> Any:
        speed = state.velocity / top_speed(params.gain, params.friction, params.radius)
        return self.sight.see(state.position, speed, state.goal + 0.5)


@functools.cache
def _distances_of(layout: tuple[str, ...]) -> np.ndarray:
    with jax.ensure_compile_time_eval():  # the first to ask may be tracing
        return np.asarray(jax.jit(all_distances)(read(layout).walls))
