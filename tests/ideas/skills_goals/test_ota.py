"""OTA: what an option is worth, and the value of options on a line of known distances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from line import Line, random_walk, same_place
from toy import rollout_of

from rl_jax.ideas.skills_goals.ota import OTAConfig, ota

ENV = Line()


def test_an_option_is_discounted_once_or_by_its_steps():
    steps, reached = np.asarray([[4, 4, 2]]), np.asarray([[False, True, False]])
    batch = rollout_of(
        np.zeros((1, 3)),
        option_steps=jnp.asarray(steps),
        option_reward=jnp.where(reached, 0.0, -1.0),
        option_discount=jnp.where(reached, 0.0, 0.9),
        discount=jnp.full((1, 3), 0.9),
    )
    reward, discount = ota().option_outcome(batch)
    np.testing.assert_allclose(reward, [[-1, 0, -1]])
    np.testing.assert_allclose(discount, [[0.9, 0, 0.9]], rtol=1e-6)
    reward, discount = ota(per_step=True).option_outcome(batch)
    np.testing.assert_allclose(reward, -np.asarray([[1 + 0.9 + 0.81 + 0.729, 1 + 0.9 + 0.81 + 0.729, 1.9]]), rtol=1e-5)
    np.testing.assert_allclose(discount, [[0.9**4, 0, 0.81]], rtol=1e-5)


@pytest.mark.slow
def test_the_value_of_options_counts_options():
    """On a line, the best option of two steps is two places nearer, and the one that ends at the goal is free."""
    config = OTAConfig(
        batch_size=64, hidden=(32,), learning_rate=1e-2, tau=0.05, gamma=0.9, expectile=0.95, subgoal_steps=3, option_steps=2
    )
    trainer = config.trainer(ENV, data=random_walk(ENV))
    trainer = trainer.replace(replay=trainer.replay.replace(same=same_place))
    state = jax.jit(trainer.train, static_argnums=1)(jax.random.key(0), 1000)[0]
    obs, distance = ENV.grid()
    value = np.asarray(jnp.mean(trainer.agent.values(state.agent.params["option_value"], obs), axis=0))
    options = np.maximum(np.ceil(distance / 2) - 1, 0)
    np.testing.assert_allclose(value, -(1 - 0.9**options) / (1 - 0.9), atol=0.5)
    np.testing.assert_allclose(trainer.agent.value(state.agent, (), obs, None), -(1 - 0.9**distance) / 0.1, atol=0.5)
