"""The loop: one compiled train step, scanned."""

from rl_jax.loop.evaluate import Evaluation, evaluate
from rl_jax.loop.trainer import Trainer, TrainState

__all__ = ["Evaluation", "TrainState", "Trainer", "evaluate"]
