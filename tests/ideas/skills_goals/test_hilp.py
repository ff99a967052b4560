"""HILP: directions, midpoints, and an embedding of a line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from line import Line, random_walk, same_place

import rl_jax as rl
from rl_jax.ideas.skills_goals._hilbert import direction, midpoint, reward_direction
from rl_jax.ideas.skills_goals.hilp import HILPConfig

ENV = Line()


def test_directions_are_unit_vectors_or_nothing():
    found = direction(jnp.asarray([[1.0, 1.0], [2.0, 2.0]]), jnp.asarray([[4.0, 5.0], [2.0, 2.0]]))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0.0, 0.0]], atol=1e-5)


def test_midpoints_are_halfway_and_in_the_data():
    rng = np.random.default_rng(0)
    start, end, places = (rng.normal(size=(n, 3)).astype(np.float32) for n in (4, 4, 30))
    for b, found in enumerate(np.asarray(midpoint(start, end, places, 5))):
        larger = np.maximum(np.linalg.norm(places - start[b], axis=1), np.linalg.norm(places - end[b], axis=1))
        np.testing.assert_allclose(found, places[np.argsort(larger)[:5]].mean(0), rtol=1e-5)
    line = jnp.arange(11.0)[:, None] * jnp.asarray([[1.0, 0.0]])
    np.testing.assert_allclose(midpoint(line[:1], line[8:9], line, 1), [[4.0, 0.0]])


def test_a_reward_s_direction_is_the_one_that_it_grows_along():
    rng = np.random.default_rng(0)
    phi, following, z = (rng.normal(size=shape).astype(np.float32) for shape in ((200, 6), (200, 6), (6,)))
    found = reward_direction(phi, following, (following - phi) @ z)
    np.testing.assert_allclose(found, z / np.linalg.norm(z), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_distances_in_the_embedding_are_those_of_the_line_and_the_policy_follows_them():
    config = HILPConfig(
        batch_size=64,
        hidden=(32, 32),
        learning_rate=3e-3,
        tau=0.05,
        gamma=0.95,
        dim=8,
        recursions=1,
        neighbours=20,
        num_places=200,
    )
    trainer = config.trainer(ENV, data=random_walk(ENV))
    assert trainer.agent.places.shape == (200, ENV.places)
    trainer = trainer.replace(replay=trainer.replay.replace(same=same_place))
    state = jax.jit(trainer.train, static_argnums=1)(jax.random.key(0), 1000)[0]
    obs, distance = ENV.grid()
    value = trainer.agent.value(state.agent, (), obs, None)
    np.testing.assert_allclose(value, -(1 - 0.95**distance) / (1 - 0.95), atol=0.5)
    straight = trainer.replace(agent=trainer.agent.replace(recursions=0))
    assert rl.evaluate(straight, state, jax.random.key(1), 128).mean() > -1.9  # 8/3 steps is the mean distance
    # The midpoint of two places lies in their direction.
    apart = np.flatnonzero(distance > 3)
    z = [jax.jit(some.agent.skill)(state.agent.params["value"], obs)[apart] for some in (straight, trainer)]
    assert np.mean(np.sum(np.asarray(z[0]) * np.asarray(z[1]), axis=-1)) > 0.5
