"""What is done to sampled trajectories: n-step targets by brute force, and hindsight goals."""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import context, rollout_of, unchecked

from rl_jax.agents import dqn
from rl_jax.errors import RLJaxError
from rl_jax.experience import chain
from rl_jax.loop import PerStep, Trainer, evaluate
from rl_jax.losses import bootstrap_discount, td_target
from rl_jax.replay import Buffer, Episodes, n_step
from rl_jax.replay.hindsight import Hindsight, hindsight
from rl_jax.spaces import Box, Discrete
from rl_jax.types import Step


def trajectories(seed, length, number, ends):
    """Trajectories ``[length, number]`` as a buffer reads them: at most one episode's end in each, then standing still."""
    rng = np.random.default_rng(seed)
    done = rng.random((length, number)) < ends
    before = np.cumsum(done, 0) - done
    mask = before == 0
    last = mask.sum(0) - 1
    still = np.minimum(np.arange(length)[:, None], last)

    def read(x):
        return np.take_along_axis(x, still, 0)

    terminated = done & (rng.random(done.shape) < 0.5)
    ids = np.arange(length * number, dtype=np.float32).reshape(length, number)
    return rollout_of(
        read(rng.normal(size=done.shape)),
        read(terminated),
        read(done & ~terminated),
        obs=jnp.asarray(read(ids)[..., None]),
        next_obs=jnp.asarray(read(ids + 0.5)[..., None]),
        mask=jnp.asarray(mask),
        other=jnp.asarray(read(ids)),
    ).replace(
        action=jnp.asarray(read(rng.integers(0, 9, done.shape))),
        first=jnp.zeros(done.shape, bool).at[0].set(rng.random(number) < 0.3),
        level=jnp.asarray(read(ids)),
        carry=jnp.asarray(ids[:1]),
        start=None,
        last=None,
    )


@functools.cache
def program(n, collapse):
    return jax.jit(lambda gamma, batch: n_step(n, gamma, collapse).update((), batch, context())[1])


def value(obs):
    """Any function of the observation."""
    return np.sin(3.0 * np.asarray(obs)[..., 0]) + 2.0


def window(batch, t, b, n, gamma):
    """By the definition: the return of at most ``n`` steps from ``t``, how many they were, and the last of them."""
    total, steps = 0.0, 0
    while steps < n and t + steps < len(batch.reward):
        at = t + steps
        total += gamma**steps * float(batch.reward[at, b])
        steps += 1
        if batch.terminated[at, b] or batch.truncated[at, b]:
            break
    return total, steps, t + steps - 1


def check_targets(batch, out, n, gamma, collapse):
    """``out`` is ``batch`` after n-step targets, wherever the mask is true."""
    length, number = batch.reward.shape
    rows = length - n + 1 if collapse else length
    assert out.reward.shape == out.terminated.shape == out.extras["discount"].shape == (rows, number)
    here = tuple(np.argwhere(batch.extras["mask"][:rows]).T)
    found = [window(batch, t, b, n, gamma) for t, b in zip(*here, strict=True)]
    total, steps, last = (np.array(x) for x in zip(*found, strict=True))
    end = last, here[1]
    after = np.where(batch.terminated[end], 0.0, np.float64(gamma) ** steps)
    np.testing.assert_allclose(out.reward[here], total, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(out.extras["discount"][here], np.float64(gamma) ** steps, rtol=1e-6)
    np.testing.assert_array_equal(out.terminated[here], batch.terminated[end])
    np.testing.assert_array_equal(out.truncated[here], batch.truncated[end])
    np.testing.assert_allclose(np.asarray(bootstrap_discount(out))[here], after, rtol=1e-6)
    if collapse:
        following = value(out.next_obs)
        np.testing.assert_array_equal(out.next_obs[here], batch.next_obs[end])
    else:
        # What an agent reads that has evaluated the trajectory's own next observations.
        ahead = np.arange(length)[:, None] + out.extras["offset"]
        following = np.take_along_axis(value(out.next_obs), ahead, 0)
        np.testing.assert_array_equal(out.extras["offset"][here], steps - 1)
        np.testing.assert_array_equal(out.next_obs, batch.next_obs)
    expected = total + after * value(batch.next_obs[end])
    np.testing.assert_allclose(np.asarray(td_target(out, following))[here], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("collapse", [True, False], ids=["steps", "trajectories"])
@pytest.mark.parametrize(("length", "n"), [(1, 1), (3, 1), (3, 3), (5, 2), (8, 3), (4, 4)])
def test_targets_are_those_of_the_definition(length, n, collapse):
    """Ends of both kinds inside and at the rim of the window: the target of every step that belongs to its episode."""

    @settings(max_examples=20, deadline=None)
    @given(
        seed=st.integers(0, 2**31 - 1),
        ends=st.sampled_from([0.0, 0.15, 0.5, 1.0]),
        gamma=st.sampled_from([0.0, 0.5, 0.99, 1.0]),
    )
    def batches(seed, ends, gamma):
        batch = trajectories(seed, length, 40, ends)
        out = program(n, collapse)(jnp.float32(gamma), batch)
        check_targets(jax.tree.map(np.asarray, batch), jax.tree.map(np.asarray, out), n, gamma, collapse)

    batches()


@pytest.mark.parametrize("collapse", [True, False], ids=["steps", "trajectories"])
def test_the_rest_of_a_step_stays_its_own(collapse):
    """Observation, action, memory, level and extras are those of the window's first step."""
    batch = trajectories(0, 5, 40, 0.2)
    out = program(3, collapse)(jnp.float32(0.9), batch)
    rows = 3 if collapse else 5
    for name in ("obs", "action", "first", "level"):
        np.testing.assert_array_equal(getattr(out, name), getattr(batch, name)[:rows])
    np.testing.assert_array_equal(out.carry, batch.carry)
    for name in ("mask", "other"):
        np.testing.assert_array_equal(out.extras[name], batch.extras[name][:rows])
    assert set(out.extras) == {"mask", "other", "discount"} | (set() if collapse else {"offset"})
    # The same pytree of the same types for any n, so that agents need not know.
    assert {x.dtype for x in jax.tree.leaves(out.extras)} <= {np.dtype(t) for t in ("bool", "float32", "int32")}


def test_a_window_longer_than_the_trajectory_ends_with_it():
    """Without collapsing, where a trajectory is as long as it is."""
    batch = jax.tree.map(np.asarray, trajectories(1, 3, 40, 0.2))
    out = jax.tree.map(np.asarray, program(7, False)(jnp.float32(0.5), batch))
    check_targets(batch, out, 7, 0.5, collapse=False)


@pytest.mark.slow
def test_gamma_is_swept():
    """The discount is a number of the transform: a vmapped batch of them is one program."""
    batch = trajectories(2, 5, 40, 0.2)
    gammas = jnp.array([0.0, 0.5, 1.0])
    out = jax.vmap(lambda t: t.update((), batch, context())[1], axis_size=3)(n_step(3, gammas))
    for i, gamma in enumerate([0.0, 0.5, 1.0]):
        one = jax.tree.map(lambda x: np.asarray(x[i]), out)  # noqa: B023
        check_targets(jax.tree.map(np.asarray, batch), one, 3, gamma, collapse=True)


@pytest.mark.parametrize(("n", "length"), [(4, 3), (2, 1), (0, 1), (-1, 5)])
def test_steps_that_the_buffer_does_not_have_are_refused(n, length):
    """With the length that it needs."""
    with pytest.raises(RLJaxError, match=rf"at least {max(n, 1)} steps: set the buffer's length to that"):
        n_step(n).update((), trajectories(0, length, 2, 0.0), context())


# --------------------------------------------------------------------------------------------------------- hindsight

FAR = 100


def reached(obs):
    return obs[..., 0]


def with_goal(obs, goal):
    return jnp.stack([obs[..., 0], goal], -1)


def reward(next_obs, goal):
    here = next_obs[..., 0] == goal
    return jnp.where(here, 0.0, -1.0), here


def episodes(number, length, seed=0):
    """Whole episodes ``[length, number]`` of places ``FAR * b + t``; each wants ``-1 - b``, where it never comes."""
    rng = np.random.default_rng(seed)
    last = rng.integers(0, length, number)
    still = np.minimum(np.arange(length)[:, None], last)
    b = np.arange(number)
    place = FAR * b + still
    goal = np.broadcast_to(-1 - b, place.shape)
    end = still == last
    kind = rng.integers(0, 3, number)  # terminated, truncated, or cut off by the trajectory's length
    return rollout_of(
        7.0 + still + b,
        end & (kind == 0),
        end & (kind == 1),
        obs=jnp.asarray(np.stack([place, goal], -1), jnp.float32),
        next_obs=jnp.asarray(np.stack([place + 1, goal], -1), jnp.float32),
        mask=np.arange(length)[:, None] <= last,
        other=jnp.asarray(still),
    ).replace(action=jnp.asarray(still), level=jnp.asarray(place), start=None, last=None)


def relabelled(k, number=4000, length=6, seed=0):
    """Episodes before, a step of each after, and which step, whether it has another goal, and of which step that is."""
    before = episodes(number, length, seed)
    apply = jax.jit(lambda k, batch: hindsight(reached, with_goal, reward, k).update((), batch, context(seed=seed))[1])
    after = jax.tree.map(lambda x: np.asarray(x)[0], apply(k, before))
    b = np.arange(number)
    step = (after.obs[:, 0] - FAR * b).astype(int)
    moved = after.obs[:, 1] != -1 - b
    goal_step = (after.obs[:, 1] - FAR * b).astype(int) - 1  # the step whose next observation it is
    return jax.tree.map(np.asarray, before), after, step, moved, goal_step


def test_hindsight_goals_are_reached_later_in_the_same_episode():
    """Never another episode's, an earlier one, or one of the rows that only repeat the end."""
    before, after, step, moved, goal_step = relabelled(4.0)
    length = before.extras["mask"].sum(0)
    assert ((step >= 0) & (step < length)).all()
    assert ((goal_step >= step) & (goal_step < length))[moved].all()
    assert after.extras["mask"].all()
    b = np.arange(len(step))
    np.testing.assert_array_equal(after.next_obs[:, 0], FAR * b + step + 1)
    np.testing.assert_array_equal(after.next_obs[:, 1], after.obs[:, 1])
    for got, expected in ((after.action, step), (after.level, FAR * b + step), (after.extras["other"], step)):
        np.testing.assert_array_equal(got, expected)


def test_hindsight_rewards_and_ends_are_those_of_the_new_goal():
    """The task's end is recomputed, the clock's is not; what ended only under the old goal is cut off here."""
    before, after, step, moved, goal_step = relabelled(2.0, seed=1)
    b = np.arange(len(step))
    there = goal_step == step
    np.testing.assert_array_equal(after.reward, np.where(moved, np.where(there, 0.0, -1.0), 7.0 + step + b))
    np.testing.assert_array_equal(after.terminated, np.where(moved, there, before.terminated[step, b]))
    ended = before.terminated[step, b] | before.truncated[step, b]
    np.testing.assert_array_equal(after.truncated, np.where(moved, ended & ~there, before.truncated[step, b]))
    assert not (after.terminated & after.truncated).any()
    # All four kinds were there.
    assert {(bool(x), bool(y)) for x, y in zip(after.terminated[moved], ended[moved], strict=True)} >= {
        (True, True),
        (True, False),
        (False, False),
    }


@pytest.mark.parametrize("k", [0.0, 1.0, 4.0, 8.0])
def test_hindsight_gives_k_of_k_plus_one_another_goal(k):
    """And steps, and later steps, are drawn uniformly: chi-squared."""
    before, _, step, moved, goal_step = relabelled(k, 20_000, seed=2)
    length = before.extras["mask"].sum(0)
    assert scipy.stats.binomtest(int(moved.sum()), moved.size, k / (k + 1)).pvalue > 1e-4
    for n in (2, 4, 6):
        assert scipy.stats.chisquare(np.bincount(step[length == n], minlength=n)).pvalue > 1e-4
        if k:
            later = goal_step[moved & (length == n) & (step == n - 2)] - (n - 2)
            assert scipy.stats.chisquare(np.bincount(later, minlength=2)).pvalue > 1e-4


@pytest.mark.slow
def test_hindsight_share_is_swept():
    """``k`` is a number of the transform."""
    batch = episodes(500, 4)
    part = Hindsight(reached, with_goal, reward, jnp.array([0.0, 1e6]))
    out = jax.vmap(lambda t: t.update((), batch, context())[1].obs[0, :, 1], axis_size=2)(part)
    np.testing.assert_array_equal((out >= 0).mean(1), [0.0, 1.0])


# ------------------------------------------------------------------------------------------------------- bit flipping


class Bits(NamedTuple):
    bits: jax.Array
    goal: jax.Array


@dataclass(frozen=True)
class BitFlipping:
    """Make ``n`` bits equal to a goal, flipping one at a time; -1 per step until then (Andrychowicz et al. 2017, sec. 3.1)."""

    n: int = 10
    name: str = "bit-flipping"
    default_params: None = None

    @property
    def time_limit(self):
        return self.n

    def observation_space(self, params):
        return Box.of(0.0, 1.0, (2 * self.n,))

    def action_space(self, params):
        return Discrete(self.n)

    def reset(self, key, params):
        state = Bits(*jax.random.bernoulli(key, 0.5, (2, self.n)).astype(jnp.float32))
        return state, jnp.concatenate(state)

    def step(self, key, state, action, params):
        state = Bits(jnp.where(jnp.arange(self.n) == action, 1.0 - state.bits, state.bits), state.goal)
        obs = jnp.concatenate(state)
        reward, done = self.reward(obs, state.goal)
        return Step(state, obs, reward, done, jnp.zeros((), bool), {})

    def reached(self, obs):
        return obs[..., : self.n]

    def with_goal(self, obs, goal):
        return jnp.concatenate([obs[..., : self.n], goal], -1)

    def reward(self, next_obs, goal):
        done = jnp.all(self.reached(next_obs) == goal, axis=-1)
        return jnp.where(done, 0.0, -1.0), done


def bit_flipper(k, n=10):
    """DQN on bit flipping: whole episodes from the buffer, one step of each, perhaps with another goal."""
    env = BitFlipping(n)
    return Trainer.create(
        env,
        dqn(
            hidden=(64,),
            activation="relu",
            epsilon_end=0.1,
            epsilon_steps=8_000,
            target_period=50,
            learning_rate=2e-3,
            anneal=False,
            huber=1.0,
        ),
        replay=Buffer(
            sampler=Episodes(),
            capacity=20_000,
            batch_size=128,
            length=n,
            finals=1 / 3,
            transforms=chain(hindsight(env.reached, env.with_goal, env.reward, k), n_step(1, 0.95)),
        ),
        updates=PerStep(0.25, 500),
        num_envs=16,
        rollout_length=1,
    )


@pytest.mark.slow
def test_bits_are_flipped_with_hindsight_and_not_without():
    """Ten bits: the goal is hardly ever met by chance, but every flip meets some goal. Both shares in one program."""

    def played(k, key):
        trainer = bit_flipper(k)
        state, _ = trainer.train(key, 10_000, 1)
        return evaluate(trainer, state, jax.random.key(1), num_episodes=64).returns

    with unchecked():
        keys = jnp.stack([jax.random.key(0), jax.random.key(0)])
        returns = jax.jit(jax.vmap(played))(jnp.array([4.0, 0.0]), keys)
    solved = (returns > -10.0).mean(axis=1)
    assert solved[0] > 0.9
    assert solved[1] < 0.2
