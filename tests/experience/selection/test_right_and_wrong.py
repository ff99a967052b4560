"""One right and one wrong column of each group."""

import jax
import jax.numpy as jnp
import numpy as np
from answers import GROUPS, SIZE, answers
from toy import context

from rl_jax.experience.selection.right_and_wrong import one_of_each, repetition, right_and_wrong

RIGHT = jnp.asarray([[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]], bool)


def test_each_kind_is_drawn_evenly_and_only_from_mixed_groups():
    keys = jax.random.split(jax.random.key(0), 2000)
    chosen = np.asarray(jax.vmap(lambda key: one_of_each(key, RIGHT.reshape(-1), 4))(keys)).reshape(2000, 5, 4)
    right = np.asarray(RIGHT)
    assert set((chosen & right).sum(-1).max(0)) == {0, 1} and set((chosen & ~right).sum(-1).min(0)) == {0, 1}
    np.testing.assert_array_equal(chosen.sum((1, 2)), 6)
    expected = np.where(right, 1 / right.sum(1, keepdims=True).clip(1), 1 / (~right).sum(1, keepdims=True).clip(1))
    expected[[0, 4]] = 0.0
    np.testing.assert_allclose(chosen.mean(0), expected, atol=0.05)


def test_repetition_is_that_of_the_published_settings():
    """Six times below a pass rate of 0.2, four times below 0.6, twice below 0.8, never from there on."""
    rates = jnp.asarray([0.0, 0.19, 0.2, 0.59, 0.6, 0.79, 0.8, 1.0])
    np.testing.assert_array_equal(repetition(rates, right_and_wrong().repeats), [6, 6, 4, 4, 2, 2, 0, 0])


def test_hard_groups_count_more():
    _, rollout = answers()
    _, rollout, metrics = right_and_wrong(SIZE).update((), rollout, context())
    weight = np.asarray(rollout.extras["weight"])
    np.testing.assert_allclose(weight.mean(), 1.0, rtol=1e-5)
    per_token = weight.max(0).reshape(GROUPS, SIZE).max(1)
    np.testing.assert_allclose(per_token / per_token[1], [0, 1, 1, 0.5, 0], atol=1e-5)
    np.testing.assert_allclose(metrics["selection/columns"], 6 / 20)
