"""Curricula: which task or level the next episode starts in, and from which state."""

from typing import TYPE_CHECKING

from rl_jax._lazy import lazy

if TYPE_CHECKING:
    from rl_jax.curricula.archive import Archive
    from rl_jax.curricula.backward import Backward, Demonstration, demonstration, pad_demonstrations
    from rl_jax.curricula.basic import FixedTask, TaskSet
    from rl_jax.curricula.pooled import PooledStarts

lazy(__name__)

__all__ = [
    "Archive",
    "Backward",
    "Demonstration",
    "FixedTask",
    "PooledStarts",
    "TaskSet",
    "demonstration",
    "pad_demonstrations",
]
