"""Token worlds by name."""

from collections.abc import Callable
from typing import Any

from rl_jax.envs.tokens.attempts import Attempts, Feedback
from rl_jax.envs.tokens.chain import Chain
from rl_jax.envs.tokens.task import TokenTask
from rl_jax.envs.tokens.world import TokenWorld
from rl_jax.errors import RLJaxError


def attempts(turns: int = 2, feedback: Feedback = "unary", **options: Any) -> TokenWorld:
    """``tokens/attempts``: see :class:`~rl_jax.envs.tokens.attempts.Attempts`; further options are of the chains."""
    return TokenWorld(Attempts(Chain(**options), turns, feedback))


def world_of(task: Callable[..., TokenTask], **fixed: Any) -> Callable[..., TokenWorld]:
    """A factory of worlds of a task, with the task's options but those that are ``fixed``."""

    def make(**options: Any) -> TokenWorld:
        if given := sorted(fixed.keys() & options):
            name = TokenWorld(task(**fixed)).name
            raise RLJaxError(f"{name} has {given[0]}={fixed[given[0]]}: leave {given[0]} out, or make another world")
        return TokenWorld(task(**fixed, **options))

    return make


TOKENS: dict[str, Callable[..., TokenWorld]] = {
    "tokens/chain": world_of(Chain),
    "tokens/chain-answer": world_of(Chain, answer_only=True),
    "tokens/attempts": attempts,
}
"""Factories of the token worlds; equal arguments make equal (and equally hashed) environments."""
