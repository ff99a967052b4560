"""Chunks of actions: played open loop, or as a temporal ensemble."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from toy import Clock

import rl_jax as rl
from rl_jax.agents import AgentBase
from rl_jax.agents.chunked import Chunked, chunk_space
from rl_jax.errors import RLJaxError, UnsupportedSpace
from rl_jax.loop import play
from rl_jax.masks import MASK
from rl_jax.spaces import Box, Dict, Discrete, MultiDiscrete, mask_space
from rl_jax.types import Spec

STEP = Box.of(-10.0, 10.0, (2,))


@struct.dataclass
class Plan(AgentBase):
    """At every decision: ``obs + 0.1 k`` for the step ``k`` ahead, in each element; it remembers how often it has decided.

    With ``noise``, random numbers come on top, and of choices it is the observation that counts.
    """

    noise: Any = 0.0
    space: Any = struct.field(pytree_node=False, default=None)

    def bind(self, spec):
        return self.replace(space=spec.action_space)

    def init(self, key, spec):
        assert spec.action_space == self.space
        return {"params": jnp.zeros(())}

    def initial_carry(self, num_envs):
        return jnp.zeros((num_envs,), jnp.int32)

    def act(self, state, carry, obs, first, key, greedy=False):
        count = jnp.where(first, 0, carry) + 1
        time = obs.reshape(obs.shape[0], -1)[:, -1]
        if isinstance(self.space, MultiDiscrete):
            parts = len(self.space.nvec)
            return count, (time.astype(jnp.int32)[:, None] + jnp.arange(parts)) % 3, {"decided": count}
        ahead = 0.1 * jnp.arange(self.space.shape[0])
        action = time[:, None, None] + ahead[:, None] + jnp.zeros((2,))
        return count, action + self.noise * jax.random.normal(key, action.shape), {"decided": count}

    def value(self, state, carry, obs, first):
        return carry.astype(jnp.float32)

    def learn(self, state, sample, context):
        return state, {}, None

    def params(self, state):
        return state["params"]


def spec_of(action_space, obs_space=None):
    return Spec(obs_space or Box.of(-100.0, 100.0, (1,)), action_space, num_envs=3, rollout_length=1)


def played(agent, obs, first, action_space=STEP, seed=0):
    """Actions ``[T, N, ...]``, extras and last memory over observations and starts ``[T, N]``, in one compiled loop."""
    spec = spec_of(action_space)
    agent = agent.bind(spec)
    state = agent.init(jax.random.key(0), spec)

    def step(carry, row):
        obs, first, key = row
        carry, action, extras = agent.act(state, carry, obs[:, None], first, key)
        return carry, (action, extras)

    rows = jnp.asarray(obs, jnp.float32), jnp.asarray(first), jax.random.split(jax.random.key(seed), len(obs))
    carry, (action, extras) = jax.jit(lambda: jax.lax.scan(step, agent.initial_carry(len(obs[0])), rows))()
    return np.asarray(action), jax.tree.map(np.asarray, extras), carry


#: Three environments over nine steps; the second begins anew at step 4, the third at steps 1 and 2.
OBS = np.arange(9.0)[:, None] + np.asarray([0.0, 100.0, 200.0])
FIRST = np.zeros((9, 3), bool)
FIRST[0] = FIRST[4, 1] = FIRST[1:3, 2] = True


@pytest.mark.parametrize("executed", [None, 2, 1])
def test_open_loop(executed):
    """Each environment plays its chunk to the end, and decides anew there or where an episode begins."""
    action, extras, carry = played(Chunked(Plan(), 3, executed), OBS, FIRST)
    since, count = np.zeros(3, int), np.zeros(3, int)
    decision = np.zeros(3)
    for t in range(9):
        since = np.where(FIRST[t], 0, since)
        count = np.where(FIRST[t], 0, count)
        due = since % (executed or 3) == 0
        decision = np.where(due, OBS[t], decision)
        count = count + due
        expected = decision + 0.1 * (since % (executed or 3))
        np.testing.assert_allclose(action[t], np.repeat(expected[:, None], 2, 1), rtol=1e-5)
        # Its own memory and extras are those of decisions alone.
        np.testing.assert_array_equal(extras["decided"][t], np.where(due, count, 0))
        since = since + 1
    np.testing.assert_array_equal(carry.agent, count)


@pytest.mark.parametrize("decay", [0.01, 0.7])
def test_a_temporal_ensemble(decay):
    """Zhao et al., Algorithm 2, with all predictions of an episode kept: ``w_i = exp(-m i)``, the oldest first."""
    length, shape = 4, (9, 3)
    action, extras, _ = played(Chunked(Plan(0.5), length, decay=decay), OBS, FIRST)
    keys = jax.random.split(jax.random.key(0), 9)
    plan = Plan(0.5).replace(space=chunk_space(STEP, length))
    said = [
        plan.act(None, jnp.zeros(3, jnp.int32), jnp.asarray(OBS[t])[:, None], jnp.asarray(FIRST[t]), keys[t])[1]
        for t in range(9)
    ]
    begin = np.zeros(3, int)
    for t in range(9):
        begin = np.where(FIRST[t], t, begin)
        for n in range(3):
            of_this_step = [np.float64(said[s][n, t - s]) for s in range(begin[n], t + 1) if t - s < length]
            weights = np.exp(-decay * np.arange(len(of_this_step)))
            expected = np.tensordot(weights / weights.sum(), of_this_step, 1)
            np.testing.assert_allclose(action[t, n], expected, rtol=1e-4)
    assert extras["decided"].min() >= 1 and action.shape == (*shape, 2)


def test_choices():
    """Discrete actions, and rows of them."""
    action, _, _ = played(Chunked(Plan(), 3), OBS, FIRST, Discrete(3))
    assert action.dtype == np.int32
    np.testing.assert_array_equal(action[:, 0], [0, 1, 2, 0, 1, 2, 0, 1, 2])
    rows, _, _ = played(Chunked(Plan(), 2), OBS, FIRST, MultiDiscrete((3, 3)))
    np.testing.assert_array_equal(rows[:4, 0], [[0, 1], [2, 0], [2, 0], [1, 2]])


def test_the_network_is_not_called_in_between():
    """Deciding is a branch, also of a batch of seeds, and nothing outside of it draws or calls the agent."""
    spec = spec_of(STEP)
    agent = Chunked(Plan(), 4).bind(spec)
    state, key = agent.init(jax.random.key(0), spec), jax.random.key(0)

    def act(carry, first):
        return agent.act(state, carry, jnp.zeros((1, 1)), first, key)

    def one(first):
        return act(agent.initial_carry(1), first)[0]

    equations = jax.make_jaxpr(jax.vmap(one))(jnp.ones((5, 1), bool)).eqns
    branches = [
        str(branch) for equation in equations if equation.primitive.name == "cond" for branch in equation.params["branches"]
    ]
    assert ["random" in branch for branch in branches] == [False, True]
    assert not [str(equation) for equation in equations if equation.primitive.name != "cond" and "random" in str(equation)]


@pytest.mark.slow
def test_in_a_trainer():
    """Collected and evaluated like any other agent; a chunk ends with its episode."""
    env = Clock(5, act_space=STEP)
    trainer = rl.Trainer.create(env=env, agent=Chunked(Plan(), 3), num_envs=2, rollout_length=12)
    state = trainer.init(jax.random.key(0), 24)
    rollout = play(trainer, state, jax.random.key(1), 2, 12)
    time = np.asarray(rollout.obs)[..., 1]
    decided = np.asarray(rollout.extras["decided"]) > 0
    np.testing.assert_array_equal(decided, time % 3 == 0)
    np.testing.assert_allclose(rollout.action[..., 0], 1.1 * time - (time // 3 * 3 * 0.1 + (time % 3)), atol=1e-5)


def test_what_it_refuses():
    for agent, words in (
        (Chunked(Plan(), 0), "Chunked's length must be"),
        (Chunked(Plan(), 3, 4), "executed is 4, of chunks of 3"),
        (Chunked(Plan(), 3, 2, 0.1), "leave out executed, or leave out decay"),
    ):
        with pytest.raises(RLJaxError, match=words):
            agent.bind(spec_of(STEP))
    with pytest.raises(UnsupportedSpace, match="choices have none: leave out decay"):
        Chunked(Plan(), 3, decay=0.1).bind(spec_of(Discrete(2)))
    masked = Dict({"x": Box.of(0.0, 1.0, (2,)), MASK: mask_space(Discrete(2))})
    with pytest.raises(UnsupportedSpace, match="says what is allowed at one step"):
        Chunked(Plan(), 3).bind(spec_of(Discrete(2), masked))
