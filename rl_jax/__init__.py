"""rl_jax: what optax is for gradients, rl_jax is for experience."""

from typing import TYPE_CHECKING

from rl_jax._lazy import lazy

if TYPE_CHECKING:
    from rl_jax import agents, curricula, data, envs, experience, ideas, losses, meta, networks, ops, replay
    from rl_jax.envs import make
    from rl_jax.errors import MissingExtra, NonFinite, ProtocolError, RLJaxError, UnsupportedSpace
    from rl_jax.experience import chain
    from rl_jax.loop import Evaluation, Trainer, TrainState, evaluate, play
    from rl_jax.run.python.loading import load
    from rl_jax.run.python.running import run
    from rl_jax.types import Context, Rollout, Sample, Spec, Step

lazy(__name__)

__version__ = "0.1.0"

__all__ = [
    "Context",
    "Evaluation",
    "MissingExtra",
    "NonFinite",
    "ProtocolError",
    "RLJaxError",
    "Rollout",
    "Sample",
    "Spec",
    "Step",
    "TrainState",
    "Trainer",
    "UnsupportedSpace",
    "agents",
    "chain",
    "curricula",
    "data",
    "envs",
    "evaluate",
    "experience",
    "ideas",
    "load",
    "losses",
    "make",
    "meta",
    "networks",
    "ops",
    "play",
    "replay",
    "run",
]
