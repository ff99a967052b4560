"""Starting episodes in the environments whose episode ended, and in no others."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rl_jax.ops import along, any_true, shared
from rl_jax.ops.cost import operations
from rl_jax.types import PyTree, Start

#: A start that computes at least so many numbers, and as many as a step, is dear: the environments that ended are gathered for it.
DEAR = 4_000
#: From here on a start is made by itself: side by side with others they take no less time, and longer to compile.
ALONE = 100_000

#: ``index -> `` the start in that environment; it does not depend on which other environments there are.
StartOne = Callable[[jax.Array], Start]


def cost_of(start: StartOne) -> float:
    """About how many numbers a start computes; nothing is computed for it."""
    return operations(start, jax.ShapeDtypeStruct((), jnp.int32))


def start_all(start: StartOne, index: jax.Array, cost: float) -> Start:
    """The starts of the environments ``index`` ``[n]``."""
    return jax.lax.map(start, index) if cost >= ALONE else jax.vmap(start)(index)


def restart(start: StartOne, done: jax.Array, index: jax.Array, current: PyTree, cost: float, step_cost: float) -> PyTree:
    """``current`` ``(env_state, obs, level)`` ``[N, ...]``, with new ones where ``done`` ``[N]``.

    Cheap starts are made for all environments in the steps in which any ended: that is one vectorised computation. Dear ones are
    made for those that ended, a few at a time. Every start is what it would be by itself.

    Args:
        start: of one environment.
        done, index: which ended, and the number of each ``[N]``.
        current: what goes on.
        cost, step_cost: of a start, see :func:`cost_of`, and of a step.
    """
    if cost >= max(DEAR, step_cost):
        return _gathered(start, done, index, current, cost)

    def restart_all(done: jax.Array, index: jax.Array, current: PyTree) -> PyTree:
        new = jax.vmap(start)(index)
        return _where(done, (new.env_state, new.obs, new.level), current)

    # In most steps of most environments no episode ends.
    return jax.lax.cond(any_true(done), restart_all, lambda done, index, current: current, done, index, current)


def _gathered(start: StartOne, done: jax.Array, index: jax.Array, current: PyTree, cost: float) -> PyTree:
    num_envs = done.shape[0]
    few = 1 if cost >= ALONE else max(1, min(128, num_envs // 16))  # rarely more end in one step
    groups = -(-num_envs // few)
    (rows,) = jnp.nonzero(done, size=groups * few, fill_value=num_envs)

    def group(i: jax.Array, current: PyTree) -> PyTree:
        at = rows[i] if few == 1 else jax.lax.dynamic_slice_in_dim(rows, i * few, few)
        env_index = index[jnp.minimum(at, num_envs - 1)]
        new = start(env_index) if few == 1 else jax.vmap(start)(env_index)
        return jax.tree.map(lambda x, y: x.at[at].set(y, mode="drop"), current, (new.env_state, new.obs, new.level))

    # The same number in all vmapped runs, or each of them would be carried through the loops of the others.
    count = shared((jnp.sum(done, dtype=jnp.int32) + few - 1) // few)
    return jax.lax.fori_loop(0, count, group, current)


def _where(flag: jax.Array, yes: PyTree, no: PyTree) -> PyTree:
    def choose(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(along(flag, b), a, b)

    return jax.tree.map(choose, yes, no)
