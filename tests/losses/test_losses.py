"""Loss terms against numbers worked out by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import context, rollout_of

from rl_jax.agents.configs import DQNConfig
from rl_jax.losses import (
    Categorical51,
    ClippedPolicy,
    ClippedValue,
    ExpectedValue,
    KLDiagnostic,
    NegativeEntropy,
    Quantiles,
    SquaredValue,
    weighted_sum,
)
from rl_jax.networks import Categorical, Outputs

HALF = math.log(0.5)


def mean(pair):
    """A term's loss and metrics as :func:`weighted_sum` sees them: means over the batch."""
    return jax.tree.map(jnp.mean, pair)


def policy_batch(ratios, advantages):
    """A minibatch ``[1, B]`` whose two-action policy gives action 0 probability 1/2 now and ``1/2 / ratio`` then."""
    ratios, advantages = np.asarray([ratios], np.float32), np.asarray([advantages], np.float32)
    return rollout_of(np.zeros(ratios.shape), log_prob=HALF - np.log(ratios), advantage=advantages)


def policy_loss(batch, shift=0.0, **options):
    """The loss when the logits of action 0 are raised by ``shift`` ``[B]``."""
    shape = batch.reward.shape
    logits = jnp.zeros((*shape, 2)).at[..., 0].add(shift)
    outputs = Outputs(Categorical(logits), jnp.zeros(shape), jnp.zeros(shape))
    return mean(ClippedPolicy(**options)({}, batch, context(outputs=outputs)))


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [
        (1.0, 2.0, -2.0),
        (1.1, 2.0, -2.2),
        (1.5, 2.0, -2.4),  # too good: clipped at 1.2
        (0.5, 2.0, -1.0),  # worse than before: not clipped
        (1.5, -2.0, 3.0),  # worse than before: not clipped
        (0.5, -2.0, 1.6),  # too good: clipped at 0.8
    ],
)
def test_clipped_policy_by_hand(ratio, advantage, expected):
    """The pessimistic minimum of eq. 7: clipping only where it lowers the objective."""
    loss, metrics = policy_loss(policy_batch([ratio], [advantage]), epsilon=0.2, standardize=False)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert float(metrics["policy/clip_fraction"]) == float(abs(ratio - 1) > 0.2)


@pytest.mark.slow
def test_clipped_policy_gradient_vanishes_on_the_right_side():
    """Beyond the clip there is no gradient where the policy has already gained, and a full one where it has lost."""
    batch = policy_batch([1.5, 0.5, 1.5, 0.5, 1.1, 0.9], [1.0, 1.0, -1.0, -1.0, 1.0, -1.0])
    grad = jax.grad(lambda shift: policy_loss(batch, shift, epsilon=0.2, standardize=False)[0])(jnp.zeros(6))
    # d ratio / d shift = ratio * (1 - p) = ratio / 2, over a mean of six.
    expected = -np.array([0.0, 0.5, -1.5, 0.0, 1.1, -0.9]) / 2 / 6
    np.testing.assert_allclose(grad, expected, rtol=1e-5, atol=1e-7)


def test_clipped_policy_averages_and_counts():
    """Mean over the minibatch; the clip fraction counts both sides, whatever the advantage."""
    loss, metrics = policy_loss(policy_batch([1.0, 1.5, 0.5, 1.1], [1.0, 1.0, 1.0, 1.0]), epsilon=0.2, standardize=False)
    np.testing.assert_allclose(loss, -(1.0 + 1.2 + 0.5 + 1.1) / 4, rtol=1e-5)
    assert float(metrics["policy/clip_fraction"]) == 0.5


def test_clipped_policy_standardizes_within_the_minibatch():
    """Standardised, a common shift and scale of the advantages do nothing."""
    advantages = np.array([1.0, 2.0, 3.0, 6.0])
    plain = policy_loss(policy_batch([1.0, 1.1, 0.9, 1.0], (advantages - 3.0) / advantages.std()), standardize=False)[0]
    for transformed in (advantages, 10 * advantages + 5):
        got = policy_loss(policy_batch([1.0, 1.1, 0.9, 1.0], transformed), standardize=True)[0]
        np.testing.assert_allclose(got, plain, rtol=1e-4)


def value_context(value):
    value = jnp.asarray([value], jnp.float32)
    return context(outputs=Outputs(Categorical(jnp.zeros((*value.shape, 2))), value, value))


def value_batch(target, old=None):
    target = np.asarray([target], np.float32)
    return rollout_of(
        np.zeros(target.shape), value_target=target, value=target if old is None else np.asarray([old], np.float32)
    )


def test_squared_value_by_hand():
    """Half the mean squared error."""
    loss = SquaredValue()({}, value_batch([1.0, 2.0]), value_context([0.0, 5.0]))[0]
    np.testing.assert_allclose(loss, [[0.5, 4.5]])


@pytest.mark.parametrize(
    ("value", "target", "old", "expected"),
    [
        (1.1, 2.0, 1.0, 0.5 * 0.9**2),  # within the interval: the plain error
        (1.5, 2.0, 1.0, 0.5 * 0.8**2),  # jumped ahead: as if at 1.2
        (0.5, 2.0, 1.0, 0.5 * 1.5**2),  # jumped away: the plain error, the larger
        (3.0, 0.0, 1.0, 0.5 * 3.0**2),
    ],
)
def test_clipped_value_by_hand(value, target, old, expected):
    """The larger of the two errors, clipped around the *old* estimate."""
    got = mean(ClippedValue(0.2)({}, value_batch([target], [old]), value_context([value])))[0]
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_negative_entropy():
    """Minus the mean entropy as a loss, so that a positive weight rewards randomness; the entropy itself as a metric."""
    logits = jnp.log(jnp.asarray([[[0.5, 0.5], [0.9, 0.1]]]))
    outputs = Outputs(Categorical(logits), jnp.zeros((1, 2)), jnp.zeros((1, 2)))
    loss, metrics = mean(NegativeEntropy()({}, rollout_of(np.zeros((1, 2))), context(outputs=outputs)))
    entropy = (math.log(2) - 0.9 * math.log(0.9) - 0.1 * math.log(0.1)) / 2
    np.testing.assert_allclose(loss, -entropy, rtol=1e-5)
    np.testing.assert_allclose(metrics["policy/entropy"], entropy, rtol=1e-5)


def test_kl_diagnostic():
    """``E[(r - 1) - log r]`` under the old policy is ``KL(old || new)``, and it is zero where nothing moved."""
    old, new = np.array([0.3, 0.7]), np.array([0.6, 0.4])
    outputs = Outputs(Categorical(jnp.log(jnp.tile(new, (1, 10, 1)))), jnp.zeros((1, 10)), jnp.zeros((1, 10)))
    action = np.array([[0] * 3 + [1] * 7])  # the old policy's own frequencies
    batch = rollout_of(np.zeros((1, 10)), log_prob=np.log(old)[action].astype(np.float32)).replace(action=jnp.asarray(action))
    loss, metrics = mean(KLDiagnostic()({}, batch, context(outputs=outputs)))
    np.testing.assert_allclose(metrics["policy/kl"], (old * np.log(old / new)).sum(), rtol=1e-4)
    np.testing.assert_allclose(loss, metrics["policy/kl"])


def test_weighted_sum():
    """The weights multiply; what is logged is unweighted; the terms' own metrics come along."""
    each = jnp.array([[2.0, 4.0]])  # a number for each item, of which the mean is meant
    terms = {"a": lambda p, b, c: (jnp.float32(2.0), {"x": 1.0}), "b": lambda p, b, c: (each, {"y": each - 1.0})}
    total, metrics = weighted_sum(terms, {"a": 0.5, "b": -1.0}, {}, None, context())
    assert float(total) == -2.0
    assert {k: float(v) for k, v in metrics.items()} == {"loss/a": 2.0, "loss/b": 3.0, "x": 1.0, "y": 2.0}
    with pytest.raises(KeyError):
        weighted_sum(terms, {"a": 0.5}, {}, None, context())


@pytest.mark.slow
@pytest.mark.parametrize(("reward", "mean"), [(1.0, 0.184), (5.0, 0.602), (20.0, 2.072)])
def test_quantiles_of_a_rare_reward_settle_where_those_of_the_paper_do(reward, mean):
    """In a tenth of the episodes. Dabney et al. 2018, eq. 10 with their kappa of 1, solved by bisection for each quantile; with
    10 the means were 0.18, 0.92 and 3.07."""
    head = DQNConfig(distribution="quantile").head()
    level = (np.arange(head.atoms) + 0.5) / head.atoms
    low, high = np.full(head.atoms, -1.0), np.full(head.atoms, reward + 1)
    for _ in range(60):
        middle = (low + high) / 2
        slope = sum(p * np.abs(level - (z < middle)) * np.clip(z - middle, -1, 1) for z, p in ((0, 0.9), (reward, 0.1)))
        low, high = np.where(slope > 0, middle, low), np.where(slope > 0, high, middle)
    assert low.mean() == pytest.approx(mean, abs=1e-3)

    def loss(chosen):
        both = jnp.broadcast_to(chosen, (2, head.atoms))
        error = head.loss(both, jnp.zeros_like(both), jnp.array([0.0, reward]), jnp.zeros(2))[0]
        return error @ jnp.array([0.9, 0.1])

    np.testing.assert_allclose(jax.grad(loss)(jnp.asarray(low, jnp.float32)), 0.0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("head", [ExpectedValue(), ExpectedValue(rescaled=True), Categorical51(atoms=5), Quantiles(atoms=5)])
def test_no_gradient_goes_through_a_target(head):
    """Whatever the next outputs are functions of: double Q-learning chooses among them with the parameters that are learned."""
    chosen, following = jax.random.normal(jax.random.key(0), (2, 3, head.atoms))
    reward, discount = jnp.array([0.5, -1.0, 0.0]), jnp.array([0.9, 0.9, 0.0])

    def loss(chosen, following):
        return jnp.sum(head.loss(chosen, following, reward, discount)[0])

    own, others = jax.grad(loss, (0, 1))(chosen, following)
    assert (own != 0).any(-1).all()
    np.testing.assert_array_equal(others, 0.0)
