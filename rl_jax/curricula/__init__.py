"""Curricula: which task or level the next episode starts in, and from which state."""

from rl_jax.curricula.basic import FixedTask, TaskSet
from rl_jax.curricula.pooled import PooledStarts

__all__ = ["FixedTask", "PooledStarts", "TaskSet"]
