"""Trials of one hidden task, the bandits that they are made of, and advantages across their inner ends."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from toy import Clock, border, context, rollout_of

import rl_jax as rl
from rl_jax.envs import Bandit, Trial, check_env
from rl_jax.errors import RLJaxError
from rl_jax.spaces import Box, Discrete
from rl_jax.types import Step


@dataclass(frozen=True)
class Corridor:
    """Two steps to the end; the task is a number that is the reward. The observation is the step."""

    name: str = "corridor"
    time_limit: int | None = None
    ends: bool = True

    @property
    def default_params(self):
        return jnp.float32(0.0)

    def sample_task(self, key):
        return jax.random.uniform(key, (), jnp.float32)

    def observation_space(self, params):
        return Box.of(0.0, 9.0, (1,))

    def action_space(self, params):
        return Discrete(3)

    def reset(self, key, params):
        return jnp.zeros((), jnp.int32), jnp.zeros((1,), jnp.float32)

    def step(self, key, state, action, params):
        time = state + 1
        over = (time >= 2) & self.ends
        return Step(time, time.astype(jnp.float32)[None], params, over, jnp.zeros((), bool), {"task": params})


def run(env, actions, params=None, seed=0):
    """One trial, step by step: observations (the first too), and steps."""
    params = env.default_params if params is None else params
    state, obs = env.reset(jax.random.key(seed), params)
    rows, seen = [], [np.asarray(obs)]
    step = jax.jit(env.step)
    for i, action in enumerate(actions):
        out = step(jax.random.fold_in(jax.random.key(seed + 1), i), state, jnp.int32(action), params)
        state = out.state
        rows.append(jax.tree.map(np.asarray, out))
        seen.append(rows[-1].obs)
    return np.stack(seen), rows


@pytest.mark.parametrize("env", [Bandit(), Bandit(3, "gaussian"), Trial(Bandit(), episodes=3), Trial(Corridor(), steps=7)])
def test_protocol(env):
    check_env(env)


def test_observations_carry_the_feedback_of_the_step_before_and_the_task_stays():
    seen, rows = run(Trial(Corridor(), episodes=3), [0, 1, 2, 0, 1, 2])
    task = rows[0].info["task"]
    assert all(row.info["task"] == task for row in rows)
    # inner observation, one-hot action, reward, inner end
    expected = [
        [0, 0, 0, 0, 0, 0], [1, 1, 0, 0, task, 0], [0, 0, 1, 0, task, 1], [1, 0, 0, 1, task, 0],
        [0, 1, 0, 0, task, 1], [1, 0, 1, 0, task, 0], [0, 0, 0, 1, task, 1],
    ]  # fmt: skip
    np.testing.assert_allclose(seen, expected, rtol=1e-6)
    assert [bool(row.info["inner_done"]) for row in rows] == [False, True] * 3
    assert [int(row.info["episode"]) for row in rows] == [0, 0, 1, 1, 2, 2]
    assert [bool(row.terminated) for row in rows] == [False] * 5 + [True]
    assert not any(row.truncated for row in rows)


def test_redraw_replaces_the_task_at_inner_ends_alone():
    _, rows = run(Trial(Corridor(), episodes=4, redraw=1.0), [0] * 8)
    tasks = [float(row.info["task"]) for row in rows]
    assert tasks[0::2] == tasks[1::2]
    assert len(set(tasks[0::2])) == 4
    _, rows = run(Trial(Corridor(), episodes=2000), [0] * 200, params=jnp.float32(0.25))
    changes = np.diff([float(row.info["task"]) for row in rows]) != 0
    assert not changes[0::2].any()
    assert 10 <= changes[1::2].sum() <= 40  # of 99, each with probability 1/4


def test_two_trials_have_two_tasks():
    env = Trial(Corridor(), episodes=2)
    states, _ = jax.vmap(env.reset, in_axes=(0, None))(jax.random.split(jax.random.key(0), 50), env.default_params)
    assert len(np.unique(states.task)) == 50


def test_inner_limits_cut_inner_episodes_and_steps_cut_the_trial():
    _, rows = run(Trial(Corridor(time_limit=3, ends=False), steps=8), [0] * 8)
    assert [bool(row.info["inner_done"]) for row in rows] == [False, False, True] * 2 + [False, False]
    assert not any(row.info["inner_terminated"] for row in rows)
    assert [bool(row.terminated) for row in rows] == [False] * 7 + [True]


def test_without_feedback_only_the_inner_observation_is_seen():
    seen, _ = run(Trial(Corridor(), episodes=1, feedback=False), [0, 1])
    np.testing.assert_array_equal(seen, [[0], [1], [0]])


def test_impossible_trials_are_refused():
    with pytest.raises(RLJaxError, match="give one of them"):
        Trial(Corridor())
    with pytest.raises(RLJaxError, match="give one of them"):
        Trial(Corridor(), episodes=2, steps=3)
    with pytest.raises(RLJaxError, match="must be an integer from 1"):
        Trial(Corridor(), steps=0)
    with pytest.raises(RLJaxError, match="sample_task"):
        Trial(Clock(), episodes=2)


def test_bandits_pay_what_their_means_say():
    pull = jax.vmap(lambda env, key, arm, means: env.step(key, jnp.int32(0), arm, means), in_axes=(None, 0, None, None))
    pull = jax.jit(pull, static_argnums=0)
    for env, means in ((Bandit(3), (0.1, 0.5, 0.9)), (Bandit(3, "gaussian"), (-1.0, 0.0, 2.0))):
        for arm in range(3):
            keys = jax.random.split(jax.random.key(arm), 4000)
            out = pull(env, keys, jnp.int32(arm), jnp.asarray(means, jnp.float32))
            assert abs(float(out.reward.mean()) - means[arm]) < 0.06
            np.testing.assert_allclose(out.info["regret"], max(means) - means[arm], rtol=1e-6)
            assert bool(out.terminated.all())
            assert env.reward == "gaussian" or set(np.unique(out.reward)) == {0.0, 1.0}


def test_priors():
    tasks = jax.vmap(Bandit(4, safe=0.6).sample_task)(jax.random.split(jax.random.key(0), 2000))
    np.testing.assert_allclose(tasks[:, 0], 0.6, rtol=1e-6)
    assert abs(float(tasks[:, 1:].mean()) - 0.5) < 0.02
    good = jax.vmap(Bandit(4, safe=0.6, good=0.75).sample_task)(jax.random.split(jax.random.key(0), 2000))[:, 1:]
    np.testing.assert_array_equal((good == 0.75).sum(axis=1), 1)
    np.testing.assert_array_equal((good == 0.25).sum(axis=1), 2)
    assert np.all(np.abs((good == 0.75).mean(axis=0) - 1 / 3) < 0.05)
    out = Bandit(2, safe=0.3).step(jax.random.key(0), jnp.int32(0), jnp.int32(0), jnp.asarray([0.3, 1.0]))
    assert float(out.reward) == np.float32(0.3)


@pytest.mark.parametrize("options", [{"arms": 1}, {"reward": "uniform"}, {"good": 0.4}, {"reward": "gaussian", "good": 0.9}])
def test_impossible_bandits_are_refused(options):
    with pytest.raises(RLJaxError):
        Bandit(**options)


def test_names():
    env = rl.make("trial/bandit", arms=3, episodes=5)
    assert env.episodes == 5
    assert env.inner.arms == 3
    check_env(env)


@struct.dataclass
class Values:
    """An agent whose value is the observation's first number."""

    def value(self, state, carry, obs, first):
        return obs[..., 0]


@pytest.mark.slow
def test_trial_gae_against_brute_force():
    rng = np.random.default_rng(0)
    steps, envs, gamma, across, lam = 9, 4, 0.9, 0.3, 0.8
    reward, value, last = rng.normal(size=(steps, envs)), rng.normal(size=(steps, envs)), rng.normal(size=envs)
    inner = rng.uniform(size=(steps, envs)) < 0.4
    terminated = (rng.uniform(size=(steps, envs)) < 0.2) & inner
    expected = np.zeros((steps, envs))
    after, following = np.zeros(envs), last
    for t in reversed(range(steps)):
        discount = np.where(inner[t], across, gamma)
        delta = reward[t] + discount * np.where(terminated[t], 0, following) - value[t]
        after = delta + discount * lam * np.where(terminated[t], 0, after)
        expected[t], following = after, value[t]
    obs = jnp.asarray(value, jnp.float32)[..., None]
    end = border(jnp.asarray(last, jnp.float32)[:, None])
    rollout = rollout_of(reward, terminated, obs=obs, last=end, value=obs[..., 0], truncated_value=jnp.zeros((steps, envs)))
    rollout = rollout.replace(info={"inner_done": jnp.asarray(inner)})
    made = rl.experience.trial_gae(gamma, across, lam)
    _, out, _ = made.update((), rollout, context(agent=Values()))
    np.testing.assert_allclose(out.extras["advantage"], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(out.extras["value_target"], expected + value, rtol=1e-4, atol=1e-5)
