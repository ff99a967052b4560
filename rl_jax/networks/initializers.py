"""Initialisers: orthogonal from matrix products alone, and sparse."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp


def orthogonal(scale: float = 1.0) -> Callable[..., jax.Array]:
    """A random matrix with orthonormal rows or columns, times ``scale`` (Saxe et al. 2014).

    The distribution is uniform (Haar): Gaussian columns, orthonormalised in order by Gram-Schmidt, twice each, which is as
    orthogonal as float32 can say (Giraud et al. 2005). Not a QR factorisation: on the CPU, jaxlib 0.10's batched one waits
    inside its thread pool for work of the same pool: two of them at once, as in networks initialised for several seeds by
    ``vmap``, stop for ever on a machine with two cores.

    Returns:
        An initialiser ``(key, (rows, columns), dtype) -> array``.
    """

    def init(key: jax.Array, shape: tuple[int, int], dtype: Any = jnp.float32) -> jax.Array:
        basis = _orthonormal_rows(key, min(shape), max(shape))
        return (scale * (basis if shape[0] <= shape[1] else basis.T)).astype(dtype)

    return init


@partial(jax.jit, static_argnums=(1, 2))  # traced once for each shape, and networks are initialised in many traces
def _orthonormal_rows(key: jax.Array, short: int, long: int) -> jax.Array:
    """``short`` orthonormal vectors: ``[short, long]``."""
    columns = jax.random.normal(key, (short, long), jnp.float32)

    def orthonormalise(k: jax.Array, basis: jax.Array) -> jax.Array:
        """Row ``k`` made orthogonal to the rows before it; those after it are still zero."""
        vector = columns[k] / math.sqrt(long)
        for _ in range(2):
            vector = vector - (basis @ vector) @ basis
        return basis.at[k].set(vector * jax.lax.rsqrt(jnp.sum(vector**2)))

    return jax.lax.fori_loop(0, short, orthonormalise, jnp.zeros_like(columns))


def sparse(sparsity: float = 0.9, fewest: int = 1) -> Callable[..., jax.Array]:
    """Each unit hears few inputs: ``ceil(sparsity * rows)`` of its weights are zero, the others uniform in ``+-1 / sqrt(rows)``.

    Elsayed et al. 2024 (arXiv 2410.14606), Algorithm 1, rounded up as in its published code. There, all weights of a unit are
    zero if it has fewer than ``1 / (1 - sparsity)`` inputs, such as four; here ``fewest`` of them are not.

    Args:
        sparsity: share of zeros; 0 for none.
        fewest: weights of each unit that are not zero, whatever ``sparsity`` says.

    Returns:
        An initialiser ``(key, (rows, columns), dtype) -> array``; a unit is a column.
    """

    def init(key: jax.Array, shape: tuple[int, int], dtype: Any = jnp.float32) -> jax.Array:
        rows = shape[0]
        # The product of such a share with a number of inputs may lie a rounding error above a whole number.
        zeros = max(0, min(math.ceil(round(sparsity * rows, 6)), rows - fewest))
        key_value, key_place = jax.random.split(key)
        weights = jax.random.uniform(key_value, shape, jnp.float32, -1.0, 1.0) / math.sqrt(rows)
        kept = jnp.broadcast_to((jnp.arange(rows) >= zeros)[:, None], shape)
        kept = jax.random.permutation(key_place, kept, axis=0, independent=True) if zeros else kept
        return jnp.where(kept, weights, 0.0).astype(dtype)

    return init
