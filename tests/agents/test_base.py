"""The base of agents and the wrapper around one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

import rl_jax as rl
from rl_jax.agents import AgentBase, AgentWrapper
from rl_jax.types import Agent, PyTree


@struct.dataclass
class State:
    agent: PyTree


@struct.dataclass
class Plain(AgentWrapper):
    """Changes nothing."""

    agent: PyTree

    def init(self, key, spec):
        return State(self.agent.init(key, spec))


@struct.dataclass
class Constant(AgentBase):
    """Always does action 1: what an agent writes that remembers and learns nothing."""

    def bind(self, spec):
        return self

    def init(self, key, spec):
        return State(())

    def act(self, state, carry, obs, first, key, greedy=False):
        return carry, jnp.ones(first.shape, jnp.int32), {}

    def value(self, state, carry, obs, first):
        return jnp.zeros(first.shape)

    def learn(self, state, sample, context):
        return state, {}, None

    def params(self, state):
        return state.agent


def final(agent):
    trainer = rl.Trainer.create(
        env=rl.make("CartPole-v1"), agent=agent, experience=rl.experience.gae(), num_envs=4, rollout_length=8
    )
    state, rows = jax.jit(trainer.train, static_argnums=(1, 2))(jax.random.key(0), 128, 2)
    return trainer.params(state), rows


@pytest.mark.slow
def test_a_wrapper_that_changes_nothing_is_the_agent():
    agent = rl.agents.ppo(epochs=1, minibatches=1, anneal=True)
    assert isinstance(Plain(agent), Agent)
    params, rows = final(agent)
    wrapped_params, wrapped_rows = final(Plain(agent))
    jax.tree.map(np.testing.assert_array_equal, params, wrapped_params)
    np.testing.assert_array_equal(rows["episode/return"], wrapped_rows["episode/return"])
    still, _ = final(agent.replace(learning_rate=0.0))
    assert not all(jax.tree.leaves(jax.tree.map(np.array_equal, params, still)))


def test_the_base_has_the_defaults_of_an_agent_without_memory():
    assert isinstance(Constant(), Agent)
    state = State(jnp.arange(3))
    assert Constant().initial_carry(5) == () and Constant().prepare(state, None) is state
    assert Constant().refresh(state, "carry") == "carry" and Constant().params(state) is state.agent
