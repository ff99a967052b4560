"""Episodes that start from a pool of starts, for environments whose resets are expensive."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.types import Context, Curriculum, Key, Metrics, PyTree, Rollout, Spec, Start


@struct.dataclass
class PooledStarts:
    """Draws each episode's start from ``size`` starts of an inner curriculum, which are made anew after every rollout.

    A reset in a compiled loop is computed for all environments in every step in which any of them needs one. With a pool it is a
    lookup, and ``size`` resets are computed once per train step. What changes: two episodes of one rollout may begin in the same
    state (each in ``size`` pairs), with the same random key in it if the environment keeps one there. Each start by itself is
    distributed as before.

    Attributes:
        curriculum: where starts come from.
        size: ``P``, starts in the pool.
    """

    curriculum: Curriculum
    size: int = struct.field(pytree_node=False, default=256)

    def init(self, key: Key, spec: Spec) -> tuple[PyTree, Start]:
        """The inner curriculum's state, and a first pool with a leading axis ``[P]``."""
        key_state, key_pool = jax.random.split(key)
        state = self.curriculum.init(key_state, spec)
        return state, self._fill(state, key_pool)

    def _fill(self, state: PyTree, key: Key) -> Start:
        index = jnp.arange(self.size, dtype=jnp.int32)
        return jax.vmap(self.curriculum.start, in_axes=(None, 0, 0))(state, jax.random.split(key, self.size), index)

    def start(self, state: tuple[PyTree, Start], key: Key, index: jax.Array) -> Start:
        """One of the pool, uniformly."""
        drawn = jax.random.randint(key, (), 0, self.size)
        return jax.tree.map(lambda leaf: leaf[drawn], state[1])

    def params(self, state: tuple[PyTree, Start], level: Any) -> PyTree:
        """The task of a level, as the inner curriculum has it."""
        return self.curriculum.params(state[0], level)

    def update(self, state: tuple[PyTree, Start], rollout: Rollout, context: Context) -> tuple[tuple[PyTree, Start], Metrics]:
        """Update the inner curriculum, then fill a new pool."""
        key_update, key_pool = jax.random.split(context.key)
        inner_context = context.replace(key=key_update)  # type: ignore[attr-defined]
        inner, metrics = self.curriculum.update(state[0], rollout, inner_context)
        return (inner, self._fill(inner, key_pool)), metrics
