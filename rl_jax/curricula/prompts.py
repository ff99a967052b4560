"""Problems, each given to a group of neighbouring environments."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_argument
from rl_jax.experience.advantage.group import check_groups
from rl_jax.ops import permutation
from rl_jax.ops.groups import grouped
from rl_jax.types import Context, Environment, Key, Metrics, PyTree, Rollout, Spec, Start
from rl_jax.values import Count


@struct.dataclass
class Prompt:
    """The level of an episode, ``int32``: the number of its group, and that of its problem (of a fixed set; otherwise the group's).

    ``size`` is that of the groups, static: who compares columns can see whether they began alike
    (:func:`~rl_jax.experience.advantage.group.check_groups`).
    """

    group: jax.Array
    problem: jax.Array
    size: int = struct.field(pytree_node=False, default=1)


class Record(NamedTuple):
    """What is known of ``K`` problems ``[K]``.

    ``tries``, ``solved``: columns that were given the problem, and of these the ones with an outcome of at least ``success``.
    ``mean``: outcome of its last group; ``least``, ``most``: of the worst and best column of that group. ``drawn``: train step in
    which it was last drawn, ``-1``: never.
    """

    tries: jax.Array
    solved: jax.Array
    mean: jax.Array
    least: jax.Array
    most: jax.Array
    drawn: jax.Array


class PromptState(NamedTuple):
    """``key`` of the whole set of problems, ``now`` of this train step's; problems of the groups ``int32[B]``; a :class:`Record`."""

    key: Key
    now: Key
    problems: jax.Array
    record: Record


#: Which problems the groups get next: ``(record, count B, update, key) -> int32[B]``.
Draw = Callable[[Record, int, jax.Array, Key], jax.Array]


def uniform(record: Record, count: int, update: jax.Array, key: Key) -> jax.Array:
    """Any of the problems, none twice where there are enough."""
    known = record.tries.shape[0]
    rounds = -(-count // known)
    shuffled = jax.vmap(lambda key: permutation(key, known))(jax.random.split(key, rounds))
    return shuffled.reshape(-1)[:count].astype(jnp.int32)


@struct.dataclass
class Prompts:
    """``size`` neighbouring environments start from one problem, so that their episodes differ by what the policy does.

    A problem is a start of the environment: what ``env.reset`` makes of a key. Without ``count`` every group of every train step has a
    fresh one; with ``count=K`` there are ``K``, drawn anew for each run (see ``set_key``), and what became of each is kept in a
    :class:`Record`.

    Needs rollouts of whole episodes (``whole=True``), which all begin together. An evaluation plays every problem once,
    beginning with those that the next train step would have got.

    Attributes:
        env: the environment.
        size: columns of a group, ``G``; divides the number of environments.
        count: ``K``; ``None``: no end of problems.
        draw: which of ``K`` problems the next groups get.
        task: the environment's ``params``.
        success: outcome from which on a problem counts as solved.
        set_key: typed key of the ``K`` problems; ``None``: one of the run's.
    """

    env: Environment = struct.field(pytree_node=False)
    size: int = struct.field(pytree_node=False, default=8)
    count: int | None = struct.field(pytree_node=False, default=None)
    draw: Draw = struct.field(pytree_node=False, default=uniform)
    task: PyTree = None
    success: Any = 1.0
    set_key: Any = None

    def init(self, key: Key, spec: Spec) -> PromptState:
        """Nothing is known of any problem.

        Raises:
            RLJaxError: rollouts are not of whole episodes, or the groups do not come out even.
        """
        check_groups(spec, "Prompts", self.size, least=1)
        check_argument("Prompts' count", self.count, Count | None)
        set_key, now, key_draw = jax.random.split(key, 3)
        if self.set_key is not None:
            set_key = self.set_key
        zero, none = (jnp.zeros((self.count or 0,), dtype) for dtype in (jnp.int32, jnp.float32))
        record = Record(zero, zero, none, none, none, zero - 1)
        return PromptState(
            set_key, now, self._problems(record, spec.num_envs // spec.rounds // self.size, jnp.int32(0), key_draw), record
        )

    def alone(self) -> "Prompts":
        """The same with groups of one: an evaluation has as many problems as episodes. It works on the same states."""
        return self.replace(size=1)  # type: ignore[attr-defined]

    def _problems(self, record: Record, groups: int, update: jax.Array, key: Key) -> jax.Array:
        if self.count is None:
            return jnp.arange(groups, dtype=jnp.int32)
        return self.draw(record, groups, update, key)

    def _task(self) -> PyTree:
        return self.env.default_params if self.task is None else self.task

    def start(self, state: PromptState, key: Key, index: jax.Array) -> Start:
        """The group's problem; ``index`` beyond the groups that there are (an evaluation of more columns) is given fresh ones, or of
        ``K`` problems one after the other.
        """
        del key  # a group's columns must begin alike
        group, groups = index // self.size, state.problems.shape[0]
        problem = jnp.where(group < groups, state.problems[group % groups], group)
        if self.count is not None:
            problem = problem % self.count
        env_state, obs = self.env.reset(
            jax.random.fold_in(state.now if self.count is None else state.key, problem), self._task()
        )
        return Start(Prompt(group, problem, self.size), env_state, obs)

    def params(self, state: PromptState, level: Prompt) -> PyTree:
        """The task, whatever the problem."""
        return self._task()

    def update(self, state: PromptState, rollout: Rollout, context: Context) -> tuple[PromptState, Metrics]:
        """Note what became of the problems, as the environment paid, and draw the next."""
        key_now, key_draw = jax.random.split(context.key)
        record, metrics = state.record, {}
        if self.count is not None:
            record = self._noted(record, rollout, context)
            seen = record.drawn >= 0
            metrics = {
                "prompts/seen": jnp.mean(seen.astype(jnp.float32)),
                "prompts/solved": jnp.mean((record.solved > 0).astype(jnp.float32)),
            }
        problems = self._problems(record, state.problems.shape[0], context.update + 1, key_draw)
        return PromptState(state.key, key_now, problems, record), metrics

    def _noted(self, record: Record, rollout: Rollout, context: Context) -> Record:
        raw: Rollout = context.collected
        outcome = grouped(jnp.sum(raw.reward, axis=0), self.size)
        problem = grouped(raw.level.problem[0], self.size)[:, 0]
        solved = jnp.sum((outcome >= self.success).astype(jnp.int32), axis=-1)
        return Record(
            record.tries.at[problem].add(self.size),
            record.solved.at[problem].add(solved),
            record.mean.at[problem].set(jnp.mean(outcome, axis=-1)),
            record.least.at[problem].set(jnp.min(outcome, axis=-1)),
            record.most.at[problem].set(jnp.max(outcome, axis=-1)),
            record.drawn.at[problem].set(context.update),
        )
