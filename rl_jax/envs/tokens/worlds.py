"""Token worlds by name."""

from collections.abc import Callable
from typing import Any

from rl_jax.envs.tokens.attempts import Attempts, Feedback
from rl_jax.envs.tokens.chain import Chain
from rl_jax.envs.tokens.task import TokenTask
from rl_jax.envs.tokens.world import TokenWorld


def attempts(turns: int = 2, feedback: Feedback = "unary", **options: Any) -> TokenWorld:
    """``tokens/attempts``: see :class:`~rl_jax.envs.tokens.attempts.Attempts`; further options are of the chains."""
    return TokenWorld(Attempts(Chain(**options), turns, feedback))


def world_of(task: Callable[..., TokenTask], **usual: Any) -> Callable[..., TokenWorld]:
    """A factory of worlds of a task, with the task's options."""
    return lambda **options: TokenWorld(task(**usual | options))


TOKENS: dict[str, Callable[..., TokenWorld]] = {
    "tokens/chain": world_of(Chain),
    "tokens/chain-answer": world_of(Chain, answer_only=True),
    "tokens/attempts": attempts,
}
"""Factories of the token worlds; equal arguments make equal (and equally hashed) environments."""
