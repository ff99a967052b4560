"""Curricula: which task or level the next episode starts in, and from which state."""

from rl_jax.curricula.basic import FixedTask, TaskSet

__all__ = ["FixedTask", "TaskSet"]
