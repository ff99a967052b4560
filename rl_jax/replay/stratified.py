"""Equal numbers of draws from every task."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.errors import RLJaxError
from rl_jax.ops import random_index
from rl_jax.ops.sum_tree import FAN_OUT, depend_on, pick, sums_before
from rl_jax.replay.ring import Added, Layout, Ring
from rl_jax.replay.samplers import Draw
from rl_jax.replay.start_table import enter, no_values, renew, table_size
from rl_jax.types import Context, PyTree, Rollout
from rl_jax.values import Count


@struct.dataclass
class TaskTable:
    """The task of every step that may be drawn, and how many there are of each task in every block of steps.

    Attributes:
        tasks: flat, ``int32``: 1 plus the task; 0 for steps that may not be drawn. Padded with zeros to full blocks.
        counts: ``[blocks, K]``, then of every 8 blocks, of every 8 of these, ..., padded likewise; the last has 8 entries.
    """

    tasks: jax.Array
    counts: tuple[jax.Array, ...]

    @classmethod
    def empty(cls, size: int, num_tasks: int) -> "TaskTable":
        """For ``size`` steps. The more tasks, the longer the blocks, so the counts take about as much memory as ``tasks``."""
        block = min(max(FAN_OUT, 2 ** math.ceil(math.log2(num_tasks))), 512)
        counts: list[jax.Array] = []
        rows = -(-size // block)
        while not counts or counts[-1].shape[0] > FAN_OUT:
            padded = -(-rows // FAN_OUT) * FAN_OUT
            counts.append(jnp.zeros((padded, num_tasks), jnp.int32))
            rows = padded // FAN_OUT
        return cls(jnp.zeros((counts[0].shape[0] * block,), jnp.int32), tuple(counts))

    @property
    def totals(self) -> jax.Array:
        """``[K]``: how many steps of each task may be drawn."""
        return jnp.sum(self.counts[-1], axis=0)

    def set_range(self, start: Any, values: jax.Array) -> "TaskTable":
        """Other ``tasks`` ``[n]`` from ``start`` on; the blocks that they touch are counted anew."""
        num_tasks = self.counts[0].shape[1]
        levels: list[jax.Array] = []
        for level, above in zip((self.tasks, *self.counts), (*self.counts, None), strict=True):
            width = FAN_OUT if above is None or levels else level.shape[0] // above.shape[0]
            rows = level.shape[0] // width
            touched = min(rows, (values.shape[0] + width - 2) // width + 1)
            first = jnp.minimum(start // width, rows - touched)
            block = jax.lax.dynamic_slice_in_dim(level, first * width, touched * width)
            block = jax.lax.dynamic_update_slice_in_dim(block, values, start - first * width, axis=0)
            block_of = block.reshape(touched, width, *level.shape[1:])
            if not levels:
                block_of = block_of[..., None] == 1 + jnp.arange(num_tasks, dtype=jnp.int32)
            start, values = first, jnp.sum(block_of, axis=1, dtype=jnp.int32)
            levels.append(jax.lax.dynamic_update_slice_in_dim(level, depend_on(block, values), first * width, axis=0))
        return TaskTable(levels[0], tuple(levels[1:]))

    def find(self, task: jax.Array, which: jax.Array) -> jax.Array:
        """Where the drawable step number ``which`` ``[B]`` of ``task`` ``[B]`` stands; ``which`` counts from 0."""
        at = jnp.zeros_like(which)

        def descend(counts: jax.Array, at: jax.Array, which: jax.Array) -> tuple[jax.Array, jax.Array]:
            before = sums_before(counts)
            child = pick(counts, before, which)
            skipped = jnp.max(jnp.where(jnp.arange(before.shape[0], dtype=jnp.int32)[:, None] == child, before, 0), axis=0)
            return at * counts.shape[0] + child, which - skipped

        for level in reversed(self.counts):
            rows = at * FAN_OUT + jnp.arange(FAN_OUT, dtype=jnp.int32)[:, None]
            at, which = descend(level.at[rows, task].get(mode="promise_in_bounds"), at, which)
        width = self.tasks.shape[0] // self.counts[0].shape[0]
        block = self.tasks.reshape(-1, width).at[at].get(mode="promise_in_bounds") == 1 + task[:, None]
        # Within a block, halve: count the left half, and go there or to the right.
        while width > 1:
            width //= 2
            left = jnp.sum(block[:, :width], axis=1, dtype=jnp.int32)
            right = which >= left
            which = jnp.where(right, which - left, which)
            block = jnp.where(right[:, None], block[:, width:], block[:, :width])
            at = at * 2 + right.astype(jnp.int32)
        return at


def _identity(level: Any) -> Any:
    return level


@struct.dataclass
class StratifiedByTask:
    """As many draws from one task as from another, and uniform ones within a task.

    Every task of which a trajectory is complete gets ``batch_size / tasks`` draws, rounded down or up; which ones get one more is
    drawn anew for each batch. Frequent or long-lived tasks then count no more than rare ones.

    Attributes:
        num_tasks: ``K``, static.
        task_of: static, turns the levels of a rollout (leaves ``[T, N, ...]``) into numbers ``[T, N]`` of tasks below ``K``;
            by default the level is the number. Steps with other numbers are never drawn.
    """

    num_tasks: int = struct.field(pytree_node=False, default=1)
    task_of: Callable[[PyTree], jax.Array] = struct.field(pytree_node=False, default=_identity)

    certain = False

    def init(self, layout: Layout) -> tuple[TaskTable, jax.Array]:
        """The table of tasks, and the tasks that wait for their trajectories to be complete."""
        check_numbers("StratifiedByTask's", self, num_tasks=Count)
        return TaskTable.empty(table_size(layout), self.num_tasks), no_values(layout, jnp.int32)

    def add(self, state: PyTree, ring: Ring, layout: Layout, before: Added, rollout: Rollout, context: Context) -> PyTree:
        """New steps are counted, overwritten ones are not counted any more."""
        task = self.task_of(rollout.level)
        shape = (layout.rollout_length, layout.num_envs)
        if not isinstance(task, jax.Array) or task.shape != shape or not jnp.issubdtype(task.dtype, jnp.integer):
            what = f"{task.dtype} of shape {task.shape}" if isinstance(task, jax.Array) else f"{type(task).__name__}"
            raise RLJaxError(f"draws by task need one whole number per step, of shape {shape}, not {what}: set task_of")
        known = (task >= 0) & (task < self.num_tasks)
        table, waiting = state
        values, waiting = enter(waiting, jnp.where(known, 1 + task, 0))
        return renew(table, ring, layout, before, values), waiting

    def ready(self, state: PyTree, ring: Ring, layout: Layout) -> jax.Array:
        """As soon as there is a step of any task."""
        return jnp.any(state[0].totals > 0)

    def draw(self, state: PyTree, ring: Ring, layout: Layout, number: int, context: Context) -> Draw:
        """``number`` first steps, the tasks in turn."""
        table = state[0]
        key_tasks, key_steps = jax.random.split(context.key)
        totals = table.totals
        # The tasks that have data in random order, then the others: the first ones get one draw more than the last.
        order = jnp.argsort(jnp.where(totals > 0, jax.random.uniform(key_tasks, totals.shape), 2.0))
        task = order[jnp.arange(number) % jnp.maximum(jnp.sum(totals > 0), 1)].astype(jnp.int32)
        which = random_index(key_steps, (number,), totals[task])
        return Draw(table.find(task, which), None)

    def update(self, state: PyTree, indices: jax.Array, priorities: jax.Array) -> PyTree:
        return state
