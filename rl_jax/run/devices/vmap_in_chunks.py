"""Many runs on a CPU: ``vmap`` over chunks of a few runs, one chunk after the other.

Small runs under one ``vmap`` share their overhead. Too many of them no longer fit into the caches, and are slower than one run after
the other. So the runs are split into chunks, and each chunk does all of its work before the next one starts.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rl_jax.run.devices.tree_io import key_to_words, words_to_key
from rl_jax.types import PyTree

#: Sizes of a chunk, the fastest first.
WIDTHS = (2, 3, 5, 7)


def chunk_size(num_runs: int) -> int:
    """Runs of one chunk: on a CPU the first of :data:`WIDTHS` that divides ``num_runs``, or 1; on other devices all."""
    if jax.default_backend() != "cpu":
        return num_runs
    return next((width for width in WIDTHS if num_runs % width == 0), 1)


def vmap_in_chunks(
    function: Callable[..., PyTree], in_axes: tuple[int | None, ...], num_runs: int, in_place: bool
) -> Callable[..., PyTree]:
    """``jax.vmap(function, in_axes=in_axes)`` over ``num_runs`` runs, chunk after chunk.

    Args:
        function: of one run.
        in_axes: 0 for each argument that has a leading axis of runs, else ``None``.
        num_runs: length of the axis of runs.
        in_place: the second argument has an axis of runs and is updated in place: the first result takes its memory.
    """
    size, of_runs = chunk_size(num_runs), [i for i, axis in enumerate(in_axes) if axis == 0]

    def without_runs_axis(*arguments: PyTree) -> PyTree:
        """One run without the axis of runs: its matrix products are not batched, which is faster than a batch of one."""
        run_arguments = [jax.tree.map(lambda x: x[0], x) if n in of_runs else x for n, x in enumerate(arguments)]
        return jax.tree.map(lambda x: x[None], function(*run_arguments))

    run_chunk_fn = without_runs_axis if size == 1 else jax.vmap(function, in_axes=in_axes)
    if size == num_runs:
        return run_chunk_fn

    def run_chunk(arguments: list[PyTree], i: jax.Array) -> PyTree:
        def slice_chunk(x: jax.Array) -> jax.Array:
            return jax.lax.dynamic_slice_in_dim(x, i * size, size)

        chunk_arguments = [jax.tree.map(slice_chunk, x) if n in of_runs else x for n, x in enumerate(arguments)]
        return run_chunk_fn(*chunk_arguments)

    def write_chunk(results: PyTree, chunk_results: PyTree, i: jax.Array) -> PyTree:
        return jax.tree.map(lambda x, y: jax.lax.dynamic_update_slice_in_dim(x, y, i * size, 0), results, chunk_results)

    def in_chunks(*arguments: PyTree) -> PyTree:
        zero = jnp.zeros((), jnp.int32)
        shape = jax.eval_shape(run_chunk, list(arguments), zero)

        def empty(x: Any) -> jax.Array:
            words = jax.eval_shape(key_to_words, x)
            return words_to_key(jnp.zeros((num_runs, *words.shape[1:]), words.dtype), x)

        results = jax.tree.map(empty, shape[1:] if in_place else shape)

        def body(i: jax.Array, carry: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
            state, results = carry
            loop_arguments = [arguments[0], state, *arguments[2:]] if in_place else list(arguments)
            out = run_chunk(loop_arguments, i)
            if not in_place:
                return state, write_chunk(results, out, i)
            return write_chunk(state, out[0], i), write_chunk(results, out[1:], i)

        state = arguments[1] if in_place else ()
        state, results = jax.lax.fori_loop(0, num_runs // size, body, (state, results))
        return (state, *results) if in_place else results

    return in_chunks
