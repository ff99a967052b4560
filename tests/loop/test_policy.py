"""The policy of a run, for code outside of the loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rl_jax as rl
from rl_jax.errors import RLJaxError
from rl_jax.loop.policy import Policy, _batch
from rl_jax.spaces import Box, Dict


@pytest.fixture(scope="module")
def masked():
    env = rl.make("probe/masked")
    trainer = rl.Trainer.create(env=env, agent=rl.agents.ppo(), experience=rl.experience.gae(), num_envs=2, rollout_length=4)
    return Policy(trainer, jax.jit(trainer.init, static_argnums=1)(jax.random.key(0), 8))


@pytest.mark.slow
def test_dictionaries_one_at_a_time_or_several(masked):
    mask, time = jnp.asarray([[False, True, False, False], [False, False, True, False]]), jnp.zeros((2, 1))
    actions, _ = masked({"action_mask": mask, "time": time})
    assert actions.tolist() == [1, 2]
    action, _ = masked({"action_mask": np.asarray(mask[1]), "time": [0.0]})
    assert action.shape == () and int(action) == 2


@pytest.mark.parametrize(
    ("obs", "text"),
    [
        ({"time": jnp.zeros(1)}, "obs is without 'action_mask': give a dictionary with action_mask, time"),
        (jnp.zeros(3), "obs is no dictionary"),
        ({"action_mask": jnp.ones(4, bool), "time": jnp.zeros((2, 1))}, "some parts of obs are of one observation"),
        ({"action_mask": jnp.ones(5, bool), "time": jnp.zeros(1)}, r"obs is of the shape \[5\]: give one observation \[4\]"),
    ],
)
def test_what_is_no_observation_is_one_line(masked, obs, text):
    with pytest.raises(RLJaxError, match=text):
        masked(obs)


def test_only_what_is_privileged_at_the_top_may_be_left_out():
    number = Box.of(0, 1, (1,))
    space = Dict({"x": Dict({"privileged": number, "y": number}), "privileged": number})
    obs, single = _batch(space, {"x": {"privileged": [0.0], "y": [0.0]}})
    assert single and obs["privileged"].shape == (1, 1)
    with pytest.raises(RLJaxError, match="without 'privileged'"):
        _batch(space, {"x": {"y": [0.0]}})
