"""PPO on the probes that tests/agents/test_agents.py has not: one that needs a memory, and one with actions of several parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_jax.agents.configs import PPOConfig
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_multi_discrete():
    """Each component is credited with its own choice."""
    learned = Learned("probe/multi-discrete")
    assert learned.greedy([1.0], [-1.0]).tolist() == [[2, 0], [0, 1]]
    assert float(learned.evaluation.mean()) == 1.0
    np.testing.assert_allclose(learned.values([1.0], [-1.0]), [1.0, 1.0], atol=0.15)
