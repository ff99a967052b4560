"""The implicit process reward: its dense advantage against loops, and that outcomes alone show it the step that decides."""

import jax
import jax.numpy as jnp
import numpy as np
from toy import context, rollout_of

from rl_jax.experience.tape_scores import outcome_loss
from rl_jax.ideas.reward_design.implicit_prm import DenseAdvantage, ImplicitReward
from rl_jax.networks import Categorical, Outputs
from rl_jax.types import Spec

LENGTH, COLUMNS, ACTIONS = 4, 32, 3


class Table:
    """A policy whose logits ``[T, A]`` depend on the position alone."""

    def outputs(self, params, rollout):
        logits = jnp.broadcast_to(params[:, None], (*rollout.reward.shape, ACTIONS))
        return Outputs(Categorical(logits), jnp.zeros(rollout.reward.shape), jnp.zeros(rollout.reward.shape))


def test_cross_entropy_by_hand():
    """A score of ``log 3`` is a probability of 3/4."""
    found = outcome_loss(jnp.full((2,), np.log(3.0)), jnp.array([1.0, 0.0]))
    np.testing.assert_allclose(found, [-np.log(0.75), -np.log(0.25)], rtol=1e-5)


def test_dense_advantages_by_loops():
    rng = np.random.default_rng(0)
    own = np.arange(5)[:, None] < np.array([2, 5, 4, 1, 3, 5])
    own[0] = False
    reward = (rng.normal(size=own.shape) * own).astype(np.float32)
    rollout = rollout_of(np.zeros(own.shape), own=own, implicit=reward, advantage=np.full(own.shape, 0.5, np.float32))
    found = DenseAdvantage(3, weight=2.0).update((), rollout, context())[1].extras["advantage"]
    mean = [reward[own[:, i], i].mean() if own[:, i].any() else 0.0 for i in range(6)]
    for i in range(6):
        others = [mean[j] for j in range(i // 3 * 3, i // 3 * 3 + 3) if j != i]
        for t in range(5):
            later = [reward[s, i] - np.mean(others) for s in range(t, 5) if own[s, i]]
            np.testing.assert_allclose(found[t, i], 0.5 + 2 * sum(later), rtol=1e-4, atol=1e-5)


def test_the_decisive_step_is_found():
    """Of four steps the action of the second decides; what the environment wrote (the first) has no reward."""
    reference = jnp.asarray(np.random.default_rng(1).normal(size=(LENGTH, ACTIONS)), jnp.float32)
    transform = ImplicitReward(reference, learning_rate=0.05, passes=2)
    state = transform.init(jax.random.key(0), Spec(None, None, COLUMNS, LENGTH, whole=True))
    own = jnp.broadcast_to(jnp.arange(LENGTH)[:, None] > 0, (LENGTH, COLUMNS))

    @jax.jit
    def train_step(state, key):
        action = Categorical(jnp.broadcast_to(reference[:, None], (LENGTH, COLUMNS, ACTIONS))).sample(key)
        reward = jnp.zeros((LENGTH, COLUMNS)).at[-1].set((action[1] == 1).astype(jnp.float32))
        rollout = rollout_of(reward, own=own).replace(action=action)
        state, rollout, metrics = transform.update(state, rollout, context(Table()))
        return state, rollout.extras["implicit"], action, metrics

    for number in range(150):
        state, reward, action, metrics = train_step(state, jax.random.key(number))
    apart = [float(reward[t][action[t] == 1].mean() - reward[t][action[t] != 1].mean()) for t in range(1, LENGTH)]
    assert apart[0] > 0.5 and max(map(abs, apart[1:])) < 0.3 * apart[0] and not np.asarray(reward[0]).any()
    np.testing.assert_allclose(jnp.abs(jnp.cumsum(reward[::-1], axis=0)).max(), 1.0, rtol=1e-3)
    assert metrics["implicit/accuracy"] > 0.9
