"""Rank-based prioritization: steps are drawn by the rank of their priority."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.ops import SumTree
from rl_jax.replay.prioritized import Priorities, importance_weights, update_priorities
from rl_jax.replay.ring import Added, Layout, Ring
from rl_jax.replay.samplers import Draw
from rl_jax.replay.start_table import renew, table_size
from rl_jax.types import Context, PyTree, Rollout
from rl_jax.values import NotNegative


@struct.dataclass
class RankBased:
    """The rank-based variant of Schaul et al. 2016, "Prioritized Experience Replay", section 3.3.

    ``P(i)`` is in proportion to ``1 / rank(i)^alpha``; rank 1 has the largest priority, equal ones rank by their place in the
    ring. A step that becomes drawable has the largest priority so far. Ranks are exact: every draw sorts the priorities of all
    steps, where the paper keeps a heap that is put in order only now and then. On a CPU that takes 0.2 s per batch for 2^20 steps,
    ten thousand times as long as a draw from a sum tree: a sampler for small buffers, or for comparison.

    Attributes:
        alpha: how much ranks matter; 0 is a uniform draw.
        beta: how far the importance weights undo the bias, at the start of training.
        beta_end: the same at the end, reached linearly.
    """

    alpha: Any = 0.7
    beta: Any = 0.5
    beta_end: Any = 1.0

    # A drawable step's priority is never zero: see `update_priorities`.
    certain = True

    def init(self, layout: Layout) -> Priorities:
        """All chances zero: nothing can be drawn.

        Raises:
            RLJaxError: a number is out of range.
        """
        check_numbers("RankBased's", self, alpha=NotNegative, beta=NotNegative, beta_end=NotNegative)
        return Priorities(SumTree.zeros(table_size(layout)), (), jnp.ones((), jnp.float32))

    def add(
        self, state: Priorities, ring: Ring, layout: Layout, before: Added, rollout: Rollout, context: Context
    ) -> Priorities:
        """New steps get the largest priority, overwritten ones lose theirs."""
        values = jnp.broadcast_to(state.largest, (layout.rollout_length, layout.num_envs))
        return state.replace(tree=renew(state.tree, ring, layout, before, values))  # type: ignore[attr-defined]

    def ready(self, state: Priorities, ring: Ring, layout: Layout) -> jax.Array:
        """As soon as any step has a priority."""
        return state.tree.total > 0

    def draw(self, state: Priorities, ring: Ring, layout: Layout, number: int, context: Context) -> Draw:
        """``number`` first steps and their importance weights."""
        priorities = state.tree.leaves
        order = jnp.argsort(-priorities)
        rank = 1 + jnp.arange(priorities.shape[0], dtype=jnp.int32)
        chances = rank.astype(jnp.float32) ** -jnp.asarray(self.alpha, jnp.float32)
        chances = jnp.where(rank <= jnp.sum(priorities > 0), chances, 0.0)
        which = SumTree.of(chances).sample(context.key, number)
        beta = self.beta + (self.beta_end - self.beta) * context.progress
        return Draw(order[which].astype(jnp.int32), importance_weights(chances[which], beta))

    def update(self, state: Priorities, indices: jax.Array, priorities: jax.Array) -> PyTree:
        """The agent's new priorities ``[B]``. A step without any error keeps the smallest of all: only the others are zero."""
        return update_priorities(state, indices, jnp.abs(priorities))
