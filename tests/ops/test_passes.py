"""pass@k and maj@k against all subsets."""

from itertools import combinations

import jax.numpy as jnp
import numpy as np
import pytest

from rl_jax.errors import RLJaxError
from rl_jax.ops.passes import majority_at_k, pass_at_k


@pytest.mark.parametrize("k", [1, 3, 6])
def test_pass_at_k_is_the_mean_over_all_subsets(k):
    correct = np.array([[0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0], [1, 0, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]], bool)
    slow = [np.mean([any(row[list(few)]) for few in combinations(range(6), k)]) for row in correct]
    np.testing.assert_allclose(pass_at_k(jnp.asarray(correct), k), slow, atol=1e-6)


@pytest.mark.slow
def test_majority_of_blocks():
    """2, 2, 7: the vote is 2. 1, 5, 9: a fair draw, one of which is right. Of ties only the most frequent take part."""
    answers = jnp.asarray([[2, 2, 7, 1, 5, 9], [3, 3, 4, 4, 4, 3]])
    correct = jnp.asarray([[1, 1, 0, 0, 1, 0], [1, 1, 0, 0, 0, 1]], bool)
    np.testing.assert_allclose(majority_at_k(answers, correct, 3), [(1 + 1 / 3) / 2, (1 + 0) / 2], atol=1e-6)
    np.testing.assert_allclose(majority_at_k(answers, correct, 6), [1.0, 0.5], atol=1e-6)
    np.testing.assert_allclose(majority_at_k(answers, correct, 1), [0.5, 0.5], atol=1e-6)


def test_more_answers_than_there_are_cannot_be_asked_for():
    with pytest.raises(RLJaxError, match="from 1 to 4"):
        pass_at_k(jnp.ones((2, 4), bool), 5)
