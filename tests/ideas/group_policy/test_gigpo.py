"""GiGPO's advantage against loops over steps and anchor groups."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import context, rollout_of

from rl_jax.ideas.group_policy.gigpo import gigpo


def slow(reward, place, own, size, gamma, scaled):
    """``A_S`` by dictionaries, as eq. 5 to 7 of the paper say it."""
    length, columns = reward.shape
    returns = np.zeros(reward.shape)
    for t in reversed(range(length)):
        returns[t] = reward[t] + (gamma * returns[t + 1] if t + 1 < length else 0.0)
    advantage = np.zeros(reward.shape)
    for first in range(0, columns, size):
        anchors = {}
        for i in range(first, first + size):
            for t in range(length):
                if own[t, i] and place[t, i] >= 0:
                    anchors.setdefault(int(place[t, i]), []).append((t, i))
        for members in anchors.values():
            values = np.array([returns[at] for at in members])
            spread = values.std(ddof=1) + 1e-6 if scaled and len(members) > 1 else 1.0
            for at, value in zip(members, values, strict=True):
                advantage[at] = (value - values.mean()) / spread
    return advantage


def asked(reward, place, own, size, **options):
    done = jnp.zeros(reward.shape, bool)
    rollout = rollout_of(reward, done, own=own, advantage=jnp.full(reward.shape, 0.5))
    rollout = rollout.replace(info={"place": jnp.asarray(place)})
    _, rollout, metrics = gigpo(size, **options).update((), rollout, context())
    return np.asarray(rollout.extras["advantage"]), metrics


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 2, 4]), st.sampled_from(["none", "std"]))
def test_step_advantages_are_those_of_a_dictionary(seed, size, scale):
    random = np.random.default_rng(seed)
    own = np.arange(5)[:, None] < random.integers(1, 6, 8)
    reward = random.normal(size=(5, 8)).round(2) * own
    place = random.integers(-1, 4, (5, 8)).astype(np.int32)
    found, _ = asked(reward, place, own, size, gamma=0.9, omega=2.0, episode=3.0, scale=scale)
    expected = 1.5 + 2.0 * slow(reward, place, own, size, 0.9, scale == "std")
    np.testing.assert_allclose(found, expected, atol=2e-3 if scale == "std" else 1e-5)


@pytest.mark.slow
def test_a_place_that_nobody_shares_gives_nothing():
    """Neither alone in its group, nor shared with another group only, nor without a place."""
    reward = np.array([[0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 1.0, 1.0]])
    own = np.ones((2, 4), bool)
    alone = np.array([[1, 2, 1, 2], [3, 4, 3, 4]], np.int32)
    found, metrics = asked(reward, alone, own, 2)
    np.testing.assert_array_equal(found, 0.5)
    assert metrics["gigpo/alone"] == 1.0 and metrics["gigpo/anchor_size"] == 1.0
    found, _ = asked(reward, np.full((2, 4), -1, np.int32), own, 4)
    np.testing.assert_array_equal(found, 0.5)


def test_of_two_ways_from_one_place_the_one_that_ends_well_gains():
    reward = np.array([[0.0, 0.0], [1.0, 0.0]])
    found, _ = asked(reward, np.array([[7, 7], [8, 9]], np.int32), np.ones((2, 2), bool), 2, gamma=0.5)
    np.testing.assert_allclose(found - 0.5, [[0.25, -0.25], [0.0, 0.0]])


@pytest.mark.slow
@pytest.mark.parametrize("gamma", [1.0, 0.95])
def test_a_place_seen_twice_in_one_episode_prefers_the_shorter_rest(gamma):
    """Return to a place, and the discount says that the detour cost time."""
    reward = np.array([[0.0], [0.0], [1.0]])
    found, _ = asked(reward, np.array([[1], [2], [1]], np.int32), np.ones((3, 1), bool), 1, gamma=gamma)
    np.testing.assert_allclose(found[:, 0] - 0.5, [(gamma**2 - 1) / 2, 0.0, (1 - gamma**2) / 2], atol=1e-6)
