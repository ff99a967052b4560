"""Point worlds: a disc among walls, continuous actions, exact distances."""

from collections.abc import Callable
from functools import partial

from rl_jax.envs.point.layouts import GIANT, MEDIUM, OPEN, TWO_ROUTES, UMAZE
from rl_jax.envs.point.maze import PointMaze, PointState
from rl_jax.envs.point.point_task import PointParams
from rl_jax.types import Environment

_maze = partial(PointMaze, goal="dictionary", velocity=False, friction=1.0, time=1.0)

POINTS: dict[str, Callable[..., Environment]] = {
    "point/umaze": partial(PointMaze, name="point/umaze", layout=UMAZE, time_limit=100, distance=0.1, ends=False),
    "point/umaze-sparse": partial(PointMaze, name="point/umaze-sparse", layout=UMAZE, time_limit=100, success=1.0),
    "point/medium": partial(_maze, name="point/medium", layout=MEDIUM, time_limit=100, fourier=2, gain=0.25),
    "point/giant": partial(_maze, name="point/giant", layout=GIANT, time_limit=400, fourier=3, gain=0.25),
    "point/two-routes": partial(
        PointMaze,
        name="point/two-routes",
        layout=TWO_ROUTES,
        time_limit=60,
        velocity=False,
        gain=0.25,
        friction=1.0,
        success=1.0,
    ),
    "point/reach": partial(PointMaze, name="point/reach", layout=OPEN, time_limit=50, goal="vector", distance=0.1, ends=False),
}
"""Factories of the point worlds, by name. Equal arguments make equal (and equally hashed) environments."""

__all__ = ["POINTS", "PointMaze", "PointParams", "PointState"]
