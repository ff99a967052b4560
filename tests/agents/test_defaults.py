"""A default stands once: what Python makes of an agent's name, and what its configuration makes, are the same agent."""

from dataclasses import fields, replace

import jax
import numpy as np
import pytest
from recorded import ALONE, FACTORIES

import rl_jax as rl
from rl_jax.agents.configs import CONFIGS, PPOConfig, SACConfig
from rl_jax.errors import RLJaxError
from rl_jax.spaces import Box, Discrete
from rl_jax.types import Spec

BOX = Spec(Box.of(-1.0, 1.0, (3,)), Box.of(-1.0, 1.0, (2,)), 64, 32)
BOXES = ("td3", "ddpg", "td3-bc", "rebrac", "diffusion-bc", "fql")


def bound(name, agent):
    """An agent whose networks are modules, which compare by what they are made of."""
    spec = BOX if name in BOXES else replace(BOX, action_space=Discrete(3))
    return agent.bind(replace(spec, num_envs=1, rollout_length=1) if name.startswith("stream") else spec)


@pytest.mark.parametrize("name", ALONE)
def test_python_and_the_configuration_make_one_agent(name):
    """The same numbers, and as static fields the same networks and switches: to jax, one program."""
    of_python, of_config = (bound(name, agent) for agent in (FACTORIES[name](), CONFIGS[name]().agent()))
    assert jax.tree.structure(of_python) == jax.tree.structure(of_config)
    assert jax.tree.leaves(of_python) == jax.tree.leaves(of_config)


#: Switches that let more of the fields have a meaning.
SWITCHES = {
    "dqn": [{"distribution": "c51"}, {"distribution": "quantile"}, {"target_period": 5}],
    "rainbow": [{"noisy": False}, {"distribution": "none"}, {"distribution": "quantile"}, {"target_period": 5}],
}


@pytest.mark.parametrize("name", ALONE)
def test_an_agent_is_given_all_numbers_but_those_of_the_run(name):
    """A field that the agent never reads is refused as an argument, and one that it reads is not."""
    kind, read = CONFIGS[name], set()

    def noting(self, field):
        read.add(field)
        return kind.__getattribute__(self, field)

    noted = type(kind.__name__, (kind,), {"__getattribute__": noting})
    for switches in ({}, *SWITCHES.get(name, [])):
        config = noted(**switches)
        read.clear() if not switches else None
        FACTORIES[name](config=config)
    known = {item.name for item in fields(kind)}
    assert known - read == known & kind.RUN
    for field in known & kind.RUN:
        with pytest.raises(RLJaxError, match=rf"{field} is no number of the agent alone: give it to {kind.__name__}\("):
            FACTORIES[name](**{field: getattr(kind(), field)})
    for field in known - kind.RUN:
        FACTORIES[name](**{field: getattr(kind(), field)})


def test_overrides_change_what_they_name_and_nothing_else():
    agent = rl.agents.sac(tau=0.25, hidden=(5, 6)).bind(BOX)
    assert agent == SACConfig(tau=0.25, hidden=(5, 6)).agent().bind(BOX)
    assert agent == rl.agents.sac(config=SACConfig(hidden=(5, 6)), tau=0.25).bind(BOX)
    assert (agent.tau, agent.learning_rate, agent.actor.body.hidden) == (0.25, SACConfig.learning_rate, (5, 6))


def test_numbers_may_be_traced():
    """A sweep in Python: an array of learning rates is a leaf of the agent."""
    rates = np.asarray([1e-3, 1e-4], np.float32)
    made = jax.vmap(lambda rate: rl.agents.sac(learning_rate=rate, random_steps=rate * 1e3))(rates)
    np.testing.assert_array_equal(made.learning_rate, rates)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rl.agents.ppo(lr=1e-3), "PPOConfig has no lr; did you mean learning_rate"),
        (lambda: rl.agents.sac(learning_rat=1e-3), "SACConfig has no learning_rat; did you mean learning_rate"),
        (lambda: rl.agents.td3(critic=None), "TD3Config has no critic; did you mean critics"),
        (lambda: rl.agents.dqn(xyzzy=1), r"DQNConfig has no xyzzy; help\(rl_jax.agents.configs.DQNConfig\) lists all"),
        (lambda: rl.agents.sac(gamma=0.9), "gamma is no number of the agent alone"),
        (lambda: rl.agents.sac(config=PPOConfig()), "config is a PPOConfig: give a SACConfig"),
        (lambda: rl.agents.sac(hidden=8), "SACConfig's hidden must be 1 to 64 values, each an integer from 1 to 1e6, not 8"),
        (lambda: rl.agents.dqn(double="yes"), "DQNConfig's double must be true or false, not 'yes'"),
        (lambda: rl.agents.ppo(rl.networks.actor_critic, hidden=(8,)), "hidden is of the usual networks, and network replace"),
    ],
)
def test_what_is_no_number_of_an_agent_is_refused_in_one_line(make, words):
    with pytest.raises(RLJaxError, match=words) as refused:
        make()
    assert "\n" not in str(refused.value)
