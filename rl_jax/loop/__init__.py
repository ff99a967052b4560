"""The loop: one compiled train step, scanned."""

from typing import TYPE_CHECKING

from rl_jax._lazy import lazy

if TYPE_CHECKING:
    from rl_jax.loop.evaluate import Evaluation, evaluate
    from rl_jax.loop.play import play
    from rl_jax.loop.trainer import Trainer, TrainState
    from rl_jax.loop.updates import Constant, PerStep

lazy(__name__)

__all__ = ["Constant", "Evaluation", "PerStep", "TrainState", "Trainer", "evaluate", "play"]
