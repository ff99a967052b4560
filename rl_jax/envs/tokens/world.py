"""``tokens/...``: an environment in which an episode is a tape of tokens, written by the policy and by the environment.

The decision process of a language model: a state is what is written, an action the next token, and a verifier pays. Prompt, feedback,
results of tools and given beginnings are positions that the environment writes.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.envs.tokens.keeps_protocol import check_problem, check_reply, check_task
from rl_jax.envs.tokens.task import PAD, Problem, Tape, TokenTask
from rl_jax.spaces import Discrete, Space
from rl_jax.types import Key, PyTree, Step

FACTS: dict[str, Any] = {
    "correct": np.bool_(False),  # the answer that this token completes is right
    "turn": np.int32(0),  # number of the attempt
    "step": np.int32(-1),  # number of the process step to which this token belongs
    "step_end": np.bool_(False),  # this token ends a process step,
    "step_ok": np.bool_(False),  # and that step is right
    "place": np.int32(-1),  # the task's state before this token, a number that is the same in the same state of one problem
    "gold": np.float32(0),  # what the answer is worth; of a task that does not say so, 1 if it is right
    "proxy": np.float32(0),  # what a flawed judge finds it worth; of a task that does not say so, the reward
}
"""``info`` besides ``own``, and what it is where the environment wrote the token, or the task does not say."""


@dataclass(frozen=True)
class TokenWorld:
    """A token task as an environment: the observation is the newest token that the policy sees, the action proposes the next.

    An episode passes over the prompt first, whose tokens are shown one after the other; proposals for what is already written are
    ignored, and ``info["own"]`` is false there. It terminates at the token that completes the answer, or at the last position; an
    answer that is not complete then is not right. Nothing changes after that. ``own_limit`` is ``L``, the most steps of an episode.
    """

    task: TokenTask

    def __post_init__(self) -> None:
        check_task(self.task)

    @property
    def name(self) -> str:
        return f"tokens/{self.task.name}"

    @property
    def default_params(self) -> PyTree:
        return self.task.default_params

    @property
    def time_limit(self) -> int | None:
        return None

    @property
    def own_limit(self) -> int:
        return self.task.length

    def observation_space(self, params: PyTree) -> Space:
        return Discrete(self.task.vocabulary)

    def action_space(self, params: PyTree) -> Space:
        return Discrete(self.task.vocabulary)

    def reset(self, key: Key, params: PyTree) -> tuple[Tape, jax.Array]:
        """A fresh problem, before its first token."""
        tape = self.blank(self.task.draw(key, params), params)
        return tape, tape.tokens[0]

    def begin(self, problem: Problem, prefix: jax.Array, size: jax.Array | int, params: PyTree = None) -> Tape:
        """The start of an episode in which the answer's beginning is given: the environment wrote it, and the policy goes on.

        The task goes on as if the policy had played the prefix and got the replies that are in it. A prefix ends before a token that
        would end the episode.

        Args:
            problem: what is asked.
            prefix: ``int32 [K]``, ``K >= 1``, the tokens after the prompt, replies included, of which
            size: so many count.
            params: of the task; its defaults if ``None``.
        """
        params = self.default_params if params is None else params
        prefix, first = jnp.asarray(prefix, jnp.int32), self.task.prompt_length
        start = self.blank(problem, params)._replace(time=jnp.int32(first - 1))

        def write(tape: Tape, item: tuple[jax.Array, jax.Array, Key]) -> tuple[Tape, None]:
            index, token, key = item
            step = self.step(key, tape, token, params)
            goes_on = (index < size) & ~step.terminated & (tape.time == first - 1 + index)
            return jax.tree.map(lambda new, old: jnp.where(goes_on, new, old), step.state, tape), None

        keys = jax.random.split(jax.random.key(0), len(prefix))
        tape = jax.lax.scan(write, start, (jnp.arange(len(prefix), dtype=jnp.int32), prefix, keys))[0]
        place = self._positions() - first
        of_prefix = (place >= 0) & (place <= tape.time - first)
        return tape._replace(
            tokens=jnp.where(of_prefix, prefix[jnp.clip(place, 0, len(prefix) - 1)], tape.tokens),
            own=jnp.zeros_like(tape.own),
            pending=jnp.maximum(tape.pending, tape.time),
            time=jnp.zeros((), jnp.int32),
        )

    def observe(self, tape: Tape) -> jax.Array:
        """The token that the policy sees."""
        return jnp.sum(jnp.where(self._positions() == tape.time, tape.tokens, 0), dtype=jnp.int32)

    def step(self, key: Key, state: Tape, action: jax.Array, params: PyTree) -> Step:
        """Write the proposed token if it is the policy's turn, with the task's reply, and go to the next position."""
        ended = state.over | (state.time >= self.task.length)
        position, positions = state.time + 1, self._positions()
        own = ~ended & (position > state.pending)
        token = jnp.asarray(action, jnp.int32)
        reply = self.task.reply(key, state, token, params)
        check_reply(self.name, reply, FACTS)

        at_position = own & (positions == position)
        tokens = jnp.where(at_position, token, state.tokens)
        for index in range(reply.tokens.shape[0]):
            replied = own & (index < reply.size) & (positions == position + 1 + index)
            tokens = jnp.where(replied, reply.tokens[index], tokens)
        over = state.over | (own & reply.over)
        state = Tape(
            tokens=tokens,
            own=state.own | at_position,
            pending=jnp.where(own, jnp.minimum(position + reply.size, self.task.length), state.pending).astype(jnp.int32),
            time=jnp.where(ended, state.time, position),
            over=over,
            problem=state.problem,
            memo=jax.tree.map(lambda new, old: jnp.where(own, new, old), reply.memo, state.memo),
        )
        reward = jnp.where(own, reply.reward, 0.0).astype(jnp.float32)
        terminated = ~ended & (over | (position >= self.task.length))
        info = {"own": own, **_facts(reply.facts, own, reward)}
        return Step(state, self.observe(state), reward, terminated, jnp.zeros((), bool), info)

    def blank(self, problem: Problem, params: PyTree) -> Tape:
        """The start of an episode with this problem."""
        check_problem(self.name, problem, self.task.prompt_length)
        rest = self.task.length + 1 - self.task.prompt_length
        tokens = jnp.concatenate([problem.prompt.astype(jnp.int32), jnp.full((rest,), PAD, jnp.int32)])
        nothing, zero = jnp.zeros(tokens.shape, bool), jnp.zeros((), jnp.int32)
        pending = jnp.int32(self.task.prompt_length - 1)
        return Tape(tokens, nothing, pending, zero, jnp.zeros((), bool), problem, self.task.start(problem, params))

    def _positions(self) -> jax.Array:
        return jnp.arange(self.task.length + 1, dtype=jnp.int32)


def _facts(facts: dict[str, jax.Array], own: jax.Array, reward: jax.Array) -> dict[str, jax.Array]:
    """All of :data:`FACTS`, and the task's own, which are 0 where the policy did not write."""
    correct = facts.get("correct", jnp.zeros((), bool))
    known: dict[str, Any] = FACTS | {"gold": correct.astype(jnp.float32), "proxy": reward} | facts
    return {name: jnp.where(own, fact, FACTS.get(name, jnp.zeros_like(fact))) for name, fact in known.items()}
