"""Ratios per step, per turn and per episode; and that the clipped surrogate is plain policy gradient where nothing has moved."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import context
from whole_columns import N, T, columns

from rl_jax.losses.clipped import ClippedTokens, summed
from rl_jax.losses.mirror import LogPolicy
from rl_jax.networks.distributions import Categorical

STEPS = 6


@settings(max_examples=30, deadline=None)
@given(st.lists(st.booleans(), min_size=2 * STEPS, max_size=2 * STEPS))
def test_sums_over_turns_and_episodes(own):
    own = np.reshape(own, (STEPS, 2))
    x = np.arange(2.0 * STEPS).reshape(STEPS, 2) - 3
    turn, sequence = (
        np.asarray(jax.jit(summed, static_argnums=2)(jnp.asarray(x), own, level)) for level in ("turn", "sequence")
    )
    for t, n in zip(*np.nonzero(own), strict=True):
        first = last = t
        while first and own[first - 1, n]:
            first -= 1
        while last < STEPS - 1 and own[last + 1, n]:
            last += 1
        np.testing.assert_allclose(turn[t, n], x[first : last + 1, n].sum())
        np.testing.assert_allclose(sequence[t, n], x[own[:, n], n].sum())


def test_the_ratio_of_an_episode_is_clipped_as_a_whole():
    """Ratios of 1.1 each: none is outside by itself, their product 1.21 is, and its surrogate has no gradient upwards."""
    own = np.ones((T, N), bool)
    own[1] = False
    rollout = columns(np.ones(N), own=own)
    policy = SimpleNamespace(log_prob=lambda action: rollout.extras["log_prob"] + np.log(1.1))
    for level, expected, outside in (("token", 1.1, 0), ("turn", 1.1, 0), ("sequence", 1.2, 1)):
        loss, metrics = ClippedTokens(level=level)({}, rollout, context(outputs=SimpleNamespace(policy=policy)))
        np.testing.assert_allclose(np.asarray(loss)[own], -expected, rtol=1e-5)
        assert float(metrics["policy/clip_fraction"][0, 0]) == outside


@pytest.mark.parametrize("level", ["token", "turn", "sequence"])
def test_before_the_first_step_it_is_plain_policy_gradient_bit_for_bit(level):
    """LOOP with one pass is RLOO: equal log-probabilities give ratios of exactly 1. Per episode, steps are summed."""
    rng = np.random.default_rng(0)
    rollout = columns(np.zeros(N), rng.normal(size=N)).replace(action=jnp.asarray(rng.integers(0, 4, (T, N)), jnp.int32))
    logits = jnp.asarray(rng.normal(size=(T, N, 4)), jnp.float32)
    rollout = rollout.with_extras(log_prob=Categorical(logits).log_prob(rollout.action))

    def gradient(term):
        def loss(logits):
            outputs = SimpleNamespace(policy=Categorical(logits))
            return jnp.sum(term({}, rollout, context(outputs=outputs))[0])

        return jax.jit(jax.grad(loss))(logits)

    plain, clipped = gradient(LogPolicy(standardize=False)), gradient(ClippedTokens(level=level))
    if level == "token":
        np.testing.assert_array_equal(clipped, plain)
    else:  # all steps are own: one turn, and each of its T surrogates has the gradient of every step
        np.testing.assert_allclose(clipped, T * np.asarray(plain), rtol=1e-6)
