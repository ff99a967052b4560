"""AILBoost: weights of rounds, its losses, and who learns when."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import context, rollout_of

from rl_jax.ideas.imitation.ailboost import AILBoost, MixtureOfRounds, ReverseKL
from rl_jax.replay.layout import Layout
from rl_jax.replay.ring import Added
from rl_jax.types import Sample


@pytest.mark.parametrize("eta", [0.05, 0.4, 1.0])
def test_rounds_have_the_weights_of_the_mixture(eta):
    """Four rounds of three rows: d <- (1 - eta) d + eta d_new, from the first."""
    weights = np.array([1.0])
    for _ in range(3):
        weights = np.append((1 - eta) * weights, eta)
    layout = Layout(rows=15, final_rows=3, num_envs=2, rollout_length=3)
    index = MixtureOfRounds(eta).draw((), Added(jnp.int32(12), jnp.int32(12)), layout, 20_000, context()).indices
    counts = np.bincount(np.asarray(index), minlength=24)
    assert counts.size == 24
    expected = np.repeat(weights / 6, 6) * 20_000
    assert np.all(np.abs(counts - expected) <= 5 * np.sqrt(expected) + 1e-9)


def test_the_reverse_kl_is_least_at_the_log_ratio():
    """Of two outcomes with expert's probabilities p and mixture's q: the derivative of p exp(-f) + q f is zero at log p/q."""
    p, q, loss = np.array([0.2, 0.8]), np.array([0.5, 0.5]), ReverseKL()
    slope = jax.grad(lambda f: jnp.sum(p * loss.expert(f, jax.random.key(0)) + q * loss.learner(f)))(jnp.log(p / q))
    np.testing.assert_allclose(slope, 0.0, atol=1e-6)


class Sums:
    """A model and an agent that add up the observations that they were shown, and how they were paid."""

    def init(self, key, spec):
        return jnp.zeros((2,))

    def learn(self, state, batch, context):
        if isinstance(batch, Sample):
            return state + jnp.stack([batch.batch.obs.sum(), batch.batch.reward.sum()]), {}, None
        return state + jnp.stack([batch.obs.sum(), 0.0]), {}

    def reward(self, state, batch, context):
        return jnp.zeros(batch.reward.shape) + state[0]


def test_the_discriminator_learns_first_and_then_stands_still():
    batch = rollout_of(np.zeros((1, 4)), obs=jnp.array([[[1.0], [2.0], [30.0], [40.0]]])).replace(start=None, last=None)
    agent = AILBoost(Sums(), Sums(), discriminator_steps=2, policy_steps=3)
    state, seen = agent.init(jax.random.key(0), None), []
    for _ in range(7):
        state, _, _ = agent.learn(state, Sample(batch, None, None), context())
        seen.append([float(state.model[0]), *map(float, state.agent)])
    expected = [[70, 0, 0], [140, 0, 0], [140, 3, 280], [140, 6, 560], [140, 9, 840], [210, 9, 840], [280, 9, 840]]
    np.testing.assert_allclose(seen, expected)
