"""Eigenvalues by Jacobi's rotations against NumPy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_jax.ops.arrays.eigenvalues import symmetric_eigenvalues


@pytest.mark.parametrize("size", [1, 2, 5, 12])
def test_eigenvalues_are_numpys(size):
    rng = np.random.default_rng(0)
    half = rng.normal(size=(3, size, size)).astype(np.float32)
    matrices = np.concatenate(
        [half + np.swapaxes(half, 1, 2), half[:1] @ np.swapaxes(half[:1], 1, 2), np.zeros((1, size, size))]
    )
    found = np.sort(jax.jit(symmetric_eigenvalues)(jnp.asarray(matrices, jnp.float32)), axis=-1)
    np.testing.assert_allclose(found, np.linalg.eigvalsh(matrices.astype(np.float64)), atol=1e-5 * size)
