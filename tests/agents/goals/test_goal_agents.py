"""Agents that reach goals from recorded experience: their losses by hand, and what they learn on a line of known distances."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from line import Line, random_walk, same_place
from toy import context

import rl_jax as rl
from rl_jax.agents.configs.goal_reaching import GCBCConfig, GCIVLConfig, HIQLConfig
from rl_jax.agents.goals.gcivl import implicit_value_loss
from rl_jax.agents.goals.goal_networks import scaled_to_sphere
from rl_jax.errors import RLJaxError, UnsupportedSpace

ENV = Line()
SMALL = {"batch_size": 64, "hidden": (32,), "learning_rate": 1e-2}
VALUES = SMALL | {"tau": 0.05, "gamma": 0.9, "expectile": 0.95}


@pytest.fixture(scope="module")
def data():
    return random_walk(ENV)


def learned(config, data, steps=1500):
    trainer = config.trainer(ENV, data=data)
    trainer = trainer.replace(replay=trainer.replay.replace(same=same_place))
    return trainer, jax.jit(trainer.train, static_argnums=1)(jax.random.key(0), steps)[0]


def returns(trainer, state):
    """Of greedy episodes: minus the steps to the goal but the last. The shortest ways of a pair of places are 8/3 steps long."""
    return float(rl.evaluate(trainer, state, jax.random.key(1), 128).mean())


def test_the_value_s_error_is_the_published_one():
    """OGBench, ``impls/agents/hiql.py``, ``value_loss``, in NumPy."""
    rng = np.random.default_rng(0)
    values, slow, following = (rng.normal(size=(2, 50)).astype(np.float32) for _ in range(3))
    reward = np.where(rng.random(50) < 0.3, 0.0, -1.0).astype(np.float32)
    discount = np.where(reward == 0, 0.0, 0.9).astype(np.float32)
    advantage = reward + discount * np.minimum(following[0], following[1]) - (slow[0] + slow[1]) / 2
    weight = np.where(advantage >= 0, 0.7, 1 - 0.7)
    expected = sum(weight * (reward + discount * following[i] - values[i]) ** 2 for i in (0, 1))
    found = implicit_value_loss(values, slow, following, reward, discount, 0.7)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    # The error's own sign would weigh otherwise.
    own = sum(np.where(e >= 0, 0.7, 0.3) * e**2 for e in reward + discount * following - values)
    assert np.abs(found - own).max() > 0.1


def test_representations_have_one_length():
    x = jnp.asarray([[3.0, 4.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(scaled_to_sphere(x), [[1.2, 1.6, 0, 0], [0, 0, 0, 0]], atol=1e-6)
    assert np.isfinite(jax.grad(lambda x: scaled_to_sphere(x).sum())(x)).all()


def test_actions_and_subgoals_are_weighed_by_how_much_nearer_they_led(data):
    """The policies' losses of HIQL, in NumPy from the networks' outputs."""
    config = HIQLConfig(**VALUES, subgoal_steps=3, beta=2.0, high_beta=5.0)
    trainer = config.trainer(ENV, data=data)
    agent, replay = trainer.agent, trainer.replay.replace(batch_size=40)
    state = jax.jit(lambda key: agent.init(key, trainer.spec()))(jax.random.key(3))
    drawn = jax.jit(lambda key: replay.sample(replay.init(key, trainer.spec()), context()).batch)(jax.random.key(4))
    batch = jax.tree.map(lambda x: x[0], drawn)
    # Values that differ by whole steps: the distance on the line, as they are when learned.
    agent = agent.replace(value_net=LineValues())
    params = {**state.params, "value": {}}
    place = {
        name: np.asarray(x).argmax(-1) for name, x in batch.extras.items() if name in ("waypoint", "policy_goal", "subgoal")
    }
    here, after = (np.asarray(x["observation"]).argmax(-1) for x in (batch.obs, batch.next_obs))
    nearer = np.abs(here - place["waypoint"]) - np.abs(after - place["waypoint"])
    policy = agent.policy(params["actor"], {**batch.obs, "goal": jax.nn.one_hot(place["waypoint"], 10)})
    expected = -np.mean(np.minimum(np.exp(2.0 * nearer), 100.0) * np.asarray(policy.log_prob(batch.action)))
    np.testing.assert_allclose(agent.low_loss(params, batch), expected, rtol=1e-4)
    nearer = np.abs(here - place["policy_goal"]) - np.abs(place["subgoal"] - place["policy_goal"])
    high = np.asarray(agent.high_policy(params["high_actor"], {**batch.obs, "goal": batch.extras["policy_goal"]}).mean)
    wanted = np.asarray(jax.nn.one_hot(place["subgoal"], 10))
    log_prob = -0.5 * np.sum((wanted - high) ** 2, -1) - 5 * np.log(2 * np.pi)
    assert nearer.max() > 1
    expected = -np.mean(np.minimum(np.exp(5.0 * nearer), 100.0) * log_prob)
    np.testing.assert_allclose(agent.high_loss(params, {}, batch), expected, rtol=1e-4)


class LineValues:
    """Minus the distance on the line, twice; a goal's representation is its own place, of ten."""

    def apply(self, params, obs, method=None):
        place, goal = (jnp.argmax(obs[name], axis=-1) for name in ("observation", "goal"))
        return jax.nn.one_hot(goal, 10) if method == "represent" else -1.0 * jnp.stack([jnp.abs(place - goal)] * 2)

    def __hash__(self):
        return 0


@pytest.mark.slow
def test_the_flat_value_is_the_discounted_distance(data):
    trainer, state = learned(GCIVLConfig(**VALUES), data)
    obs, distance = ENV.grid()
    value = trainer.agent.value(state.agent, (), obs, None)
    np.testing.assert_allclose(value, -(1 - 0.9**distance) / (1 - 0.9), atol=0.4)
    assert returns(trainer, state) > -1.9


@pytest.mark.slow
def test_the_hierarchy_reaches_goals_and_its_value_is_the_discounted_distance(data):
    trainer, state = learned(HIQLConfig(**VALUES, subgoal_steps=2), data)
    obs, distance = ENV.grid()
    value = trainer.agent.value(state.agent, (), obs, None)
    np.testing.assert_allclose(value, -(1 - 0.9**distance) / (1 - 0.9), atol=0.4)
    assert returns(trainer, state) > -3.0


@pytest.mark.slow
def test_cloning_what_reached_a_goal_goes_there(data):
    trainer, state = learned(GCBCConfig(**SMALL), data)
    assert returns(trainer, state) > -6.0
    without = trainer.replace(agent=trainer.agent)
    obs, _ = ENV.grid()
    blind = {**obs, "goal": jnp.zeros_like(obs["goal"])}
    assert (
        trainer.agent.policy(state.agent.params, obs).mode() != without.agent.policy(state.agent.params, blind).mode()
    ).any()


def test_what_cannot_be_is_refused(data):
    with pytest.raises(RLJaxError, match="standardize"):
        HIQLConfig(standardize=True).trainer(ENV, data=data)
    with pytest.raises(RLJaxError, match="sum to 1"):
        GCIVLConfig(current_goals=0.6, future_goals=0.6).trainer(ENV, data=data)
    with pytest.raises(UnsupportedSpace, match="point/medium"):
        GCIVLConfig().agent().bind(replace(HIQLConfig().trainer(ENV, data=data).spec(), obs_space=ENV.reached_space()))
    with pytest.raises(RLJaxError, match="recorded experience"):
        GCBCConfig().trainer(ENV)
