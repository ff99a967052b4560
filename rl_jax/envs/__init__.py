"""Environments: one protocol, adapters for gymnax and brax, probes with known answers, grid and point worlds, and names for all."""

from typing import TYPE_CHECKING

from rl_jax._lazy import lazy

if TYPE_CHECKING:
    from rl_jax.envs.adapt import TupleEnv, adapt
    from rl_jax.envs.bandit import Bandit
    from rl_jax.envs.check import check_env
    from rl_jax.envs.grid import GRIDS, DarkKeyDoor, Darkroom, KeyCorridor, KeyMaze, MultiRoom, NoisyTV, Objects, Rooms
    from rl_jax.envs.probes import PROBES, Probe
    from rl_jax.envs.registry import make, names, register
    from rl_jax.envs.suites.brax import BraxEnv
    from rl_jax.envs.suites.gymnax import GymnaxEnv
    from rl_jax.envs.trial import Trial
    from rl_jax.spaces import Box, Dict, Discrete, MultiDiscrete, Space, describe, to_env_action, to_unit_action

lazy(__name__)

__all__ = [
    "GRIDS",
    "PROBES",
    "Bandit",
    "Box",
    "BraxEnv",
    "DarkKeyDoor",
    "Darkroom",
    "Dict",
    "Discrete",
    "GymnaxEnv",
    "KeyCorridor",
    "KeyMaze",
    "MultiDiscrete",
    "MultiRoom",
    "NoisyTV",
    "Objects",
    "Probe",
    "Rooms",
    "Space",
    "Trial",
    "TupleEnv",
    "adapt",
    "check_env",
    "describe",
    "make",
    "names",
    "register",
    "to_env_action",
    "to_unit_action",
]
