"""``tokens/attempts``: a task with several attempts. After an answer the environment writes feedback, and the policy tries again."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.envs.tokens.task import CONTROL, HINT, REVISE, WRONG, Problem, Reply, Tape, TokenTask, demonstrator
from rl_jax.envs.tokens.world import TokenWorld
from rl_jax.errors import RLJaxError
from rl_jax.types import Key, Rollout
from rl_jax.values import Range

Feedback = Literal["none", "unary", "position", "token", "revise"]
SIZES = {"none": 0, "unary": 1, "position": 2, "token": 3, "revise": 1}


@struct.dataclass
class AttemptsParams:
    """``task``: the task's, also of the demonstrator's first attempt; ``later``: of the demonstrator's attempts after that."""

    task: Any
    later: Any


class Attempt(NamedTuple):
    """The running attempt.

    ``memo``: the task's. ``turn``: its number, from 0. ``begun``: its first position. ``wrong``: number of its first wrong step (-1:
    none yet), and ``right``, the token that belongs there.
    """

    memo: Any
    turn: jax.Array
    begun: jax.Array
    wrong: jax.Array
    right: jax.Array


@dataclass(frozen=True)
class Attempts:
    """Up to ``turns`` answers to one problem, each as long as the task allows; ``info["turn"]`` counts them.

    Feedback on a wrong answer is ``"none"`` (the next attempt follows at once), ``"unary"`` (``!``), ``"position"`` (``!`` and the
    number of the first wrong step) or ``"token"`` (``H``, that number, and the token that belongs there). The episode ends with a right
    answer or the last attempt, and pays what the task pays for it. With ``"revise"`` (``?``) all attempts are made, right or wrong, and
    the last is paid, as in Kumar et al. 2024, "Training Language Models to Self-Correct via Reinforcement Learning".

    An attempt that is not complete when its room is used up is wrong. The task says ``correct``, and looks at memo, token and problem
    alone, not at positions; for ``"position"`` and ``"token"`` it also says ``step``, ``step_end``, ``step_ok`` and ``right``.

    Attributes:
        task: what is asked.
        turns: attempts, 2 to 5.
        feedback: what is written between two attempts.
    """

    task: TokenTask
    turns: int = 2
    feedback: Feedback = "unary"

    def __post_init__(self) -> None:
        check_numbers(f"{self.name}'s", self, turns=Annotated[int, Range(2, 5)], feedback=Feedback)

    @property
    def name(self) -> str:
        return "attempts"

    @property
    def vocabulary(self) -> int:
        return max(self.task.vocabulary, CONTROL)

    @property
    def prompt_length(self) -> int:
        return self.task.prompt_length

    @property
    def room(self) -> int:
        """Positions of one attempt."""
        return self.task.length + 1 - self.task.prompt_length

    @property
    def length(self) -> int:
        return self.prompt_length + self.turns * self.room + (self.turns - 1) * SIZES[self.feedback] - 1

    @property
    def default_params(self) -> AttemptsParams:
        return AttemptsParams(self.task.default_params, self.task.default_params)

    def without_slips(self, params: AttemptsParams) -> AttemptsParams:
        """The same task, whose demonstrator does not slip in any attempt, if the task knows slips."""
        clean = getattr(self.task, "without_slips", lambda params: params)
        return AttemptsParams(clean(params.task), clean(params.later))

    def draw(self, key: Key, params: AttemptsParams) -> Problem:
        return self.task.draw(key, params.task)

    def start(self, problem: Problem, params: AttemptsParams) -> Attempt:
        return self._attempt(problem, params, jnp.zeros((), jnp.int32), jnp.int32(self.prompt_length))

    def _attempt(self, problem: Problem, params: AttemptsParams, turn: jax.Array, begun: jax.Array) -> Attempt:
        return Attempt(self.task.start(problem, params.task), turn, begun, jnp.int32(-1), jnp.zeros((), jnp.int32))

    def reply(self, key: Key, tape: Tape, token: jax.Array, params: AttemptsParams) -> Reply:
        """The task's reply, or feedback where an attempt ends."""
        memo: Attempt = tape.memo
        inner = self.task.reply(key, tape._replace(memo=memo.memo), token, params.task)
        facts, position = inner.facts, tape.time + 1
        closes = inner.over | (position >= memo.begun + self.room - 1)
        correct = inner.over & facts["correct"]
        last = memo.turn == self.turns - 1
        over = closes & (last | (correct & (self.feedback != "revise")))
        again = closes & ~over
        memo = self._judged(memo, facts, closes & ~correct)._replace(memo=inner.memo)
        tokens = self._feedback(memo)
        fresh = self._attempt(tape.problem, params, memo.turn + 1, position + 1 + len(tokens))
        length = max(len(tokens), len(inner.tokens))
        tokens, inner_tokens = (jnp.pad(x, (0, length - len(x))) for x in (tokens, inner.tokens))
        tokens = jnp.where(again, tokens, inner_tokens)
        size = jnp.where(again, SIZES[self.feedback], jnp.where(over, 0, inner.size)).astype(jnp.int32)
        reward = jnp.where(last, inner.reward, 0.0) if self.feedback == "revise" else inner.reward
        place = facts.get("place", jnp.int32(-1))
        place = jnp.where(place < 0, place, place * self.turns + memo.turn)
        facts = facts | {"correct": correct, "turn": memo.turn, "place": place}
        memo = jax.tree.map(lambda new, old: jnp.where(again, new, old), fresh, memo)
        return Reply(tokens, size, reward, over, memo, facts)

    def _judged(self, memo: Attempt, facts: dict[str, jax.Array], failed: jax.Array) -> Attempt:
        """With the first wrong step, if this token is it: the last token, of an attempt that fails without one."""
        if self.feedback not in ("position", "token"):
            return memo
        if missing := {"step", "step_end", "step_ok", "right"} - set(facts):
            raise RLJaxError(f"feedback '{self.feedback}' needs the facts {sorted(missing)} of {self.task.name}: use 'unary'")
        wrong = (memo.wrong < 0) & ((facts["step_end"] & ~facts["step_ok"]) | failed)
        return memo._replace(
            wrong=jnp.where(wrong, facts["step"], memo.wrong), right=jnp.where(wrong, facts["right"], memo.right)
        )

    def _feedback(self, memo: Attempt) -> jax.Array:
        number = jnp.clip(memo.wrong, 0, 9)
        written = {"unary": [WRONG], "position": [WRONG, number], "token": [HINT, number, memo.right], "revise": [REVISE]}
        return jnp.asarray(written.get(self.feedback, []), jnp.int32)

    def demonstrate(self, key: Key, problem: Problem, params: AttemptsParams) -> tuple[jax.Array, jax.Array]:
        """The task's demonstrator, who tries again without having read the feedback, with ``params.later`` from the second time on."""
        key_first, key_later, key_play = jax.random.split(key, 3)
        demonstrate = demonstrator(self.task, f"the task of {self.name}")
        first = demonstrate(key_first, problem, params.task)[0][None]
        keys = jax.random.split(key_later, self.turns - 1)
        later = jax.vmap(demonstrate, (0, None, None))(keys, problem, params.later)[0]
        answers = jnp.concatenate([first, later])[:, self.prompt_length :]
        world = TokenWorld(self)

        def step(tape: Tape, key: Key) -> tuple[Tape, None]:
            place = jnp.clip(tape.time + 1 - tape.memo.begun, 0, self.room - 1)
            return world.step(key, tape, answers[tape.memo.turn, place], params).state, None

        tape = jax.lax.scan(step, world.blank(problem, params), jax.random.split(key_play, self.length))[0]
        return tape.tokens, tape.own


def in_attempt(rollout: Rollout, turns: int) -> jax.Array:
    """Which steps the policy wrote in each attempt, ``bool [turns, T, N]``, of a rollout of whole episodes."""
    number = jnp.arange(turns, dtype=jnp.int32)[:, None, None]
    return rollout.extras["own"] & (rollout.info["turn"] == number)


def right_attempts(rollout: Rollout, turns: int) -> jax.Array:
    """Which attempts were right, ``bool [turns, N]``; those that were not made were not."""
    return jnp.any(in_attempt(rollout, turns) & rollout.info["correct"], axis=1)


def attempted_answers(rollout: Rollout, turns: int) -> jax.Array:
    """The last digit of each attempt, ``int32 [turns, N]``; -1 where none was written."""
    digit = in_attempt(rollout, turns) & (rollout.action < 10)
    row = jnp.arange(rollout.action.shape[0], dtype=jnp.int32)[:, None]
    last = jnp.max(jnp.where(digit, row, -1), axis=1)
    return jnp.sum(jnp.where(digit & (row == last[:, None]), rollout.action + 1, 0), axis=1, dtype=jnp.int32) - 1
