"""Goals of recorded experience, against the lists of episodes that the data were made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import context

from rl_jax.data import of_arrays
from rl_jax.errors import RLJaxError
from rl_jax.replay.recorded.goals import Goals, GoalShares
from rl_jax.spaces import Box, Dict
from rl_jax.types import Spec

NUMBER = Box.of(-np.inf, np.inf, ())
SPACE, ACTION = Dict({"observation": NUMBER, "goal": NUMBER}), Box.of(-1.0, 1.0, ())
SPEC = Spec(SPACE, ACTION, 1, 1)
#: Steps of the episodes, and whether each terminated. Observations count on from 100 times the episode's number.
EPISODES = [(3, True), (1, False), (9, False), (4, True)]
STEPS = [100 * e + t for e, (n, _) in enumerate(EPISODES) for t in range(n)]
CURRENT, FUTURE, RANDOM = GoalShares(1.0, 0.0, 0.0), GoalShares(0.0, 1.0, 0.0), GoalShares(0.0, 0.0, 1.0)


def counted():
    """A data set in which every observation says where it is from, and goals were set to -1."""
    obs = [100 * e + np.arange(n + 1) for e, (n, _) in enumerate(EPISODES)]
    rows, following = np.concatenate([x[:-1] for x in obs]), np.concatenate([x[1:] for x in obs])
    last = np.concatenate([np.arange(n) == n - 1 for n, _ in EPISODES])
    ended = np.repeat([t for _, t in EPISODES], [n for n, _ in EPISODES])
    arrays = {
        "obs": {"observation": rows, "goal": -np.ones(rows.size)},
        "next_obs": {"observation": following, "goal": -np.ones(rows.size)},
        "action": rows / 1000,
        "reward": rows / 10,
    }
    return of_arrays(arrays | {"terminated": last & ended, "truncated": last & ~ended}, SPACE, ACTION)


def drawn(batch_size=3000, seed=0, **options):
    """A batch, as NumPy ``[B]``."""
    replay = Goals(counted(), batch_size=batch_size, **options)
    state = replay.init(jax.random.key(0), SPEC)
    sample = jax.jit(lambda part, key: part.sample(state, context().replace(key=key)))(replay, jax.random.key(seed))
    return jax.tree.map(lambda x: np.asarray(x)[0], sample.batch)


def end_of(obs):
    """The final observation of the episode of each observation."""
    episode = (obs // 100).astype(int)
    return 100 * episode + np.asarray([n for n, _ in EPISODES])[episode]


def close(counts, chances, number):
    return np.all(np.abs(counts - number * chances) < 5 * np.sqrt(number * chances * (1 - chances)) + 1e-9)


@pytest.fixture(scope="module")
def mixed():
    return drawn(shares=GoalShares(0.25, 0.45, 0.3), gamma=0.8, subgoal=3, option=2, batch_size=20_000)


def test_steps_are_uniform_and_lead_on(mixed):
    obs = mixed.obs["observation"]
    found, counts = np.unique(obs, return_counts=True)
    assert found.tolist() == STEPS and close(counts, 1 / len(STEPS), obs.size)
    np.testing.assert_array_equal(mixed.next_obs["observation"], obs + 1)
    for part in (mixed.obs, mixed.next_obs, mixed.extras):
        np.testing.assert_array_equal(part["goal"], mixed.extras["goal"])


def test_reward_and_end_are_of_the_state_at_its_goal(mixed):
    """A step *to* the goal costs 1, and ends of the data's episodes end nothing: V(s, g) is of the distance alone."""
    at_goal = mixed.obs["observation"] == mixed.extras["goal"]
    np.testing.assert_array_equal(mixed.reward, np.where(at_goal, 0.0, -1.0))
    np.testing.assert_array_equal(mixed.terminated, at_goal)
    np.testing.assert_array_equal(mixed.extras["discount"], np.float32(0.8))
    last = mixed.next_obs["observation"] == end_of(mixed.obs["observation"])
    np.testing.assert_array_equal(mixed.truncated, last & ~at_goal)


def test_future_goals_are_geometric_up_to_the_end():
    gamma = 0.7
    batch = drawn(shares=FUTURE, gamma=gamma, batch_size=20_000)
    obs, goal = batch.obs["observation"], batch.extras["goal"]
    first = obs == 200  # nine steps are left
    ahead = (goal - obs)[first].astype(int)
    chances = np.asarray([(1 - gamma) * gamma ** (k - 1) for k in range(1, 9)] + [gamma**8])
    assert close(np.bincount(ahead, minlength=10)[1:], chances, ahead.size)
    assert (goal > obs).all() and (goal <= end_of(obs)).all() and set(goal[obs == 100]) == {101}


def test_future_goals_are_uniform_over_what_is_left():
    batch = drawn(policy_shares=FUTURE.replace(geometric=False), batch_size=20_000)
    obs, goal = batch.obs["observation"], batch.extras["policy_goal"]
    ahead = (goal - obs)[obs == 201].astype(int)  # eight
    assert close(np.bincount(ahead, minlength=9)[1:], 1 / 8, ahead.size)


def test_random_goals_are_uniform_over_the_data_and_current_ones_where_one_is():
    batch = drawn(shares=RANDOM, policy_shares=CURRENT, batch_size=20_000)
    found, counts = np.unique(batch.extras["goal"], return_counts=True)
    assert found.tolist() == STEPS and close(counts, 1 / len(STEPS), 20_000)
    np.testing.assert_array_equal(batch.extras["policy_goal"], batch.obs["observation"])
    together, counts = np.unique(np.stack([batch.obs["observation"], batch.extras["goal"]]), axis=1, return_counts=True)
    assert together.shape[1] == len(STEPS) ** 2 and close(counts, len(STEPS) ** -2, 20_000)


def test_shares_are_kept(mixed):
    obs, goal = mixed.obs["observation"], mixed.extras["goal"]
    # A random goal is where one is, or ahead, with the probability of any other.
    ahead = np.mean([sum(s < x <= end_of(np.asarray([s]))[0] for x in STEPS) for s in STEPS]) / len(STEPS)
    assert close(np.sum(goal == obs), 0.25 + 0.3 / len(STEPS), obs.size)
    assert close(np.sum((goal > obs) & (goal <= end_of(obs))), 0.45 + 0.3 * ahead, obs.size)


def test_subgoals_stop_at_a_goal_ahead_and_at_the_end(mixed):
    obs, goal, extras = mixed.obs["observation"], mixed.extras["policy_goal"], mixed.extras
    assert (goal > obs).all()
    np.testing.assert_array_equal(extras["waypoint"], np.minimum(obs + 3, end_of(obs)))
    np.testing.assert_array_equal(extras["subgoal"], np.minimum(extras["waypoint"], goal))
    np.testing.assert_array_equal(extras["subgoal_obs"]["observation"], extras["subgoal"])
    np.testing.assert_array_equal(extras["subgoal_obs"]["goal"], goal)
    elsewhere = drawn(policy_shares=RANDOM, subgoal=3)
    np.testing.assert_array_equal(elsewhere.extras["subgoal"], elsewhere.extras["waypoint"])


def test_options_stop_at_a_goal_ahead_and_at_the_end(mixed):
    obs, goal, extras = mixed.obs["observation"], mixed.extras["goal"], mixed.extras
    end, option_goal = extras["option_obs"]["observation"], extras["option_goal"]
    later = np.minimum(obs + 2, end_of(obs))
    np.testing.assert_array_equal(extras["option_steps"], end - obs)
    np.testing.assert_array_equal(extras["option_obs"]["goal"], option_goal)
    # A current goal is where the option ends; any other goal is the value's.
    same = goal != obs
    np.testing.assert_array_equal(option_goal[same], goal[same])
    assert np.mean(option_goal[~same] == later[~same]) > 0.9  # the others are random goals
    drawn_ahead = (option_goal > obs) & (option_goal < later)
    assert (np.isin(end, option_goal) | (end == later)).all() and (end[~drawn_ahead] == later[~drawn_ahead]).all()
    np.testing.assert_array_equal(extras["option_reward"], np.where(end == option_goal, 0.0, -1.0))
    np.testing.assert_allclose(extras["option_discount"], np.where(end == option_goal, 0.0, 0.8))


def test_options_of_one_step_end_after_it():
    batch = drawn(shares=FUTURE, option=1)
    np.testing.assert_array_equal(batch.extras["option_obs"]["observation"], batch.next_obs["observation"])
    np.testing.assert_array_equal(batch.extras["option_reward"] == 0, batch.extras["goal"] == batch.next_obs["observation"])


def test_whether_one_is_at_the_goal_can_be_said():
    batch = drawn(shares=RANDOM, same=lambda place, goal: jnp.abs(place - goal) <= 1)
    near = np.abs(batch.obs["observation"] - batch.extras["goal"]) <= 1
    np.testing.assert_array_equal(batch.terminated, near)
    near = np.abs(batch.extras["option_obs"]["observation"] - batch.extras["goal"]) <= 1
    np.testing.assert_array_equal(batch.extras["option_reward"], np.where(near, 0.0, -1.0))


def test_numbers_can_differ_within_one_program():
    parts = jax.tree.map(lambda *x: jnp.stack([jnp.asarray(y) for y in x]), *(Goals(counted(), option=n) for n in (1, 4)))
    state = Goals(counted()).init(jax.random.key(0), SPEC)
    sample = jax.jit(jax.vmap(lambda part: part.sample(state, context()).batch.extras["option_steps"]))(parts)
    assert sample[0].max() == 1 and sample[1].max() == 4


def test_what_cannot_be_is_refused():
    def refused(words, spec=SPEC, **options):
        with pytest.raises(RLJaxError, match=words):
            Goals(counted(), **options).init(jax.random.key(0), spec)

    refused("sum to 0.9", shares=GoalShares(0.2, 0.4, 0.3))
    refused("leave out length", length=2)
    refused("gamma", gamma=1.0)
    refused("reached makes", reached=lambda obs: obs["observation"][..., None])
    refused("look for the part 'place'", reached=lambda obs: obs["place"])
    data = counted().replace(obs_space=Dict({"observation": NUMBER}))
    with pytest.raises(RLJaxError, match="part 'goal'"):
        Goals(data).init(jax.random.key(0), Spec(data.obs_space, ACTION, 1, 1))
