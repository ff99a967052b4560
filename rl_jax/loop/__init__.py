"""The loop: one compiled train step, scanned."""

from rl_jax.loop.evaluate import Evaluation, evaluate
from rl_jax.loop.play import play
from rl_jax.loop.trainer import Trainer, TrainState
from rl_jax.loop.updates import Constant, PerStep

__all__ = ["Constant", "Evaluation", "PerStep", "TrainState", "Trainer", "evaluate", "play"]
