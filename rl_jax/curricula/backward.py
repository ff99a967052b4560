"""Go-Explore's second phase: learning a demonstration from its end to its beginning."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from rl_jax.curricula.archive import EMPTY, Archive
from rl_jax.errors import RLJaxError
from rl_jax.ops import ROUNDING, add_bounded
from rl_jax.types import Context, Environment, Key, Metrics, PyTree, Rollout, Spec, Start


class Demonstration(NamedTuple):
    """States to start from, in the order of the way: ``states`` and ``observations`` ``[S, ...]``, ``returns`` ``float32[S]``.

    ``returns`` is what the way brings from each state to its end, ``errors`` ``float32[S]`` a bound on how far rounding has moved it:
    ``None`` for sums that are made from the end, with one reward for each state.
    """

    states: PyTree
    observations: Any
    returns: Any
    errors: Any = None


def errors_from_the_end(returns: jax.Array) -> jax.Array:
    """Bounds on the rounding errors of ``returns`` ``[..., S]`` that are sums from the end, one reward for each place.

    The partial sums are the returns of the places behind (:func:`rl_jax.ops.add_bounded`).
    """
    return ROUNDING * jnp.cumsum(jnp.abs(returns)[..., ::-1], axis=-1)[..., ::-1]


def demonstration(archive: Archive, goal: int | None = None) -> Demonstration:
    """The way to ``goal`` that an archive holds, as the states stored for the cells along it. On the host.

    Each state can be reached with the score that is stored for it. The cells' ways may have been improved after that of
    ``goal`` was found, so two neighbours need not stem from the same episode: that the way goes on from one to the next is as
    certain as that the cell tells what matters.

    Args:
        archive: of :class:`~rl_jax.ideas.exploration.go_explore.GoExplore`.
        goal: a cell; default: the end, that is the best way that the environment ended.

    Returns:
        ``S`` states from the start to the goal; to the last cell before the end.

    Raises:
        RLJaxError: there is no way there, or it goes in a circle.
    """
    length, parent = np.asarray(archive.length), np.asarray(archive.parent)
    end = len(length) - 1
    at = end if goal is None else int(goal)
    if not 0 <= at <= end or length[at] == EMPTY:
        what = "any end of an episode" if goal is None else f"cell {goal}"
        raise RLJaxError(f"the archive has no way to {what}; explore for longer or name a cell that it has reached")
    score, way = np.asarray(archive.score), [at]
    while parent[way[-1]] != EMPTY:
        way.append(int(parent[way[-1]]))
        if len(way) > end + 1:
            raise RLJaxError(
                f"the way to entry {at} of the archive goes in a circle: rewards can be earned within a circle of cells; "
                "let cell_of tell apart what was earned"
            )
    cells = np.array([cell for cell in reversed(way) if cell != end], np.int32)
    states, observations = jax.tree.map(lambda leaf: leaf[cells], (archive.env_state, archive.obs))
    returns, error = jnp.asarray(score[at] - score[cells], jnp.float32), np.asarray(archive.error)
    errors = jnp.asarray(error[at] + error[cells], jnp.float32) + ROUNDING * jnp.abs(returns)
    return Demonstration(states, observations, returns, errors)


def pad_demonstrations(demonstrations: Sequence[Demonstration]) -> Demonstration:
    """Several in one with leading axes ``[D, S, ...]``: the shorter ones repeat their first state. On the host."""
    if not demonstrations:
        raise RLJaxError("there must be at least one demonstration")
    most = max(len(demo.returns) for demo in demonstrations)

    def stack(*leaves: jax.Array) -> jax.Array:
        return jnp.stack([jnp.concatenate([jnp.repeat(leaf[:1], most - len(leaf), axis=0), leaf]) for leaf in leaves])

    def with_errors(demo: Demonstration) -> Demonstration:
        errors = errors_from_the_end(jnp.asarray(demo.returns)) if demo.errors is None else demo.errors
        return demo._replace(errors=jnp.broadcast_to(errors, len(demo.returns)))

    return jax.tree.map(stack, *map(with_errors, demonstrations))


class Stage(NamedTuple):
    """The level of an episode: the demonstration and the place on it that it was started from; ``int32``."""

    demonstration: jax.Array
    place: jax.Array


class Progress(NamedTuple):
    """``place``, ``tried``, ``won``: ``int32[D]``, where episodes start, how many have ended since then, how many in success.

    ``returns``, ``errors``: ``float32[N]``, of the running episodes, and bounds on the rounding errors of these sums.
    """

    place: jax.Array
    tried: jax.Array
    won: jax.Array
    returns: jax.Array
    errors: jax.Array


@struct.dataclass
class Backward:
    """Episodes start on demonstrations, from near the end to the beginning, as fast as the agent learns.

    Salimans & Chen 2018, "Learning Montezuma's Revenge from a Single Demonstration" (arXiv:1812.03381); Ecoffet et al. 2019
    (arXiv:1901.10995), phase 2. An episode is a success if its return is no less than the demonstration's from the same state. Two
    sums of rewards count as equal if they differ by no more than the bounds on their rounding errors
    (:func:`rl_jax.ops.add_bounded`). When ``episodes`` episodes from a place have ended, and a share of at least ``success_rate``
    in success, the place moves back by ``stride``; otherwise counting begins again. Each demonstration moves by itself; each episode
    draws one of them.

    Not here: starting from a window of places, and the memory of a recurrent agent, which begins empty.

    Attributes:
        env: the environment.
        states, observations, returns, errors: a :class:`Demonstration` with a leading axis ``[D]`` (see
            :func:`pad_demonstrations`). ``errors`` may be one number for all, or ``None`` as there.
        task: the environment's ``params``, which may be another than that of the demonstrations (sticky actions, say).
        success_rate: share of successes that is enough to move on.
        episodes: how many are waited for.
        stride: places per move.
    """

    env: Environment = struct.field(pytree_node=False)
    states: PyTree
    observations: Any
    returns: Any
    errors: Any = None
    task: PyTree = ()
    success_rate: Any = 0.2
    episodes: Any = 100
    stride: Any = 1

    def init(self, key: Key, spec: Spec) -> Progress:
        """At the last place of each demonstration.

        Raises:
            RLJaxError: ``returns`` is not ``[D, S]``.
        """
        if jnp.ndim(self.returns) != 2:
            raise RLJaxError("returns must have the axes [demonstrations, places]; make them with pad_demonstrations")
        count, places = self.returns.shape
        zero, none = jnp.zeros((count,), jnp.int32), jnp.zeros((spec.num_envs,), jnp.float32)
        return Progress(jnp.full((count,), places - 1, jnp.int32), zero, zero, none, none)

    def start(self, state: Progress, key: Key, index: jax.Array) -> Start:
        """A demonstration, uniformly, at its place."""
        which = jax.random.randint(key, (), 0, state.place.shape[0], jnp.int32)
        level = Stage(which, state.place[which])
        env_state, obs = jax.tree.map(lambda leaf: leaf[level], (self.states, self.observations))
        return Start(level, env_state, obs)

    def params(self, state: Progress, level: PyTree) -> PyTree:
        """The task, whatever the level."""
        return self.task

    def update(self, state: Progress, rollout: Rollout, context: Context) -> tuple[Progress, Metrics]:
        """Count the episodes that ended and move the places.

        Metrics: the place as a share of the way, meaned over the demonstrations; the share that is at its beginning; episodes
        ended from the current places, and in success, in this rollout.
        """
        raw: Rollout = context.collected

        Total = tuple[jax.Array, jax.Array]

        def step(total: Total, row: tuple[jax.Array, jax.Array]) -> tuple[Total, Total]:
            reward, done = row
            total = add_bounded(*total, reward)
            return jax.tree.map(lambda x: jnp.where(done, 0.0, x), total), total

        running, (reached, errors) = jax.lax.scan(step, (state.returns, state.errors), (raw.reward, raw.done))
        level: Stage = raw.level
        # Episodes from a place that was left meanwhile say nothing about the new one.
        counts = raw.done & (level.place == state.place[level.demonstration])
        returns = jnp.asarray(self.returns)
        known = errors_from_the_end(returns) if self.errors is None else self.errors
        unsure = errors + jnp.broadcast_to(known, returns.shape)[level]
        success = counts & (reached - returns[level] >= -unsure)
        none = jnp.zeros_like(state.tried)
        ended = none.at[level.demonstration].add(counts.astype(jnp.int32))
        won = none.at[level.demonstration].add(success.astype(jnp.int32))
        tried, total = state.tried + ended, state.won + won
        full = tried >= self.episodes
        # Of whole numbers: a share like 0.3 of 100 is rounded to more than 30.
        moves = full & (total >= self.success_rate * tried - 1e-3)
        place = jnp.where(moves, jnp.maximum(state.place - self.stride, 0), state.place).astype(jnp.int32)
        state = Progress(place, jnp.where(full, 0, tried), jnp.where(full, 0, total), *running)
        metrics = {
            "backward/place": jnp.mean(place.astype(jnp.float32)) / max(self.returns.shape[1] - 1, 1),
            "backward/at_start": jnp.mean((place == 0).astype(jnp.float32)),
            "backward/ended": jnp.sum(ended).astype(jnp.float32),
            "backward/won": jnp.sum(won).astype(jnp.float32),
        }
        return state, metrics
