"""Token tasks: their vocabulary, what the world and a task say to each other, and the protocol of a task."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from rl_jax.errors import RLJaxError
from rl_jax.types import Key, PyTree

#: One character for each token. Digits are their own numbers. A task uses the first ``vocabulary`` tokens; those after ``CONTROL``
#: mean what the task says.
CHARACTERS = "0123456789+-x=;.E_?!RHJTCBabcdefghij"
PLUS, MINUS, TIMES, EQUALS, SEMICOLON, NOTHING, END, PAD = range(10, 18)
"""Operators, the end of a prompt, the end of a step, a step that does nothing, the end of an answer, and what is not written."""
REVISE, WRONG, RETHINK, HINT, JUDGE, TRY, CHECK, BACK = range(18, 26)
"""Control tokens, of feedback and of written search."""
BASIC, CONTROL, ALL = 18, 26, len(CHARACTERS)
"""Sizes of vocabularies: digits to ``PAD``, with control tokens, with ten tokens of the task's own."""


class Problem(NamedTuple):
    """What is asked.

    Attributes:
        prompt: ``int32 [P]``, filled up with ``PAD`` on the left, so that all answers begin at one position.
        hidden: what the verifier knows. It reaches no observation.
    """

    prompt: jax.Array
    hidden: PyTree


class Tape(NamedTuple):
    """The state of a token world: ``L + 1`` positions, written from left to right by the environment or by the policy.

    Attributes:
        tokens: ``int32 [L + 1]``, ``PAD`` where nothing is written yet.
        own: ``bool [L + 1]``, written by the policy.
        pending: ``int32``, the last position that the environment has written; tokens up to it are shown one by one.
        time: ``int32``, the position of the token that the policy sees.
        over: the answer is given.
        problem: what is asked.
        memo: what the task remembers of the answer so far.
    """

    tokens: jax.Array
    own: jax.Array
    pending: jax.Array
    time: jax.Array
    over: jax.Array
    problem: Problem
    memo: PyTree


class Reply(NamedTuple):
    """What a task answers to a token of the policy.

    Attributes:
        tokens: ``int32 [K]``, ``K`` fixed: what the environment writes next, of which
        size: ``int32``, so many count. With 0 the policy goes on. What does not fit on the tape is lost.
        reward: ``float32``.
        over: the token completes the answer, and the episode ends.
        memo: the next one.
        facts: entries of ``info``, the same names and types in every reply: those of :data:`rl_jax.envs.tokens.world.FACTS` that the
            task knows, and others of its own under other names than ``own``.
    """

    tokens: jax.Array
    size: jax.Array
    reward: jax.Array
    over: jax.Array
    memo: PyTree
    facts: dict[str, jax.Array]


class TokenTask(Protocol):
    """What is asked, and what is answered to each token. Hashable.

    A task may also say how someone who can do it (more or less) writes, see :class:`DemonstratedTask`.
    """

    @property
    def name(self) -> str: ...

    @property
    def vocabulary(self) -> int:
        """``V``: tokens are ``0..V-1``, see :data:`CHARACTERS`."""
        ...

    @property
    def prompt_length(self) -> int:
        """``P``."""
        ...

    @property
    def length(self) -> int:
        """``L``, the steps of the longest episode: a tape has ``L + 1`` positions, of which ``L + 1 - P`` are after the prompt."""
        ...

    @property
    def default_params(self) -> PyTree: ...

    def draw(self, key: Key, params: PyTree) -> Problem: ...

    def start(self, problem: Problem, params: PyTree) -> PyTree:
        """The memo before the first token of an answer."""
        ...

    def reply(self, key: Key, tape: Tape, token: jax.Array, params: PyTree) -> Reply:
        """Answer to ``token``, which the policy writes at position ``tape.time + 1``; ``tape`` is the one before it."""
        ...


class DemonstratedTask(TokenTask, Protocol):
    """A task whose answers can be cloned, before anything is earned."""

    def demonstrate(self, key: Key, problem: Problem, params: PyTree) -> tuple[jax.Array, jax.Array]:
        """A complete tape ``int32 [L + 1]``, wrong on purpose at times, and which of it the policy is to write, ``bool [L + 1]``."""
        ...


def demonstrator(task: TokenTask, name: str) -> Callable[[Key, Problem, PyTree], tuple[jax.Array, jax.Array]]:
    """The ``demonstrate`` of a :class:`DemonstratedTask`.

    Raises:
        RLJaxError: the task has none.
    """
    if not callable(demonstrate := getattr(task, "demonstrate", None)):
        raise RLJaxError(f"{name} demonstrates nothing that could be cloned: use --clone-steps 0 (clone_steps=0)")
    return demonstrate


def show(tokens: Any, own: Any = None) -> str:
    """A tape ``[L + 1]`` for people, one character for each token, such as ``"7+3x2=00E_"``; numbers in braces are other tokens.

    Args:
        tokens: integers.
        own: ``[L + 1]``; what the policy wrote is put between ``<`` and ``>``.
    """
    written = [False] * len(tokens) if own is None else np.asarray(own, bool).tolist()
    text, before = "", False
    for token, now in zip(np.asarray(tokens).tolist(), written, strict=True):
        text += ("<" if now and not before else ">" if before and not now else "") + character(token)
        before = now
    return text + (">" if before else "")


def character(token: int) -> str:
    """How a token is shown: its character, or the number of one that has none, as ``{40}``."""
    return CHARACTERS[token] if 0 <= token < len(CHARACTERS) else f"{{{token}}}"


def read(text: str) -> np.ndarray:
    """The tokens ``int32 [length]`` of what :func:`show` wrote.

    Raises:
        RLJaxError: a character that is no token.
    """
    plain = text.replace("<", "").replace(">", "")
    if unknown := set(plain) - set(CHARACTERS):
        raise RLJaxError(f"{''.join(sorted(unknown))} are no tokens: a tape is made of {CHARACTERS}")
    return np.array([CHARACTERS.index(character) for character in plain], np.int32)
