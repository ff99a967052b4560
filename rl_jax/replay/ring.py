"""The ring: time-major trajectories of parallel environments, each observation stored once.

``L`` rows of ``N`` environments. Row ``head`` is the present: it holds the observation that the next action will be chosen on
and nothing else yet; the ``size`` rows before it (cyclically) are complete steps. A step's next observation is the next row's
observation, except at the end of an episode, where the next row already begins another one: the final observation is then kept
in one of ``F`` further rows of the same array, number ``episode % F`` of its environment. A step whose final observation had
to make room for newer ones is given up, and all older steps with it, so what can be read is always complete.

Observations lie by environment, so that a trajectory is one stretch of memory; the small fields lie by row, so that adding a
row is one write.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.data.marks import FIRST, MARK, TERMINATED, TRUNCATED
from rl_jax.ops import along, any_true, devices_of_envs, per_device
from rl_jax.replay.layout import Layout
from rl_jax.types import PyTree, Rollout


@struct.dataclass
class Ring:
    """The arrays of a ring.

    Attributes:
        obs: ``[N, L + F, ...]``, the final observations last; of a dictionary each part so.
        action, reward: ``[L, N, ...]``.
        marks: ``[L, N]`` ``int32``: the step's ``flags``, and above them its ``episode``; one field, since both are read together.
        level: ``[L, N, ...]`` of the episode.
        extras: ``[L, N, ...]``, those that were asked for.
        carry: ``[L / period, N, ...]``, the agent's memory before every ``period``-th row.
        ended: ``[N]`` episodes that have ended, modulo :func:`span`.
        head: the present's row.
        size: complete rows before it.
    """

    obs: PyTree
    action: jax.Array
    reward: jax.Array
    marks: jax.Array
    level: PyTree
    extras: dict[str, jax.Array]
    carry: PyTree
    ended: jax.Array
    head: jax.Array
    size: jax.Array

    @property
    def flags(self) -> jax.Array:
        """``[L, N]``: ``TERMINATED``, ``TRUNCATED``, ``FIRST``."""
        return self.marks & (MARK - 1)

    @property
    def episode(self) -> jax.Array:
        """``[L, N]``: how many episodes of this environment had ended before the step, modulo :func:`span`."""
        return self.marks // MARK


def span(layout: Layout) -> int:
    """Where the count of episodes begins again: the largest number below ``2^28``, the bits of a mark, that the final rows divide."""
    return 2**28 // layout.final_rows * layout.final_rows


class Added(NamedTuple):
    """What an ``add`` changed: the present's row and the number of complete rows before it."""

    head: jax.Array
    size: jax.Array


def empty(layout: Layout, rollout: Rollout, keep: tuple[str, ...] = ()) -> Ring:
    """An empty ring, for rollouts of these shapes, with room for the named ``extras``."""

    def rows(number: int) -> Any:
        return lambda x: jnp.zeros((number, *x.shape[1:]), x.dtype)

    per_row = rows(layout.rows)
    return Ring(
        obs=jax.tree.map(
            lambda x: jnp.zeros((layout.num_envs, layout.rows + layout.final_rows, *x.shape[2:]), x.dtype), rollout.obs
        ),
        action=per_row(rollout.action),
        reward=per_row(rollout.reward),
        marks=jnp.zeros((layout.rows, layout.num_envs), jnp.int32),
        level=jax.tree.map(per_row, rollout.level),
        extras={name: per_row(rollout.extras[name]) for name in keep},
        carry=jax.tree.map(rows(layout.rows // layout.period), rollout.carry),
        ended=jnp.zeros((layout.num_envs,), jnp.int32),
        head=jnp.zeros((), jnp.int32),
        size=jnp.zeros((), jnp.int32),
    )


def _write(store: jax.Array, rows: jax.Array, at: jax.Array, axis: int = 0) -> jax.Array:
    return jax.lax.dynamic_update_slice_in_dim(store, rows.astype(store.dtype), at, axis)


def add(ring: Ring, layout: Layout, rollout: Rollout) -> Ring:
    """Write a rollout ``[T, N, ...]`` over the oldest rows, in place where the ring is donated or carried by a loop.

    It continues the rollout before: where no episode starts at its first row, the observation there is that one's ``last.obs``.
    """
    length, head = layout.rollout_length, ring.head
    done = rollout.done.astype(jnp.int32)
    episode = (ring.ended + jnp.cumsum(done, axis=0, dtype=jnp.int32) - done) % span(layout)
    flags = TERMINATED * rollout.terminated + TRUNCATED * rollout.truncated + FIRST * rollout.first
    marks = _write(ring.marks, MARK * episode + flags, head)
    new_head = (head + length) % layout.rows
    # Where episodes continue, the last add has written the first row already, as the present.
    begins = (ring.size == 0) | rollout.first[0]

    def renew(obs: jax.Array, begins: jax.Array, first: jax.Array) -> jax.Array:
        current = jax.lax.dynamic_slice_in_dim(obs, head, 1, axis=1)
        return _write(obs, jnp.where(along(begins, current), first[:, None].astype(obs.dtype), current), head, axis=1)

    def renew_if_any(obs: jax.Array, begins: jax.Array, first: jax.Array) -> jax.Array:
        return jax.lax.cond(any_true(begins), renew, lambda obs, begins, first: obs, obs, begins, first)

    def observed(obs: jax.Array, new: jax.Array, final: jax.Array, last: jax.Array) -> jax.Array:
        obs = per_device(renew_if_any, obs, begins, new[0])
        if length > 1:
            obs = _write(obs, jnp.swapaxes(new[1:], 0, 1), head + 1, axis=1)
        # Rows beyond the array are dropped: those of steps that end no episode.
        slot = jnp.where(rollout.done, layout.rows + episode % layout.final_rows, layout.rows + layout.final_rows)
        put = jax.vmap(lambda obs, slot, final: obs.at[slot].set(final.astype(obs.dtype), mode="drop"), in_axes=(0, 1, 1))
        return _write(put(obs, slot, final), last[:, None], new_head, axis=1)

    obs = jax.tree.map(observed, ring.obs, rollout.obs, rollout.next_obs, rollout.last.obs)

    def memory(store: jax.Array, carry: jax.Array) -> jax.Array:
        at = head // layout.period
        if layout.period <= length:
            return _write(store, carry[:: layout.period], at)
        old = jax.lax.dynamic_index_in_dim(store, at, keepdims=True)
        return _write(store, jnp.where(head % layout.period == 0, carry[:1], old), at)

    ended = (ring.ended + jnp.sum(done, axis=0, dtype=jnp.int32)) % span(layout)
    size = jnp.minimum(ring.size + length, layout.rows - 1)

    def lost(size: jax.Array) -> jax.Array:
        oldest = jax.lax.dynamic_index_in_dim(marks, (new_head - size) % layout.rows, keepdims=False) // MARK
        return (size > 0) & jnp.any((ended - oldest) % span(layout) > layout.final_rows)

    return Ring(
        obs=obs,
        action=_write(ring.action, rollout.action, head),
        reward=_write(ring.reward, rollout.reward, head),
        marks=marks,
        level=jax.tree.map(lambda store, x: _write(store, x, head), ring.level, rollout.level),
        extras={name: _write(store, rollout.extras[name], head) for name, store in ring.extras.items()},
        carry=jax.tree.map(memory, ring.carry, rollout.carry),
        ended=ended,
        head=new_head,
        size=jax.lax.while_loop(lost, lambda size: size - 1, size),
    )


def starts(ring: Ring | Added, layout: Layout) -> tuple[jax.Array, jax.Array]:
    """Where trajectories may begin: at ages ``youngest + k * period``, ``k`` below ``count``. The newest step's age is 1."""
    youngest = layout.length + (ring.head - layout.length) % layout.period
    count = jnp.maximum(ring.size - youngest + layout.period, 0) // layout.period
    return youngest, count


def row_of_age(ring: Ring | Added, layout: Layout, age: jax.Array) -> jax.Array:
    """The row of the step that is ``age`` steps old."""
    return (ring.head - age) % layout.rows


def _take(store: jax.Array, row: jax.Array, env: jax.Array) -> jax.Array:
    if devices_of_envs() > 1:  # each device reads its own environments
        return store.at[row, env].get(mode="promise_in_bounds")
    flat = store.reshape(-1, *store.shape[2:])  # one index is faster than two
    return flat.at[row * store.shape[1] + env].get(mode="promise_in_bounds")


def read(ring: Ring, layout: Layout, index: jax.Array) -> Rollout:
    """Trajectories ``[length, B, ...]`` that begin at the steps ``index`` ``[B]`` (``row * N + environment``).

    A trajectory is of one episode: ``extras["mask"]`` ``[length, B]`` is false beyond its end, where the last step is repeated.
    ``carry`` ``[1, B, ...]`` is the memory before the first step.
    """
    envs, time = layout.num_envs, jnp.arange(layout.length)[:, None]
    row, env = index // envs, index % envs

    def later(steps: Any) -> jax.Array:
        # No division: a trajectory goes round the ring once at most.
        rows = row + steps
        return jnp.where(rows < layout.rows, rows, rows - layout.rows)

    marks = _take(ring.marks, later(time), env)
    done = (marks & (TERMINATED | TRUNCATED)) != 0
    mask, end, until = True | done, marks, time
    if layout.length > 1:
        mask = jnp.cumsum(done, axis=0) - done == 0
        last = jnp.sum(mask, axis=0, keepdims=True) - 1
        until = jnp.minimum(time, last)
        end = jnp.take_along_axis(marks, last, axis=0)
        marks = jnp.where(mask, marks, end)
        done = (marks & (TERMINATED | TRUNCATED)) != 0
    rows = later(until)
    # A trajectory has at most one final observation.
    final = layout.rows + end // MARK % layout.final_rows
    next_rows = jnp.where(done, final, later(until + 1))
    # Computed once, and not again in every gather that uses them.
    rows, next_rows = jax.lax.optimization_barrier((rows, next_rows))

    def look(rows: jax.Array) -> PyTree:
        # Trajectory after trajectory, as they lie in memory.
        return jax.tree.map(lambda x: jnp.swapaxes(_take(x, env[:, None], rows.T), 0, 1), ring.obs)

    carry = jax.tree.map(lambda x: _take(x, row // layout.period, env)[None], ring.carry)
    return Rollout(
        obs=look(rows),
        action=_take(ring.action, rows, env),
        reward=_take(ring.reward, rows, env),
        terminated=(marks & TERMINATED) != 0,
        truncated=(marks & TRUNCATED) != 0,
        first=((marks & FIRST) != 0) & (time == 0),
        next_obs=look(next_rows),
        carry=carry,
        env_state=(),
        level=jax.tree.map(lambda x: _take(x, rows, env), ring.level),
        info={},
        extras={**{name: _take(x, rows, env) for name, x in ring.extras.items()}, "mask": mask},
        start=None,  # type: ignore[arg-type]
        last=None,  # type: ignore[arg-type]
    )
