"""Token worlds: tapes that a policy and an environment write together. ``TokenWorld(task)`` makes an environment of a task."""

from typing import TYPE_CHECKING

from rl_jax._lazy import lazy

if TYPE_CHECKING:
    from rl_jax.envs.tokens.attempts import Attempts, AttemptsParams
    from rl_jax.envs.tokens.chain import Chain
    from rl_jax.envs.tokens.chain_problems import ChainParams
    from rl_jax.envs.tokens.task import Problem, Reply, Tape, TokenTask, show
    from rl_jax.envs.tokens.world import FACTS, TokenWorld

lazy(__name__)

__all__ = [
    "FACTS",
    "Attempts",
    "AttemptsParams",
    "Chain",
    "ChainParams",
    "Problem",
    "Reply",
    "Tape",
    "TokenTask",
    "TokenWorld",
    "show",
]
