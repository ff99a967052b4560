"""Answers to one problem, printed: who wrote what, and the reward and the advantage of each token."""

import os
import sys
from typing import Any

import numpy as np

from rl_jax.envs.tokens import TokenWorld
from rl_jax.envs.tokens.task import PAD, character
from rl_jax.errors import RLJaxError
from rl_jax.experience.tape_scores import tape_of
from rl_jax.types import Rollout

#: Terminal colours: the prompt grey, the policy bold, the environment blue, what is above the group green, what is below red.
GREY, BOLD, BLUE, GREEN, RED = "90", "1", "34", "32", "31"
WIDTH = 6  # characters of a cell


def check_tapes(env: Any, number: int, columns: int) -> TokenWorld:
    """The token world of a run; refuses others, and more tapes than a rollout has.

    Raises:
        RLJaxError: with what to change.
    """
    if not isinstance(env, TokenWorld):
        raise RLJaxError(f"--tapes prints episodes of token worlds, and {env.name} is none: leave it out")
    if number > columns:
        raise RLJaxError(f"--tapes {number} is more than the {columns} episodes of a train step: use --tapes {columns}")
    return env


def tapes(env: TokenWorld, rollout: Rollout, number: int, colours: bool) -> str:
    """Columns of a rollout, three lines each: tokens, rewards where there are any, advantages.

    Of groups that began alike two columns are shown each, or more where there are fewer groups.

    Args:
        env: the token world.
        rollout: ``[T, N]``, of whole episodes, after the experience chain.
        number: columns.
        colours: for a terminal; otherwise the policy's tokens stand in brackets.
    """
    own, reward = np.asarray(rollout.extras["own"]), np.asarray(rollout.reward)
    tokens = np.asarray(tape_of(rollout))
    advantage = np.asarray(rollout.extras["advantage"]) if "advantage" in rollout.extras else None
    size = getattr(rollout.level, "size", 1)
    lines = [_legend(colours)]
    for column in _spread(reward.shape[1], size, number):
        shown = [_token(env, tokens[:, column], own[:, column], position, colours) for position in range(len(tokens))]
        lines += ["", "".join(shown).rstrip()]
        lines += _numbers("reward", reward[:, column], colours)
        if advantage is not None:
            group = reward[:, column // size * size :][:, :size].sum(axis=0)
            agree = size > 1 and bool((group == group[0]).all())
            credit = np.where(own[:, column], advantage[:, column], 0.0)
            lines += _numbers("advantage", credit, colours) or ["advantage 0: the group agrees" if agree else "advantage 0"]
    return "\n".join(lines)


def _spread(columns: int, size: int, number: int) -> list[int]:
    """So many columns, of as many groups of ``size`` as there are for at least two of each."""
    each = min(size, max(2, -(-number * size // columns)))
    return [column for column in range(columns) if column % size < each][:number]


def _numbers(name: str, values: np.ndarray, colours: bool) -> list[str]:
    """The line of a number per step, each under its token; none where all are zero."""
    cells = [_number(value, colours) for value in values]
    return [" " * WIDTH + "".join(cells).rstrip() + f"   {name}"] if any(map(str.strip, cells)) else []


def in_colour() -> bool:
    """Whether standard output takes colours."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def _legend(colours: bool) -> str:
    parts = (("prompt", GREY), ("policy", BOLD), ("environment", BLUE))
    return "  ".join(_painted(name, code, colours) for name, code in parts) if colours else "[x]: written by the policy"


def _token(env: TokenWorld, tokens: np.ndarray, own: np.ndarray, position: int, colours: bool) -> str:
    """A position of the tape; a token at position ``t + 1`` was written at step ``t``."""
    text = "" if tokens[position] == PAD else character(int(tokens[position])).strip("{}")
    written = position > 0 and bool(own[position - 1])
    if written and not colours:
        text = f"[{text}]"
    code = BOLD if written else GREY if position < env.task.prompt_length else BLUE
    return _painted(text.center(WIDTH), code, colours)


def _number(value: float, colours: bool) -> str:
    """A number under its token, with an exponent where two decimals are too few or the cell too narrow; nothing where it is zero."""
    if value == 0:
        return " " * WIDTH
    text = f"{value:+.2f}"
    if len(text) >= WIDTH or not float(text):
        text = f"{value:+.0e}".replace("e-0", "e-").replace("e+0", "e+")
    return _painted(text.center(WIDTH), GREEN if value > 0 else RED, colours)


def _painted(text: str, code: str, colours: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colours and text.strip() else text
