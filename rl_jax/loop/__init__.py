"""The loop: one compiled train step, scanned."""

from typing import TYPE_CHECKING

from rl_jax._lazy import lazy

if TYPE_CHECKING:
    from rl_jax.loop.check_trainer import check_trainer
    from rl_jax.loop.evaluate import Evaluation, evaluate
    from rl_jax.loop.policy import Policy
    from rl_jax.loop.recording import play, record
    from rl_jax.loop.trainer import Trainer, TrainState
    from rl_jax.loop.updates import Constant, PerStep

lazy(__name__)

__all__ = [
    "Constant",
    "Evaluation",
    "PerStep",
    "Policy",
    "TrainState",
    "Trainer",
    "check_trainer",
    "evaluate",
    "play",
    "record",
]
