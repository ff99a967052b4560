"""Clips by covariance against brute force, and the law that they rest on."""

import jax
import jax.numpy as jnp
import numpy as np
from answers import answers, gradient, log_probs, loss_of

from rl_jax.losses.clipped import ClippedTokens
from rl_jax.losses.covariance import ClipCov, KLCov, covariance


def slow_covariance(logits, rollout):
    """Step by step, with means over own steps."""
    own, log_p = np.asarray(rollout.extras["own"]), log_probs(logits, rollout.action)
    advantage = np.asarray(rollout.extras["advantage"], np.float64)
    a = [advantage[i] for i in zip(*np.nonzero(own), strict=True)]
    p = [log_p[i] for i in zip(*np.nonzero(own), strict=True)]
    return np.where(own, (advantage - np.mean(a)) * (log_p - np.mean(p)), 0.0)


def test_covariances_are_of_own_steps():
    logits, rollout = answers(shift=0.5)
    found = covariance(jnp.asarray(log_probs(logits, rollout.action)), rollout.extras["advantage"], rollout.extras["own"])
    np.testing.assert_allclose(found, slow_covariance(logits, rollout), rtol=1e-4, atol=1e-6)


def test_kl_cov_holds_the_steps_of_highest_covariance_and_no_others():
    logits, rollout = answers(shift=0.5)
    own, scores = np.asarray(rollout.extras["own"]), slow_covariance(logits, rollout)
    number = max(1, int(0.2 * own.sum()))
    best = sorted(zip(*np.nonzero(own), strict=True), key=lambda i: -scores[i])[:number]
    held = np.zeros(own.shape)
    for index in best:
        held[index] = 1.0
    log_ratio = log_probs(logits, rollout.action) - np.asarray(rollout.extras["log_prob"], np.float64)
    slow = -np.exp(log_ratio) * np.asarray(rollout.extras["advantage"]) + held * 0.7 * np.abs(log_ratio)
    found, metrics = loss_of(KLCov(share=0.2, beta=0.7), logits, rollout)
    np.testing.assert_allclose(found, slow[own].mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics["policy/held"], number / own.sum(), rtol=1e-5)


def test_clip_cov_leaves_out_as_many_of_the_band_as_it_is_asked_for():
    """Their gradient is gone, that of all other steps is the clipped surrogate's, and what the ratio has clipped is never chosen."""
    logits, rollout = answers(shift=0.5)
    rollout = rollout.with_extras(advantage=np.random.default_rng(1).normal(size=rollout.reward.shape).astype(np.float32))
    own, scores = np.asarray(rollout.extras["own"]), slow_covariance(logits, rollout)
    ratio = np.exp(log_probs(logits, rollout.action) - np.asarray(rollout.extras["log_prob"], np.float64))
    advantage = np.asarray(rollout.extras["advantage"], np.float64)
    free = ~((np.clip(ratio, 0.8, 1.2) * advantage) < ratio * advantage)
    band = own & free & (scores > 0.02) & (scores < 0.5)
    number = max(1, int(0.1 * own.sum()))
    assert 1 < number < band.sum()
    term = ClipCov(share=0.1, above=0.02, below=0.5)
    with_clip, plain = (gradient(x, logits, rollout).reshape(logits.shape) for x in (term, ClippedTokens()))
    out = np.any(with_clip != plain, axis=-1)
    assert out.sum() == number and not (out & ~band).any()
    assert not with_clip[out].any()
    np.testing.assert_allclose(loss_of(term, logits, rollout)[1]["policy/left_out"], number / own.sum(), rtol=1e-5)


def test_at_least_one_step_is_chosen_and_none_where_none_is_in_the_band():
    logits, rollout = answers()
    own = np.asarray(rollout.extras["own"]).sum()
    assert np.isclose(loss_of(KLCov(share=1e-6), logits, rollout)[1]["policy/held"], 1 / own)
    assert loss_of(ClipCov(share=0.5, above=50.0, below=60.0), logits, rollout)[1]["policy/left_out"] == 0
    assert np.isclose(loss_of(ClipCov(share=1e-6, above=-50.0), logits, rollout)[1]["policy/left_out"], 1 / own)


def test_equal_scores_do_not_choose_more():
    """The same token after the same prompt in answers of the same outcome: all have one covariance."""
    logits, rollout = answers()
    logits, same = jnp.zeros_like(logits), jnp.zeros_like(rollout.extras["advantage"])
    found = loss_of(KLCov(share=0.1), logits, rollout.with_extras(advantage=same))[1]["policy/held"]
    own = int(np.asarray(rollout.extras["own"]).sum())
    assert np.isclose(found, int(0.1 * own) / own)


def test_entropy_falls_by_the_covariance():
    """Theorem 1 on tabular softmax policies: a step of policy gradient changes the entropy by ``-eta Cov(log pi, pi A)``."""
    rng = np.random.default_rng(0)
    step, changes, predicted = 0.05, [], []
    for _ in range(200):
        logits, reward = rng.normal(size=12) * 1.5, rng.uniform(size=12)
        log_p = logits - np.log(np.exp(logits).sum())
        p = np.exp(log_p)
        advantage = reward - p @ reward
        predicted.append(-step * (p @ (log_p * p * advantage) - (p @ log_p) * (p @ (p * advantage))))
        moved = np.asarray(jax.nn.log_softmax(jnp.asarray(logits + step * p * advantage)))
        changes.append(-np.exp(moved) @ moved + p @ log_p)
    assert np.corrcoef(changes, predicted)[0, 1] > 0.95
