"""PPO on the probes: each needs one ability, and its answer, values included, is known in advance."""

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.agents import PPOConfig
from rl_jax.envs import make
from rl_jax.loop import evaluate
from rl_jax.spaces import to_env_action

BASE = dict(
    num_envs=32, rollout_length=8, epochs=4, minibatches=2, learning_rate=1e-2, gamma=0.9, gae_lambda=0.95, entropy_weight=0.0,
    value_weight=1.0, normalize_obs=False, normalize_reward=False, hidden=(16,), max_grad_norm=10.0,
)  # fmt: skip


class Learned:
    """PPO after some train steps on a probe."""

    def __init__(self, name, updates=60, options=None, **config):
        self.trainer = PPOConfig(**{**BASE, **config}).trainer(make(name, **(options or {})))

        def learn(key):
            steps = updates * self.trainer.steps_per_update
            state, metrics = self.trainer.advance(self.trainer.init(key, steps), updates)
            return state, metrics, evaluate(self.trainer, state, jax.random.fold_in(key, 1), num_episodes=64, max_steps=20)

        self.state, self.metrics, self.evaluation = jax.jit(learn)(jax.random.key(0))
        assert int(self.metrics["nonfinite_update"]) == -1

    def values(self, *obs):
        obs = jnp.asarray(obs, jnp.float32)
        return self.trainer.agent.value(self.state.agent, (), obs, jnp.ones(len(obs), bool))

    def greedy(self, *obs):
        obs = jnp.asarray(obs, jnp.float32)
        action = self.trainer.agent.act(self.state.agent, (), obs, jnp.ones(len(obs), bool), jax.random.key(0), True)[1]
        return to_env_action(self.trainer.base.action_space, action)


def test_constant_reward():
    """The value head learns at all: V = 1."""
    learned = Learned("probe/constant-reward", updates=30)
    np.testing.assert_allclose(learned.values([0.0]), [1.0], atol=0.05)


def test_observed_reward():
    """The value depends on the observation: V(c) = c."""
    learned = Learned("probe/observed-reward", updates=30)
    np.testing.assert_allclose(learned.values([-1.0], [1.0]), [-1.0, 1.0], atol=0.1)


def test_discount():
    """The reward of the second step reaches the first, discounted once: V(0) = gamma, V(1) = 1."""
    learned = Learned("probe/discount", gamma=0.5)
    np.testing.assert_allclose(learned.values([0.0], [1.0]), [0.5, 1.0], atol=0.05)


def test_action_choice():
    """Advantages push the policy the right way."""
    learned = Learned("probe/action-choice")
    assert int(learned.greedy([0.0])[0]) == 1
    assert float(learned.evaluation.mean()) == 1.0
    np.testing.assert_allclose(learned.values([0.0]), [1.0], atol=0.1)


def test_observed_action():
    """Policy gradients belong to the observation of their own step."""
    learned = Learned("probe/observed-action")
    assert learned.greedy([-1.0], [1.0]).tolist() == [0, 1]
    assert float(learned.evaluation.mean()) == 1.0
    np.testing.assert_allclose(learned.values([-1.0], [1.0]), [1.0, 1.0], atol=0.15)


def test_memory():
    """A GRU carries the cue over the blank steps, through learning as through acting; a network without memory cannot."""
    config = dict(rollout_length=12, updates=100, options={"delay": 1})
    remembering = Learned("probe/memory", **config, memory="gru", memory_width=16)
    assert float(remembering.evaluation.mean()) == 1.0
    # The value of a step that will be rewarded in k further steps is gamma^k: walk through an episode.
    agent, state = remembering.trainer.agent, remembering.state.agent
    carry = agent.initial_carry(2)
    for t, cue in enumerate(([[1.0, 0.0], [-1.0, 0.0]], [[0.0, 0.0]] * 2, [[0.0, 1.0]] * 2)):
        obs, first = jnp.asarray(cue), jnp.full((2,), t == 0)
        np.testing.assert_allclose(agent.value(state, carry, obs, first), [0.9 ** (2 - t)] * 2, atol=0.15)
        carry, _, _ = agent.act(state, carry, obs, first, jax.random.key(t), True)
    blind = Learned("probe/memory", **config)
    assert abs(float(blind.metrics["reward/mean"])) < 0.1
    # It plays one action at the end, whatever the cue was: right about half of the time.
    assert abs(float(blind.evaluation.mean())) < 0.5


def test_continuous_action():
    """The best action, inside bounds that are not centred, is found; its value is zero."""
    learned = Learned("probe/continuous-action", updates=150, learning_rate=5e-3)
    np.testing.assert_allclose(learned.greedy([0.0]), [[2.0]], atol=0.25)
    assert float(learned.evaluation.mean()) > -0.06
    np.testing.assert_allclose(learned.values([0.0]), [0.0], atol=0.6)


def test_truncation():
    """Cut after 4 steps, the future beyond the cut still counts: V = 1 / (1 - gamma), not the sum of 4 rewards."""
    learned = Learned("probe/truncation", gamma=0.5, gae_lambda=0.5)
    np.testing.assert_allclose(learned.values([0.0]), [2.0], atol=0.05)


def test_multi_discrete():
    """Each component is credited with its own choice."""
    learned = Learned("probe/multi-discrete")
    assert learned.greedy([1.0], [-1.0]).tolist() == [[2, 0], [0, 1]]
    assert float(learned.evaluation.mean()) == 1.0
    np.testing.assert_allclose(learned.values([1.0], [-1.0]), [1.0, 1.0], atol=0.15)
