"""``tokens/chain``: sums and products of digits from left to right, modulo 10. ``7+3x2=`` is answered by ``00E``."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.argument_checks import check_numbers
from rl_jax.envs.tokens.chain_problems import OPERATORS, ChainParams, applied, problem_of, weighted
from rl_jax.envs.tokens.task import BASIC, END, NOTHING, PAD, PLUS, TIMES, Problem, Reply, Tape
from rl_jax.errors import RLJaxError
from rl_jax.ops import random_index
from rl_jax.types import Key
from rl_jax.values import Range, Share


class Progress(NamedTuple):
    """How many results are written, and the last one (the first operand, if none)."""

    done: jax.Array
    value: jax.Array


@dataclass(frozen=True)
class Chain:
    """Write the partial results one after the other, then ``E``. The last digit before ``E`` is the answer; it pays 1 if it is right.

    Each digit is a process step. It is right if it follows from the digit before it, so after an error a step may be right again.
    Tokens other than digits and ``E`` do nothing. ``info["place"]`` is ``10 * results written + the last one``, ``info["right"]`` the
    token that follows. With slip ``e``, sums and differences alone, and no other fault, the demonstrator's chance ``p_k`` to be right
    after ``k`` results is ``p_{k-1} (1 - 0.9 e) + (1 - p_{k-1}) 0.1 e``.

    Attributes:
        operands: the most of a problem, 2 to 6.
        fewest: the least; ``None``: all have as many. Numbers between are equally likely by default.
        answer_only: write only the answer, then ``E``; the results before are steps that the policy takes unseen.
        operators: those that problems have, of ``+-x``.
        spare: positions more than the answer needs, for steps that do nothing (``.``).
        idle_steps: ``.`` is a process step of its own, and a right one, as what does no harm is to most judges.
        slip, misconception, padding: see :class:`ChainParams`.
    """

    operands: int = 4
    fewest: int | None = None
    answer_only: bool = False
    operators: str = OPERATORS
    spare: int = 0
    idle_steps: bool = False
    slip: float = 0.3
    misconception: float = 0.0
    padding: float = 0.0

    def __post_init__(self) -> None:
        check_numbers(f"{self.name}'s", self, operands=Annotated[int, Range(2, 6)], answer_only=bool, idle_steps=bool)
        check_numbers(f"{self.name}'s", self, fewest=Annotated[int, Range(2, self.operands)] | None)
        check_numbers(f"{self.name}'s", self, spare=Annotated[int, Range(0, 1000)])
        check_numbers(f"{self.name}'s", self, slip=Share, misconception=Share, padding=Share)
        if not self.operators or not set(self.operators) <= set(OPERATORS):
            raise RLJaxError(f"the operators of {self.name} are some of {OPERATORS}, such as '+-', not {self.operators!r}")

    @property
    def name(self) -> str:
        return "chain-answer" if self.answer_only else "chain"

    @property
    def vocabulary(self) -> int:
        return BASIC

    @property
    def prompt_length(self) -> int:
        return 2 * self.operands

    @property
    def most_steps(self) -> int:
        """Results that an answer has at the most."""
        return 1 if self.answer_only else self.operands - 1

    @property
    def length(self) -> int:
        return self.prompt_length + self.most_steps + self.spare

    @property
    def default_params(self) -> ChainParams:
        tiers = np.arange(2, self.operands + 1) >= (self.fewest or self.operands)
        operators = np.array([operator in self.operators for operator in OPERATORS])
        rates = (np.float32(rate) for rate in (self.slip, self.misconception, self.padding))
        return ChainParams(tiers.astype(np.float32), operators.astype(np.float32), *rates)

    def without_slips(self, params: ChainParams) -> ChainParams:
        """The same task, whose demonstrator does not slip."""
        return params.replace(slip=jnp.zeros_like(params.slip))  # type: ignore[attr-defined]

    def draw(self, key: Key, params: ChainParams) -> Problem:
        """Operands are uniform digits."""
        key_digits, key_operators, key_steps = jax.random.split(key, 3)
        digits = random_index(key_digits, (self.operands,), 10)
        operators = weighted(key_operators, (self.operands - 1,), params.operators)
        return problem_of(digits, operators, 1 + weighted(key_steps, (), params.tiers))

    def start(self, problem: Problem, params: ChainParams) -> Progress:
        return Progress(jnp.zeros((), jnp.int32), problem.hidden.digits[0])

    def next_token(self, problem: Problem, memo: Progress) -> jax.Array:
        """What follows from what is written: a digit, or ``E`` if all results are."""
        terms = problem.hidden
        if self.answer_only:
            return jnp.where(memo.done < 1, terms.answer, END)
        index = jnp.minimum(memo.done, self.operands - 2)
        follows = applied(terms.operators[index], memo.value, terms.digits[index + 1])
        return jnp.where(memo.done < terms.steps, follows, END)

    def reply(self, key: Key, tape: Tape, token: jax.Array, params: ChainParams) -> Reply:
        """Deterministic; ``key`` is not used."""
        memo, is_digit, over = tape.memo, token < 10, token == END
        right = self.next_token(tape.problem, memo)
        correct = over & (memo.done > 0) & (memo.value == tape.problem.hidden.answer)
        idle = (token == NOTHING) if self.idle_steps else jnp.zeros((), bool)
        facts = {
            "correct": correct,
            "step": memo.done,
            "step_end": is_digit | idle,
            "step_ok": (is_digit & (token == right)) | idle,
            "right": right,
            "place": 10 * memo.done + memo.value,
        }
        memo = Progress(memo.done + is_digit, jnp.where(is_digit, token, memo.value))
        nothing = jnp.zeros((0,), jnp.int32)
        return Reply(nothing, jnp.zeros((), jnp.int32), correct.astype(jnp.float32), over, memo, facts)

    def demonstrate(self, key: Key, problem: Problem, params: ChainParams) -> tuple[jax.Array, jax.Array]:
        """The partial results with the errors that ``params`` say; with answers only, the last of such results."""
        terms, most = problem.hidden, self.operands - 1
        key_slip, key_digit, key_wrong, key_pad = jax.random.split(key, 4)
        slips = jax.random.bernoulli(key_slip, params.slip, (most,))
        wrong = jax.random.bernoulli(key_wrong, params.misconception, (most,)) & (terms.operators == TIMES - PLUS)
        digits, value, results = random_index(key_digit, (most,), 10), terms.digits[0], []
        for index in range(most):
            value = (applied(terms.operators[index], value, terms.digits[index + 1]) + wrong[index]) % 10
            value = jnp.where(slips[index], digits[index], value)
            results.append(value)
        written, steps = jnp.stack(results), terms.steps
        if self.answer_only:
            written, steps = written[steps - 1][None], jnp.ones_like(steps)
        idle = jax.random.bernoulli(key_pad, params.padding, (self.most_steps,))
        idle_before = jnp.minimum(jnp.cumsum(idle, dtype=jnp.int32), self.spare)
        number = jnp.arange(self.most_steps, dtype=jnp.int32)
        end = steps + idle_before[steps - 1]
        positions = jnp.arange(self.length + 1 - self.prompt_length, dtype=jnp.int32)
        is_result = (positions[:, None] == number + idle_before) & (number < steps)
        tokens = jnp.where(jnp.any(is_result, axis=1), jnp.sum(jnp.where(is_result, written, 0), axis=1), NOTHING)
        tokens = jnp.where(positions < end, tokens, jnp.where(positions == end, END, PAD)).astype(jnp.int32)
        own = jnp.concatenate([jnp.zeros((self.prompt_length,), bool), positions <= end])
        return jnp.concatenate([problem.prompt, tokens]), own
