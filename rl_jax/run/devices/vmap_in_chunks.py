"""Many runs on a CPU: two side by side, the rest one group after the other.

Side by side, small runs share their overhead; too many of them no longer fit into the caches, and the whole gets slower than one
run alone. So the runs are cut into groups, and each group does all of its work before the next begins. A group of one is no batch.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rl_jax.run.devices.tree_io import plain, unplain
from rl_jax.types import PyTree

#: Numbers of runs side by side, the best first.
WIDTHS = (2, 3, 5, 7)


def width(runs: int) -> int:
    """How many of ``runs`` go side by side: on a CPU few, if some few divide them; elsewhere all."""
    if jax.default_backend() != "cpu":
        return runs
    return next((few for few in WIDTHS if runs % few == 0), 1)


def batch(function: Callable[..., PyTree], axes: tuple[int | None, ...], runs: int, in_place: bool) -> Callable[..., PyTree]:
    """``jax.vmap(function, in_axes=axes)`` over ``runs`` runs, group after group.

    Args:
        function: of single runs.
        axes: 0 for each argument that has a leading axis of runs, else ``None``.
        runs: how many.
        in_place: the second argument, of runs, comes back as the first result, and takes no memory twice.
    """
    lanes, of_runs = width(runs), [i for i, axis in enumerate(axes) if axis == 0]

    def alone(*arguments: PyTree) -> PyTree:
        """One run without its axis: matrix products stay plain, which is faster than a batch of one."""
        mine = [jax.tree.map(lambda x: x[0], x) if n in of_runs else x for n, x in enumerate(arguments)]
        return jax.tree.map(lambda x: x[None], function(*mine))

    side_by_side = alone if lanes == 1 else jax.vmap(function, in_axes=axes)
    if lanes == runs:
        return side_by_side

    def group(arguments: list[PyTree], i: jax.Array) -> PyTree:
        def cut(x: jax.Array) -> jax.Array:
            return jax.lax.dynamic_slice_in_dim(x, i * lanes, lanes)

        mine = [jax.tree.map(cut, x) if n in of_runs else x for n, x in enumerate(arguments)]
        return side_by_side(*mine)

    def paste(whole: PyTree, part: PyTree, i: jax.Array) -> PyTree:
        return jax.tree.map(lambda x, y: jax.lax.dynamic_update_slice_in_dim(x, y, i * lanes, 0), whole, part)

    def grouped(*arguments: PyTree) -> PyTree:
        zero = jnp.zeros((), jnp.int32)
        shape = jax.eval_shape(group, list(arguments), zero)

        def empty(x: Any) -> jax.Array:
            words = jax.eval_shape(plain, x)
            return unplain(jnp.zeros((runs, *words.shape[1:]), words.dtype), x)

        results = jax.tree.map(empty, shape[1:] if in_place else shape)

        def body(i: jax.Array, carry: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
            state, results = carry
            given = [arguments[0], state, *arguments[2:]] if in_place else list(arguments)
            out = group(given, i)
            if not in_place:
                return state, paste(results, out, i)
            return paste(state, out[0], i), paste(results, out[1:], i)

        state = arguments[1] if in_place else ()
        state, results = jax.lax.fori_loop(0, runs // lanes, body, (state, results))
        return (state, *results) if in_place else results

    return grouped
