"""EPO: its history, its schedule, and that the penalty as released moves no parameter."""

import math
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import Clock, context, leaves_equal, rollout_of

import rl_jax as rl
from rl_jax.experience.advantage.group import group_advantage
from rl_jax.experience.weights import own_weight
from rl_jax.ideas.group_policy.epo_entropy_smoothed_policy_optimisation import (
    EntropyBand,
    EntropyHistory,
    History,
    entropy_history,
    fade,
)
from rl_jax.losses import NegativeEntropy
from rl_jax.losses.clipped import ClippedTokens
from rl_jax.networks import actor_critic
from rl_jax.networks.distributions import Categorical


def trained(terms, weights, steps=3):
    """Parameters after a few train steps."""
    agent = rl.agents.PolicyGradient(
        terms={"policy": ClippedTokens(), "entropy": NegativeEntropy(), **terms},
        weights={"policy": 1.0, "entropy": 0.1, **weights},
        learning_rate=0.05,
        max_grad_norm=10.0,
        network=lambda spec: actor_critic(spec, hidden=(4,)),
        epochs=2,
        minibatches=2,
        anneal=False,
    )
    experience = rl.chain(group_advantage(4, "mean", "none"), own_weight(), entropy_history(0.25))
    trainer = rl.Trainer.create(Clock(4), agent, experience, num_envs=8, rollout_length=4, whole=True, time_limit=4)
    state = trainer.init(jax.random.key(0), 1000)
    return trainer.params(jax.jit(trainer.advance)(state, steps)[0])


@pytest.mark.slow
def test_the_released_constant_is_the_bonus_alone_bit_for_bit():
    bonus = trained({}, {})
    constant = trained({"band": EntropyBand(0.99, 1.01, 10.0)}, {"band": 0.1})
    assert leaves_equal(bonus, constant)


@pytest.mark.slow
def test_penalties_and_their_gradients():
    logits = jnp.array([[[0.0, 0.0], [3.0, 0.0], [0.5, 0.0]]])
    entropy = np.asarray(Categorical(logits).entropy())
    extras = {"entropy_history": jnp.array([[0.4, 0.4, 0.65]]), "band_weight": jnp.array([[1.0, 0.5, 1.0]])}
    batch = rollout_of(jnp.zeros((1, 3)), **extras)

    def penalty(logits, hinge):
        asked = context(outputs=SimpleNamespace(policy=Categorical(logits)))
        loss, metrics = EntropyBand(0.8, 1.2, 0.1, hinge)((), batch, asked)
        return jnp.sum(loss), (loss, metrics["epo/outside"])

    for hinge, expected in (
        (False, [0.1, 0.05, 0.0]),
        (True, [0.1 * (entropy[0, 0] - 0.48), 0.05 * (0.32 - entropy[0, 1]), 0.0]),
    ):
        grads, (loss, outside) = jax.grad(penalty, has_aux=True)(logits, hinge)
        np.testing.assert_allclose(loss[0], expected, atol=1e-6)
        np.testing.assert_array_equal(outside[0], [1, 1, 0])
        assert bool(jnp.any(grads != 0)) == hinge


def test_the_history_is_a_mean_over_train_steps_of_each_turn():
    entropies = jnp.array([[0.2, 0.4], [0.6, 9.0]])
    agent = SimpleNamespace(
        params=lambda state: state.params,
        outputs=lambda params, rollout: SimpleNamespace(policy=SimpleNamespace(entropy=lambda: entropies)),
    )
    own = jnp.array([[True, True], [True, False]])
    asked = context(agent, SimpleNamespace(params=()), progress=0.25)
    state = History(jnp.array([0.5, 0.0]), jnp.array([1.0, 0.0]))
    state, rollout, _ = EntropyHistory(0.5).update(state, rollout_of(jnp.zeros((2, 2)), own=own), asked)
    np.testing.assert_allclose(rollout.extras["entropy_history"], [[0.4, 0.4], [0.6, 0.6]], atol=1e-6)
    weight = 1 - 0.2 * (1 - math.exp(-1.0))
    np.testing.assert_allclose(rollout.extras["band_weight"], [[0.0, 0.0], [weight, weight]], atol=1e-6)
    np.testing.assert_array_equal(state.visits, [2, 1])


@pytest.mark.parametrize(
    ("epoch", "weight"),
    [(0, 1.0), (75, 1 - 0.2 * (1 - math.exp(-2))), (76, 0.8 * math.exp(-3 / 75)), (150, 0.8 * math.exp(-3))],
)
def test_the_weight_follows_the_released_schedule(epoch, weight):
    """Its function of epoch and 150 epochs."""
    assert float(fade(jnp.float32(epoch / 150))) == pytest.approx(weight, abs=1e-6)
