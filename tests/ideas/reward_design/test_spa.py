"""SPA: contributions sum up to the outcome, and grounded steps are paid."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import context, rollout_of

import rl_jax as rl
from rl_jax.ideas.reward_design.spa import stepwise_progress, uniform_progress
from rl_jax.types import Spec

#: Whether each step was the policy's, in episodes of 2, 4 and 3 steps.
OWN = jnp.arange(4)[:, None] < jnp.array([2, 4, 3])


def rollout(key=0, columns=3):
    """The first observation feature times 0.3 is what a step contributes to the outcome."""
    obs = jax.random.normal(jax.random.key(key), (4, columns, 2))
    own = jnp.tile(OWN, (1, columns // 3))
    reward = jnp.zeros((4, columns)).at[3].set(jnp.sum(0.3 * obs[..., 0] * own, 0))
    made = rollout_of(reward, obs=obs, next_obs=obs, own=own)
    return made.replace(info={"valid": obs[..., 1] > 0})


@pytest.mark.slow
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_contributions_are_learned_from_their_sum(share):
    transform = stepwise_progress(2, alpha=2.0, beta=0.5, learning_rate=0.01, passes=4, hidden=(32,), share=share)
    shapes = jax.eval_shape(lambda: rollout(columns=96))
    spec = Spec(rl.spaces.Box.of(-9, 9, (2,)), rl.spaces.Discrete(2), 96, 4, shapes, whole=True)
    state, step = transform.init(jax.random.key(0), spec), jax.jit(transform.update)
    for number in range(60):
        asked = context(seed=number)
        state, labelled, _ = step(state, rollout(number, 96), asked)
    truth, found = 0.3 * labelled.obs[..., 0], labelled.extras["progress"]
    own = np.asarray(labelled.extras["own"])
    assert np.corrcoef(truth[own], found[own])[0, 1] > 0.9
    assert not np.asarray(found)[~own].any()
    expected = (2.0 * found + 0.5 * labelled.info["valid"]) * own
    np.testing.assert_allclose(labelled.reward, expected, atol=1e-6)


def test_equal_parts_have_the_same_sum():
    before = rollout()
    after = uniform_progress().update((), before, context())[1]
    np.testing.assert_allclose(after.reward.sum(0), before.reward.sum(0), atol=1e-6)
    for column, length in enumerate((2, 4, 3)):
        np.testing.assert_allclose(after.reward[:length, column], before.reward[3, column] / length, atol=1e-6)
        assert not after.reward[length:, column].any()
