"""Trust in a judge: against loops over groups, and what is paid."""

import jax.numpy as jnp
import numpy as np
from toy import context, rollout_of

from rl_jax.ideas.group_policy.trust_grpo import TrustedScore, trust

SIZE = 4
RIGHT = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0]], bool)
SCORE = np.array([[0.9, 0.2, 0.7, 0.4], [0.9, 0.1, 0.6, 0.3], [0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]], np.float32)


def test_trust_by_hand():
    """Trusted; 0.2 against 0.75: not; all right and all wrong: nothing to compare."""
    found = np.asarray(trust(jnp.asarray(SCORE.ravel()), jnp.asarray(RIGHT.ravel()), SIZE)).reshape(4, 4)
    np.testing.assert_allclose(found, np.repeat([[1.0], [np.exp(0.2 - 0.75)], [1.0], [1.0]], 4, 1), rtol=1e-5)


def paid(number=0, **options):
    outcome = RIGHT.ravel().astype(np.float32)
    reward, done = np.zeros((3, 16), np.float32), np.zeros((3, 16), bool)
    reward[1], done[1] = outcome, True
    rollout = rollout_of(reward, done, score=np.broadcast_to(SCORE.ravel(), (3, 16)))
    asked = context().replace(update=jnp.int32(number))
    after = TrustedScore(SIZE, **options).update((), rollout, asked)[1].reward
    assert not np.asarray(after)[[0, 2]].any()
    return (np.asarray(after)[1] - outcome).reshape(4, 4)


def test_what_is_paid():
    mixed = np.array([[1.0], [1.0], [0.0], [0.0]])
    gamma = np.array([[1.0], [np.exp(-0.55)], [1.0], [1.0]])
    np.testing.assert_allclose(paid(time=np.inf), 0.3 * gamma * SCORE * mixed, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(paid(time=np.inf, trusts=0.0), 0.3 * SCORE * mixed, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(paid(20, time=10.0, alpha=1.0), np.exp(-2) * gamma * SCORE * mixed, rtol=1e-5, atol=1e-7)


def test_the_released_shortcut_always_trusts():
    """Wrong answers are scored 0 there, and so never above right ones."""
    expected = 0.3 * SCORE * RIGHT * np.array([[1.0], [1.0], [0.0], [0.0]])
    np.testing.assert_allclose(paid(time=np.inf, wrong=0.0), expected, rtol=1e-5, atol=1e-7)
