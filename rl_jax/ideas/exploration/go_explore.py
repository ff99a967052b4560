"""Go-Explore's first phase: an archive of cells, of which each is a state to go on from."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.curricula.archive import EMPTY, Archive, Running
from rl_jax.errors import RLJaxError
from rl_jax.ops import add_bounded, along
from rl_jax.types import Context, Environment, Key, Metrics, PyTree, Rollout, Spec, Start


class Way(NamedTuple):
    """The level of an episode: the cell that it was started from, and score, error and length of the way there; scalars."""

    cell: jax.Array
    score: jax.Array
    error: jax.Array
    length: jax.Array


@struct.dataclass
class GoExplore:
    """Restores a cell of an archive for each episode; the loop's time limit is the number of steps to explore from there.

    Ecoffet et al. 2019, "Go-Explore: a New Approach for Hard-Exploration Problems" (arXiv:1901.10995), phase 1. A cell is chosen
    with a probability in proportion to ``base`` plus the sum of ``weight / (count + 0.001) ** power + 0.00001`` over its three
    counts. A way replaces the stored one if its score is higher, or equal and its length shorter; two scores are equal if they
    differ by no more than the bounds on their rounding errors together. For agents see :class:`rl_jax.agents.RandomRepeat`.

    Differences: the archive is brought up to date after a rollout, not after an episode. An episode that spans several rollouts
    is counted as seen once in each. The state in which an episode is truncated is not archived (so a time limit of ``k + 1``
    archives ``k`` states). Counts are set to zero when a cell's way is replaced, ``chosen`` and ``since_new``; in the
    reference code that is an option.

    It is assumed that resets always give the same state, and that a state can be gone on from as often as one likes.

    Attributes:
        env: the environment.
        cell_of: ``env_state -> int32`` in ``[0, cells)``; states outside this range are left out.
        cells: how many cells there are.
        weights, powers: of the counts ``chosen``, ``since_new`` and ``seen``; weights of zero make the choice uniform.
        base: added to every cell's weight; the authors' code without domain knowledge adds nothing.
        task: the environment's ``params``.
    """

    env: Environment = struct.field(pytree_node=False)
    cell_of: Callable[[PyTree], jax.Array] = struct.field(pytree_node=False)
    cells: int = struct.field(pytree_node=False)
    weights: Any = (1.0, 1.0, 0.1)
    powers: Any = (1.0, 1.0, 1.0)
    base: Any = 0.0
    task: PyTree = ()

    def init(self, key: Key, spec: Spec) -> Archive:
        """An archive of one cell: that of a fresh reset.

        Raises:
            RLJaxError: no cells, or not three weights and three powers.
        """
        if self.cells < 1:
            raise RLJaxError(f"an archive needs at least 1 cell, not {self.cells}")
        if len(self.weights) != 3 or len(self.powers) != 3:
            raise RLJaxError("weights and powers are three numbers each: of the counts chosen, since_new and seen")
        env_state, obs = self.env.reset(key, self.task)
        at = self._cell(env_state)
        slots = self.cells + 1

        def full(value: float, dtype: Any) -> jax.Array:
            return jnp.full((slots,), value, dtype)

        def repeat(leaf: jax.Array) -> jax.Array:
            return jnp.broadcast_to(jnp.asarray(leaf), (slots, *jnp.shape(leaf)))

        zero, none, exact = full(0, jnp.int32), full(EMPTY, jnp.int32), full(0.0, jnp.float32)
        score = full(-jnp.inf, jnp.float32).at[at].set(0.0)
        running = Running(*(jnp.zeros((spec.num_envs,), leaf.dtype) for leaf in (zero, zero, exact, exact, zero)))
        states, observations = jax.tree.map(repeat, (env_state, obs))
        return Archive(states, observations, score, exact, none.at[at].set(0), none, zero, zero, zero, running)

    def _cell(self, env_state: PyTree) -> jax.Array:
        """The cell of one state, ``int32``; what is out of range becomes a number that scattering drops."""
        cell = jnp.asarray(self.cell_of(env_state), jnp.int32)
        return jnp.where((cell >= 0) & (cell < self.cells), cell, self.cells + 1)

    def weight(self, state: Archive) -> jax.Array:
        """What the probability of each cell ``float32[cells]`` is in proportion to; zero for empty ones."""
        counts = (state.chosen, state.since_new, state.seen)
        total = jnp.full((self.cells,), self.base, jnp.float32)
        for count, weight, power in zip(counts, self.weights, self.powers, strict=True):
            total += weight / (count[: self.cells].astype(jnp.float32) + 1e-3) ** power + 1e-5
        return jnp.where(state.length[: self.cells] != EMPTY, total, 0.0).astype(jnp.float32)

    def start(self, state: Archive, key: Key, index: jax.Array) -> Start:
        """A stored state with its observation; the level is the :class:`Way` there."""
        weight = self.weight(state)
        # Only filled cells are drawn from, since rounding in a sum could otherwise let an empty one be chosen.
        filled = jnp.nonzero(weight > 0, size=self.cells, fill_value=0)[0].astype(jnp.int32)
        count = jnp.sum(weight > 0, dtype=jnp.int32)
        kept = jnp.where(jnp.arange(self.cells, dtype=jnp.int32) < count, weight[filled], 0.0)
        edges = jax.lax.cummax(jnp.cumsum(kept))
        drawn = jax.random.uniform(key, (), jnp.float32) * edges[-1]
        cell = filled[jnp.minimum(jnp.searchsorted(edges, drawn, side="right").astype(jnp.int32), count - 1)]
        env_state, obs = jax.tree.map(lambda leaf: leaf[cell], (state.env_state, state.obs))
        return Start(Way(cell, state.score[cell], state.error[cell], state.length[cell]), env_state, obs)

    def params(self, state: Archive, level: PyTree) -> PyTree:
        """The task, whatever the level."""
        return self.task

    def update(self, state: Archive, rollout: Rollout, context: Context) -> tuple[Archive, Metrics]:
        """Count what was started from and seen, and store the best new way to each cell.

        Metrics: cells filled, cells whose way is new or better, the best score of any way, whether there is one to the end.
        """
        raw: Rollout = context.collected
        shape = raw.reward.shape
        cell = jax.vmap(jax.vmap(self._cell))(raw.env_state)

        def step(way: Running, row: tuple[Any, ...]) -> tuple[Running, Running]:
            first, level, cell, reward = row
            cell = jnp.where(cell <= self.cells, cell, way.cell)  # the last that there is, so that it can be a parent
            moved = jnp.where(cell != way.cell, way.cell, way.parent)
            parent = jnp.where(first, state.parent[level.cell], moved)
            current = Running(cell, parent, *jax.tree.map(partial(jnp.where, first), level[1:], way[2:]))
            return _longer(current, reward), current

        running, ways = jax.lax.scan(step, state.running, (raw.first, raw.level, cell, raw.reward))

        # To each state of the rollout there is a way, and to each ending another one, one step longer.
        ending = jnp.where(raw.terminated, self.cells, self.cells + 1).astype(jnp.int32)
        ends = _longer(ways._replace(cell=ending, parent=ways.cell), raw.reward)
        candidates = jax.tree.map(lambda a, b: jnp.concatenate([a.reshape(-1), b.reshape(-1)]), ways._replace(cell=cell), ends)
        winner = _best(candidates, self.cells + 1)
        has_candidate = winner < candidates.cell.size
        winner_index = jnp.minimum(winner, candidates.cell.size - 1)
        better = has_candidate & _exceeds(jax.tree.map(lambda leaf: leaf[winner_index], candidates), state, slice(None))

        def put(new: jax.Array, old: jax.Array) -> jax.Array:
            return jnp.where(along(better, old), new, old)

        def store(rows: jax.Array, old: jax.Array) -> jax.Array:
            return put(rows.reshape(-1, *rows.shape[2:])[winner_index % raw.reward.size], old)

        # Which start cells led to a better way than a stored one.
        into = jnp.minimum(candidates.cell, self.cells)
        new = _exceeds(candidates, state, into) & (candidates.cell <= self.cells)
        origin = jnp.where(new, jnp.concatenate([raw.level.cell.reshape(-1)] * 2), self.cells + 1)
        led = jnp.zeros((self.cells + 1,), bool).at[origin].set(True, mode="drop")

        started = jnp.where(raw.first, raw.level.cell, self.cells + 1).reshape(-1)
        starts = jnp.zeros((self.cells + 1,), jnp.int32).at[started].add(1, mode="drop")
        number = jnp.cumsum(raw.first.astype(jnp.int32), axis=0, dtype=jnp.int32) * shape[1]
        episode = number + jnp.arange(shape[1], dtype=jnp.int32)
        state = state._replace(
            env_state=jax.tree.map(store, raw.env_state, state.env_state),
            obs=jax.tree.map(store, raw.obs, state.obs),
            score=put(candidates.score[winner_index], state.score),
            error=put(candidates.error[winner_index], state.error),
            length=put(candidates.length[winner_index], state.length),
            parent=put(candidates.parent[winner_index], state.parent),
            chosen=jnp.where(better, 0, state.chosen + starts),
            since_new=jnp.where(better | led, 0, state.since_new + starts),
            seen=state.seen.at[_once(cell.reshape(-1), episode.reshape(-1), self.cells + 1)].add(1, mode="drop"),
            running=running,
        )
        filled = state.length != EMPTY
        metrics = {
            "go_explore/cells": jnp.sum(filled[: self.cells]),
            "go_explore/improved": jnp.sum(better),
            "go_explore/best_score": jnp.max(state.score),
            "go_explore/ended": filled[self.cells],
        }
        return state, {name: value.astype(jnp.float32) for name, value in metrics.items()}


def _longer(way: Running, reward: jax.Array) -> Running:
    """The way after one more step with this reward."""
    score, error = add_bounded(way.score, way.error, reward)
    return way._replace(score=score, error=error, length=way.length + 1)


def _exceeds(way: Running, archive: Archive, slot: Any) -> jax.Array:
    """Whether a way is better than the one stored in ``slot``: by its score, then by being shorter. An empty score is ``-inf``."""
    gain, unsure = way.score - archive.score[slot], way.error + archive.error[slot]
    return (gain > unsure) | ((gain >= -unsure) & (way.length < archive.length[slot]))


def _best(ways: Running, slots: int) -> jax.Array:
    """The index of the best way to each slot ``[slots]``, the first of equals; the number of ways where there is none."""
    count, most = ways.cell.size, jnp.iinfo(jnp.int32).max
    least = jnp.full((slots,), -jnp.inf, jnp.float32).at[ways.cell].max(ways.score - ways.error, mode="drop")
    slot = jnp.minimum(ways.cell, slots - 1)
    length = jnp.where(ways.score + ways.error >= least[slot], ways.length, most)
    shortest = jnp.full((slots,), most, jnp.int32).at[ways.cell].min(length, mode="drop")
    index = jnp.where(length == shortest[slot], jnp.arange(count, dtype=jnp.int32), count)
    index = jnp.where(length == most, count, index)
    return jnp.full((slots,), count, jnp.int32).at[ways.cell].min(index, mode="drop")


def _once(cell: jax.Array, episode: jax.Array, drop: int) -> jax.Array:
    """``cell`` ``[K]`` in some order, with ``drop`` in place of every cell that is there a second time for the same episode."""
    order = jnp.lexsort((cell, episode))
    cell, episode = cell[order], episode[order]
    repeated = (cell[1:] == cell[:-1]) & (episode[1:] == episode[:-1])
    return cell.at[1:].set(jnp.where(repeated, drop, cell[1:]))
