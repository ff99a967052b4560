"""Replay: where experience is kept between being collected and being learned from."""

from rl_jax.replay.on_policy import OnPolicy

__all__ = ["OnPolicy"]
