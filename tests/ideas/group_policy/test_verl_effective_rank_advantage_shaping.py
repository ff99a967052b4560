"""Advantages shaped by effective rank, against a slow model."""

import jax
import jax.numpy as jnp
import numpy as np
from answers import answers
from toy import context

from rl_jax.ideas.group_policy.verl_effective_rank_advantage_shaping import EffectiveRank
from rl_jax.spaces import Discrete
from rl_jax.types import Spec


def slow_rank(vectors):
    if len(vectors) < 2:
        return 0.0
    singular = np.linalg.svd(vectors - vectors.mean(0), compute_uv=False)
    p = singular[singular > 1e-6 * singular.max()] / singular.sum()
    return np.exp(-(p * np.log(p)).sum())


def slow_measures(hidden, own):
    """ER, ERV, ERA ``[3, N]`` with stride 1."""
    found = []
    for column in range(own.shape[1]):
        states = np.asarray(hidden, np.float64)[own[:, column], column]
        m = [slow_rank(states[:j]) for j in range(1, len(states) + 1)]
        d = [m[j] - np.mean(m[:j]) for j in range(1, len(m))]
        second = np.diff(d)
        found.append([m[-1], np.mean(d) if d else 0.0, second.mean() if len(second) else 0.0])
    return np.array(found).T


def rollouts(seed):
    _, rollout = answers(seed)
    hidden = np.random.default_rng(seed).normal(size=(*rollout.reward.shape, 8)).astype(np.float32)
    return rollout.with_extras(hidden=jnp.asarray(hidden))


def test_bonus_of_the_second_rollout():
    """The first sets the averages and changes nothing; the second's bonus is bounded by half the advantage, and never negative."""
    transform, update = EffectiveRank(stride=1), jax.jit(EffectiveRank(stride=1).update)
    state = transform.init(jax.random.key(0), Spec(Discrete(5), Discrete(5), 20, 6, whole=True))
    first, second = rollouts(0), rollouts(1)
    state, out, _ = update(state, first, context())
    np.testing.assert_array_equal(out.extras["advantage"], first.extras["advantage"])
    average = slow_measures(first.extras["hidden"], np.asarray(first.extras["own"])).mean(1)
    np.testing.assert_allclose(state.average, average, rtol=1e-3, atol=1e-4)

    state, out, metrics = update(state, second, context())
    measured = slow_measures(second.extras["hidden"], np.asarray(second.extras["own"]))
    deviation = np.clip((measured - average[:, None]) / np.abs(average)[:, None], -5, 5)
    lean = 1 / (1 + np.exp(-2 * deviation[2]))
    phi = lean * np.tanh(deviation[0]) + (1 - lean) * np.tanh(deviation[1])
    advantage = np.asarray(second.extras["advantage"])
    bonus = np.minimum(np.maximum(phi, 0), np.abs(advantage) / 2)
    assert (phi > 0).any() and (bonus == np.abs(advantage) / 2).any()
    np.testing.assert_allclose(out.extras["advantage"], advantage + bonus, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(state.average, 0.7 * average + 0.3 * measured.mean(1), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(metrics["rank/decoupled"], 1 - abs(np.corrcoef(measured[:2])[0, 1]), rtol=1e-2, atol=1e-3)


def test_the_control_hands_out_the_same_signals_to_others():
    state = EffectiveRank(stride=1).init(jax.random.key(0), Spec(Discrete(5), Discrete(5), 20, 6, whole=True))
    state = state.replace(average=jnp.asarray([2.0, 0.5, 0.1]), seen=jnp.int32(1))
    second = rollouts(1).with_extras(advantage=jnp.full((6, 20), 9.0))
    bonus, control = (
        jax.jit(EffectiveRank(stride=1, shuffle=shuffle).update)(state, second, context())[1].extras["advantage"][0]
        for shuffle in (False, True)
    )
    assert (bonus != control).any()
    np.testing.assert_allclose(np.sort(bonus), np.sort(control), rtol=1e-6)
