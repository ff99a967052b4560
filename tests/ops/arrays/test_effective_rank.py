"""Effective ranks against NumPy's singular values, and their growth against a loop."""

import jax.numpy as jnp
import numpy as np
import pytest

from rl_jax.ops.arrays.effective_rank import effective_rank, rank_growth


def slow_rank(vectors):
    if len(vectors) < 2:
        return 0.0
    singular = np.linalg.svd(vectors - vectors.mean(0), compute_uv=False)
    p = singular[singular > 1e-6 * singular.max()]
    p = p / p.sum()
    return np.exp(-(p * np.log(p)).sum())


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(5, 12), (12, 5)])
def test_rank_of_some_of_the_vectors(shape):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(4, *shape)).astype(np.float32) + 3.0
    among = rng.uniform(size=(4, shape[0])) < [[1.0], [0.7], [0.5], [0.0]]
    among[2] = np.arange(shape[0]) == 1
    slow = [slow_rank(x[m].astype(np.float64)) for x, m in zip(vectors, among, strict=True)]
    np.testing.assert_allclose(effective_rank(jnp.asarray(vectors), jnp.asarray(among)), slow, rtol=2e-3)


@pytest.mark.slow
def test_known_ranks():
    """Two equal directions: 2. All on one line: 1. All equal: 0."""
    square = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], np.float32)
    line = np.array([[1, 2], [2, 4], [3, 6], [0, 0]], np.float32)
    found = effective_rank(jnp.stack([square, line, np.ones((4, 2), np.float32)]), jnp.ones((3, 4), bool))
    np.testing.assert_allclose(found, [2.0, 1.0, 0.0], atol=1e-3)


def test_growth_is_the_mean_of_differences_from_all_before():
    ranks = np.array([[1.0, 2.0, 4.0, 4.5], [1.0, 2.0, 4.0, 9.0], [1.0, 2.0, 9.0, 9.0], [1.0, 9.0, 9.0, 9.0]])
    lengths = [4, 3, 2, 1]
    velocity, acceleration = [], []
    for row, length in zip(ranks, lengths, strict=True):
        d = [row[j] - row[:j].mean() for j in range(1, length)]
        velocity.append(np.mean(d) if d else 0.0)
        second = np.diff(d)
        acceleration.append(second.mean() if len(second) else 0.0)
    exists = np.arange(4) < np.array(lengths)[:, None]
    found = rank_growth(jnp.asarray(ranks), jnp.asarray(exists))
    np.testing.assert_allclose(found[0], velocity, rtol=1e-5)
    np.testing.assert_allclose(found[1], acceleration, rtol=1e-5, atol=1e-6)
