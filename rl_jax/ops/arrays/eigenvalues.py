"""Eigenvalues of many small symmetric matrices."""

import jax
import jax.numpy as jnp
import numpy as np


def symmetric_eigenvalues(matrix: jax.Array, sweeps: int = 6) -> jax.Array:
    """Eigenvalues ``[..., n]``, in no order, by Jacobi's rotations of disjoint pairs of rows and columns at a time.

    Brent and Luk 1985, "The Solution of Singular-Value and Symmetric Eigenvalue Problems on Multiprocessor Arrays". Six sweeps
    leave an error of rounding for matrices of some ten rows. It stands in for ``jnp.linalg.eigvalsh``: two batches of it in a
    loop, in a program over two CPU devices of a machine with two cores, stand still for good (jaxlib 0.10.2).

    Args:
        matrix: ``[..., n, n]``.
        sweeps: over all pairs, static.
    """
    size = matrix.shape[-1]
    if size % 2:
        edge = [(0, 0)] * (matrix.ndim - 2) + [(0, 1), (0, 1)]
        return symmetric_eigenvalues(jnp.pad(matrix, edge), sweeps)[..., :size]
    partners = jnp.asarray(_rounds(size))
    index = jnp.arange(size)

    def rotate(step: jax.Array, matrix: jax.Array) -> jax.Array:
        partner = partners[step % (size - 1)]
        swapped = jnp.take(matrix, partner, axis=-1)
        own = jnp.diagonal(matrix, axis1=-2, axis2=-1)
        other, off = jnp.take(own, partner, axis=-1), jnp.diagonal(swapped, axis1=-2, axis2=-1)
        first = index < partner
        tau = jnp.where(first, other - own, own - other) / (2.0 * jnp.where(off == 0.0, 1.0, off))
        tangent = jnp.where(tau < 0.0, -1.0, 1.0) / (jnp.abs(tau) + jnp.sqrt(1.0 + tau**2))
        tangent = jnp.where(off == 0.0, 0.0, tangent)
        cosine = 1.0 / jnp.sqrt(1.0 + tangent**2)
        sine = jnp.where(first, -tangent, tangent) * cosine
        matrix = matrix * cosine[..., None, :] + swapped * sine[..., None, :]
        return matrix * cosine[..., None] + jnp.take(matrix, partner, axis=-2) * sine[..., None]

    rotated = jax.lax.fori_loop(0, sweeps * (size - 1), rotate, matrix)
    return jnp.diagonal(rotated, axis1=-2, axis2=-1)


def _rounds(size: int) -> np.ndarray:
    """Who meets whom ``int [size - 1, size]`` in a tournament of an even number, in which all meet once."""
    rounds = np.zeros((size - 1, size), np.int32)
    for number in range(size - 1):
        ring = [size - 1, *((number + i) % (size - 1) for i in range(size - 1))]
        for one, two in ((ring[0], ring[1]), *((ring[1 + i], ring[size - i]) for i in range(1, size // 2))):
            rounds[number, one], rounds[number, two] = two, one
    return rounds
