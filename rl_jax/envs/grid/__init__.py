"""Grid worlds: rooms and keys drawn anew, hidden goals, a long maze, a few objects, and a screen full of noise."""

from collections.abc import Callable
from functools import partial

from rl_jax.envs.grid.dark_key_door import DarkKeyDoor, DarkKeyDoorParams
from rl_jax.envs.grid.darkroom import Darkroom, DarkroomParams
from rl_jax.envs.grid.key_corridor import KeyCorridor, key_corridor
from rl_jax.envs.grid.key_maze import KeyMaze, KeyMazeParams
from rl_jax.envs.grid.multi_room import MultiRoom, multi_room
from rl_jax.envs.grid.noisy_tv import NoisyTV
from rl_jax.envs.grid.objects import Objects, ObjectsParams
from rl_jax.envs.grid.rooms import Layout, Rooms, RoomsParams
from rl_jax.envs.grid.walk import Walk
from rl_jax.envs.grid.world import World
from rl_jax.types import Environment

GRIDS: dict[str, Callable[..., Environment]] = {
    "grid/multi-room": multi_room,
    "grid/key-corridor": key_corridor,
    "grid/darkroom": Darkroom,
    "grid/darkroom-hard": partial(Darkroom, size=17, once=True, name="grid/darkroom-hard"),
    "grid/dark-key-door": DarkKeyDoor,
    "grid/key-maze": KeyMaze,
    "grid/objects": Objects,
    "grid/walk": Walk,
}
"""Factories of the grid worlds that stand alone, by name. Equal arguments make equal (and equally hashed) environments."""

__all__ = [
    "GRIDS",
    "DarkKeyDoor",
    "DarkKeyDoorParams",
    "Darkroom",
    "DarkroomParams",
    "KeyCorridor",
    "KeyMaze",
    "KeyMazeParams",
    "Layout",
    "MultiRoom",
    "NoisyTV",
    "Objects",
    "ObjectsParams",
    "Rooms",
    "RoomsParams",
    "World",
    "key_corridor",
    "multi_room",
]
