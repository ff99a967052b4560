"""NFT against a slow model, and as GRPO where it must be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from answers import SIZE, answers, gradient, log_probs, loss_of

from rl_jax.ideas.group_policy.nft_negative_aware import NegativeAware, clipped_below
from rl_jax.losses.clipped import ClippedTokens


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


@pytest.mark.slow
@pytest.mark.parametrize(("powers", "scale"), [((1.0, 0.0), "none"), ((0.5, 0.5), "std")])
def test_on_the_policy_that_acted_the_gradient_is_grpos(powers, scale):
    """Proposition 4.2: with or without division by the group's standard deviation, by the weight of the prompt."""
    logits, rollout = answers()
    advantage, rate = np.asarray(rollout.extras["advantage"]), np.asarray(rollout.extras["pass_rate"])
    spread = np.sqrt(rate * (1 - rate) * SIZE / (SIZE - 1)) + 1e-6 if scale == "std" else 1.0
    grpo = gradient(ClippedTokens(), logits, rollout.with_extras(advantage=advantage / spread))
    hard, rare = powers
    assert cosine(gradient(NegativeAware(hard=hard, rare=rare), logits, rollout), grpo) > 0.9999
    assert cosine(gradient(NegativeAware(hard=0.0), logits, rollout), grpo) < 0.9999


@pytest.mark.parametrize("bound", [1.0, 0.1])
def test_loss_step_by_step(bound):
    """Eq. 10 away from the policy that acted, where the bound holds some steps."""
    logits, rollout = answers(shift=1.0)
    ratio = np.exp(log_probs(logits, rollout.action) - np.asarray(rollout.extras["log_prob"], np.float64))
    outcome, rate, own = (np.asarray(rollout.extras[name]) for name in ("outcome", "pass_rate", "own"))
    total = 0.0
    for index in zip(*np.nonzero(own), strict=True):
        r, q, at = outcome[index], rate[index], ratio[index]
        if 0 < q < 1:
            total -= (1 - q) * (np.log(at) if r else np.log(max((1 - q * at) / (1 - q), bound)))
    found, metrics = loss_of(NegativeAware(bound), logits, rollout)
    np.testing.assert_allclose(found, total / own.sum(), rtol=1e-4)
    assert 0 < metrics["policy/bounded"] < 0.5


def test_the_bound_keeps_the_gradient():
    """A wrong token that has become likely is pushed down with a slope of at most ``1 / bound``, and never not at all."""
    logits, rollout = answers(shift=1.0)
    only = rollout.with_extras(outcome=np.zeros_like(rollout.extras["outcome"]), pass_rate=np.full((6, 20), 0.5, np.float32))
    ratio = np.exp(log_probs(logits, only.action) - np.asarray(only.extras["log_prob"], np.float64))
    for bound in (1.0, 0.5):
        slope = 0.5 * 0.5 * ratio / 0.5 / np.maximum((1 - 0.5 * ratio) / 0.5, bound)
        p = np.exp(log_probs(logits, only.action))
        found = gradient(NegativeAware(bound), logits, only).reshape(logits.shape)
        at = np.take_along_axis(found, np.asarray(only.action)[..., None], -1)[..., 0]
        expected = slope * (1 - p) * np.asarray(only.extras["weight"]) / ratio.size
        np.testing.assert_allclose(at, expected, rtol=1e-4, atol=1e-8)


def test_without_wrong_answers_it_is_rejection_fine_tuning():
    logits, rollout = answers(shift=0.5)
    outcome, rate = np.asarray(rollout.extras["outcome"]), np.asarray(rollout.extras["pass_rate"])
    found = gradient(NegativeAware(negative=0.0, hard=0.0), logits, rollout).reshape(logits.shape)
    learned = np.any(found != 0, axis=-1)
    np.testing.assert_array_equal(learned, np.asarray(rollout.extras["own"]) & (outcome > 0) & (rate < 1))
    p = np.exp(log_probs(logits, rollout.action))
    at = np.take_along_axis(found, np.asarray(rollout.action)[..., None], -1)[..., 0]
    expected = np.where(learned, -(1 - p) * np.asarray(rollout.extras["weight"]) / p.size, 0.0)
    np.testing.assert_allclose(at, expected, rtol=1e-4, atol=1e-8)


def test_a_small_bound_is_kept_to_the_bit():
    """Also where it is far below the rounding error of what is clipped, and the slope is one on both sides."""
    x = jnp.asarray([-1e4, -3.0, 0.5])
    value, slope = clipped_below(x, 1e-6), jax.vmap(jax.grad(clipped_below), (0, None))(x, 1e-6)
    np.testing.assert_array_equal(value, np.asarray([1e-6, 1e-6, 0.5], np.float32))
    np.testing.assert_array_equal(slope, np.ones(3))
