"""Curricula: which task or level the next episode starts in, and from which state."""

from typing import TYPE_CHECKING

from rl_jax._lazy import lazy

if TYPE_CHECKING:
    from rl_jax.curricula.backward import Backward, Demonstration, demonstration, pad_demonstrations
    from rl_jax.curricula.basic import FixedTask, TaskSet
    from rl_jax.curricula.pooled import PooledStarts
    from rl_jax.ideas.exploration.go_explore import Archive, GoExplore

lazy(__name__)

__all__ = [
    "Archive",
    "Backward",
    "Demonstration",
    "FixedTask",
    "GoExplore",
    "PooledStarts",
    "TaskSet",
    "demonstration",
    "pad_demonstrations",
]
