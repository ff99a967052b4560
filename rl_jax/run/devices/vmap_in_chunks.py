"""Many runs on a CPU: two side by side, the rest one group after the other.

Side by side, small runs share their overhead; too many of them no longer fit into the caches, and the whole gets slower than one
run alone. So the runs are cut into groups, and each group does all of its work before the next begins. A group of one is no batch.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rl_jax.run.devices.tree_io import key_to_words, words_to_key
from rl_jax.types import PyTree

#: Numbers of runs side by side, the best first.
WIDTHS = (2, 3, 5, 7)


def chunk_size(num_runs: int) -> int:
    """How many of ``num_runs`` runs go side by side: on a CPU few, if some few divide them; elsewhere all."""
    if jax.default_backend() != "cpu":
        return num_runs
    return next((few for few in WIDTHS if num_runs % few == 0), 1)


def vmap_in_chunks(
    function: Callable[..., PyTree], in_axes: tuple[int | None, ...], num_runs: int, in_place: bool
) -> Callable[..., PyTree]:
    """``jax.vmap(function, in_axes=in_axes)`` over ``num_runs`` runs, group after group.

    Args:
        function: of single runs.
        in_axes: 0 for each argument that has a leading axis of runs, else ``None``.
        num_runs: how many.
        in_place: the second argument, of runs, comes back as the first result, and takes no memory twice.
    """
    chunk, of_runs = chunk_size(num_runs), [i for i, axis in enumerate(in_axes) if axis == 0]

    def alone(*arguments: PyTree) -> PyTree:
        """One run without its axis: matrix products stay plain, which is faster than a batch of one."""
        mine = [jax.tree.map(lambda x: x[0], x) if n in of_runs else x for n, x in enumerate(arguments)]
        return jax.tree.map(lambda x: x[None], function(*mine))

    side_by_side = alone if chunk == 1 else jax.vmap(function, in_axes=in_axes)
    if chunk == num_runs:
        return side_by_side

    def group(arguments: list[PyTree], i: jax.Array) -> PyTree:
        def slice_chunk(x: jax.Array) -> jax.Array:
            return jax.lax.dynamic_slice_in_dim(x, i * chunk, chunk)

        mine = [jax.tree.map(slice_chunk, x) if n in of_runs else x for n, x in enumerate(arguments)]
        return side_by_side(*mine)

    def write_chunk(whole: PyTree, part: PyTree, i: jax.Array) -> PyTree:
        return jax.tree.map(lambda x, y: jax.lax.dynamic_update_slice_in_dim(x, y, i * chunk, 0), whole, part)

    def grouped(*arguments: PyTree) -> PyTree:
        zero = jnp.zeros((), jnp.int32)
        shape = jax.eval_shape(group, list(arguments), zero)

        def empty(x: Any) -> jax.Array:
            words = jax.eval_shape(key_to_words, x)
            return words_to_key(jnp.zeros((num_runs, *words.shape[1:]), words.dtype), x)

        results = jax.tree.map(empty, shape[1:] if in_place else shape)

        def body(i: jax.Array, carry: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
            state, results = carry
            given = [arguments[0], state, *arguments[2:]] if in_place else list(arguments)
            out = group(given, i)
            if not in_place:
                return state, write_chunk(results, out, i)
            return write_chunk(state, out[0], i), write_chunk(results, out[1:], i)

        state = arguments[1] if in_place else ()
        state, results = jax.lax.fori_loop(0, num_runs // chunk, body, (state, results))
        return (state, *results) if in_place else results

    return grouped
