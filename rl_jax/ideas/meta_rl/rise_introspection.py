"""RISE: a policy clones the best of several further attempts of its own, after attempts of its own that failed.

Qu et al. 2024, "Recursive Introspection: Teaching Language Model Agents How to Self-Improve", arXiv:2407.18219, and its published code
(github.com/cmu-mind/RISE at 4a2806e, ``workflow_gen.py`` and ``workflow_convert.py``), in the form that needs no teacher.
"""

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.curricula.prompts import Prompt, Prompts, PromptState
from rl_jax.envs.tokens.attempts import in_attempt, right_attempts
from rl_jax.errors import RLJaxError
from rl_jax.experience.advantage.group import check_groups
from rl_jax.experience.transform import Transform
from rl_jax.experience.weights import rescaled
from rl_jax.ops.groups import grouped, ungrouped
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec, Start
from rl_jax.values import Positive, Range

#: The number of an attempt.
Attempt = Annotated[int, Range(0, 4)]


def improved_attempt(progress: jax.Array, first: Any, last: Any) -> jax.Array:
    """The number of the attempt that is drawn several times, ``int32``: ``first`` to ``last``, one after the other in training."""
    return jnp.clip(first + jnp.floor(progress * (last - first + 1)), first, last).astype(jnp.int32)


def failed_before(rollout: Rollout, turns: int, attempt: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Of whole episodes: whether all before this attempt failed and it was begun, ``bool [N]``, and at which row, ``int32 [N]``."""
    number = jnp.arange(turns, dtype=jnp.int32)[:, None]
    solved = jnp.any(right_attempts(rollout, turns) & (number < attempt), axis=0)
    begun = rollout.extras["own"] & (rollout.info["turn"] == attempt)
    return jnp.any(begun, axis=0) & ~solved, jnp.argmax(begun, axis=0).astype(jnp.int32)


class ImprovedState(NamedTuple):
    """The state of the prompts; what each group is given in the second round, ``int32 [B, K]``, of which ``[B]`` tokens count."""

    prompts: PromptState
    given: jax.Array
    size: jax.Array


@struct.dataclass
class ImprovedAttempts:
    """Two rounds of episodes: attempts at problems, then many from where the first column of each group had failed so far.

    For :class:`~rl_jax.envs.tokens.attempts.Attempts`, with ``rounds=2``. In the second round all columns of a group begin at attempt
    ``k`` of the first round's first column, if its attempts before were wrong, and at the problem otherwise.

    Attributes:
        prompts: groups of as many columns as an attempt is drawn times.
        turns: attempts of an episode.
        first, last: ``k`` at the start and the end of training, see :func:`improved_attempt`.
    """

    prompts: Prompts
    turns: int = struct.field(pytree_node=False, default=5)
    first: Any = 1
    last: Any = 1

    def init(self, key: Key, spec: Spec) -> ImprovedState:
        """Nothing is given.

        Raises:
            RLJaxError: there are not two rounds.
        """
        if spec.rounds != 2:
            raise RLJaxError(f"ImprovedAttempts draws attempts in a second round, not {spec.rounds}: give rounds=2")
        check_numbers("ImprovedAttempts'", self, first=Attempt, last=Attempt)
        prompts, world = self.prompts.init(key, spec), self.prompts.env
        groups, room = len(prompts.problems), world.task.length + 1 - world.task.prompt_length  # type: ignore[attr-defined]
        return ImprovedState(prompts, jnp.zeros((groups, room), jnp.int32), jnp.zeros((groups,), jnp.int32))

    def start(self, state: ImprovedState, key: Key, index: jax.Array) -> Start:
        """The group's problem; in the second round with its beginning."""
        groups, columns = len(state.size), len(state.size) * self.prompts.size
        level, tape, _ = self.prompts.start(state.prompts, key, index % columns)
        size = jnp.where(index < columns, 0, state.size[level.group % groups])
        world: Any = self.prompts.env
        tape = world.begin(tape.problem, state.given[level.group % groups], size, self.params(state, level))
        return Start(level, tape, world.observe(tape))

    def params(self, state: ImprovedState, level: Prompt) -> PyTree:
        return self.prompts.params(state.prompts, level)

    def between(self, state: ImprovedState, rollout: Rollout, context: Context) -> ImprovedState:
        """Give what the first column of each group had written, up to the attempt that is to be improved."""
        prompt = self.prompts.env.task.prompt_length  # type: ignore[attr-defined]
        failed, row = failed_before(rollout, self.turns, improved_attempt(context.progress, self.first, self.last))
        size = jnp.where(failed, row + 1 - prompt, 0)
        tokens = rollout.last.env_state.tokens[:, prompt:]
        return ImprovedState(state.prompts, tokens[:: self.prompts.size], size[:: self.prompts.size])

    def update(self, state: ImprovedState, rollout: Rollout, context: Context) -> tuple[ImprovedState, Metrics]:
        """Other problems, and nothing is given."""
        prompts, metrics = self.prompts.update(state.prompts, rollout, context)
        return ImprovedState(prompts, state.given, jnp.zeros_like(state.size)), metrics


@struct.dataclass
class BestAttempts(Transform):
    """Sets ``weight``: clones attempt ``k`` of the best column of each group of the second round, and what came before it.

    What came before are the attempts ``0 .. k - 1`` of the first column of the first round, up to the first right one. Each attempt
    weighs ``exp(r / tau)``, right ones ``exp(1 / 0.4) = 12`` times as much as wrong ones. For the loss
    :class:`~rl_jax.losses.likelihood.NegativeLogLikelihood`, and with :class:`ImprovedAttempts`. The code can also leave out answers
    that repeat an earlier one word for word; this does not.

    Attributes:
        size: columns of a group; 16 in the paper.
        turns: attempts of an episode.
        first, last: as of :class:`ImprovedAttempts`.
        tau: 0.4 in the code.
        failures: 1; 0: right attempts alone are cloned (the code's criterion "success").
    """

    size: int = struct.field(pytree_node=False, default=16)
    turns: int = struct.field(pytree_node=False, default=5)
    first: Any = 1
    last: Any = 1
    tau: Any = 0.4
    failures: Any = 1.0

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_groups(spec, "best_attempts", self.size)
        check_numbers("best_attempts'", self, first=Attempt, last=Attempt, tau=Positive)
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        attempt = improved_attempt(context.progress, self.first, self.last)
        right, number = right_attempts(rollout, self.turns), jnp.arange(self.turns, dtype=jnp.int32)[:, None]
        solved_before = jnp.cumsum(right, axis=0) - right > 0
        columns = rollout.reward.shape[1] // 2
        leads = jnp.arange(columns, dtype=jnp.int32) % self.size == 0
        failed = failed_before(rollout, self.turns, attempt)[0]
        improvable = jnp.repeat(failed[: columns : self.size], self.size)
        improved = right[attempt, columns:]
        best = jnp.argmax(grouped(improved, self.size), axis=-1)[:, None] == jnp.arange(self.size)
        of_first = leads & (number < attempt) & ~solved_before[:, :columns]
        of_second = ungrouped(best) & improvable & (number == attempt)
        chosen = jnp.concatenate([of_first, of_second], axis=1)
        weight = chosen * jnp.where(right, jnp.exp(1.0 / self.tau), self.failures)
        weight = jnp.sum(jnp.where(in_attempt(rollout, self.turns), weight[:, None], 0.0), axis=0)
        metrics = {"attempts/improved": jnp.mean(improvable & improved), "attempts/failed": jnp.mean(improvable)}
        return state, rollout.with_extras(weight=rescaled(weight)), metrics
