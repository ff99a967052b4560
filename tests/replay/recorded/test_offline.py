"""Recorded experience as a replay: what is drawn, against the lists that it was made of; alone and beside a buffer."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import Clock, context

import rl_jax as rl
from rl_jax.data import of_arrays
from rl_jax.errors import RLJaxError
from rl_jax.replay import Buffer, Mixed, NextAction, Offline, Prioritized, n_step
from rl_jax.spaces import Box
from rl_jax.types import Spec

SPACE, ACTION = Box.of(-np.inf, np.inf, ()), Box.of(-1.0, 1.0, ())
#: Lengths of the episodes, and whether each terminated. Observations count on from 100 times the episode's number.
EPISODES = [(3, True), (1, False), (5, False), (2, True)]


def counted():
    """A data set in which every number says where it is from."""
    obs = [100 * e + np.arange(n + 1) for e, (n, _) in enumerate(EPISODES)]
    last = np.concatenate([np.arange(n) == n - 1 for n, _ in EPISODES])
    ended = np.repeat([t for _, t in EPISODES], [n for n, _ in EPISODES])
    rows = np.concatenate([x[:-1] for x in obs])
    arrays = {"obs": rows, "next_obs": np.concatenate([x[1:] for x in obs]), "action": rows / 1000, "reward": rows / 10}
    return of_arrays(arrays | {"terminated": last & ended, "truncated": last & ~ended}, SPACE, ACTION)


SPEC = Spec(SPACE, ACTION, 1, 1)


def drawn(replay, seed=0):
    state = replay.init(jax.random.key(0), SPEC)
    return jax.jit(lambda key: replay.sample(state, context().replace(key=key)))(jax.random.key(seed)).batch


def test_single_steps_are_those_of_the_data_uniformly():
    batch = drawn(Offline(counted(), batch_size=4000))
    assert batch.obs.shape == (1, 4000)
    np.testing.assert_array_equal(batch.next_obs, batch.obs + 1)  # also where an episode ends
    np.testing.assert_allclose(batch.reward, batch.obs / 10, rtol=1e-6)
    counts = collections.Counter(np.asarray(batch.obs).ravel().tolist())
    assert len(counts) == 11 and max(abs(n - 4000 / 11) for n in counts.values()) < 5 * np.sqrt(4000 / 11)
    for (steps, terminated), episode in zip(EPISODES, range(4), strict=True):
        last = batch.obs == 100 * episode + steps - 1
        of_episode = batch.obs // 100 == episode
        assert (batch.terminated[of_episode] == (last & terminated)[of_episode]).all()
        assert (batch.truncated[of_episode] == (last & (not terminated))[of_episode]).all()


def test_trajectories_never_leave_their_episode():
    batch = drawn(Offline(counted(), batch_size=500, length=4))
    mask, first = batch.extras["mask"], batch.obs[0]
    episode = (first // 100).astype(int)
    left = np.asarray([n for n, _ in EPISODES])[episode] - (first % 100)
    np.testing.assert_array_equal(mask, np.arange(4)[:, None] < left)
    np.testing.assert_array_equal(batch.obs, first + np.minimum(np.arange(4)[:, None], left - 1))
    summed = drawn(Offline(counted(), rl.chain(n_step(3, 0.5)), 500, 3))
    first = np.asarray(summed.obs[0])
    left = np.asarray([n for n, _ in EPISODES])[(first // 100).astype(int)] - (first % 100)
    rewards = sum(np.where(k < left, 0.5**k * (first + k) / 10, 0) for k in range(3))
    np.testing.assert_allclose(summed.reward[0], rewards, rtol=1e-5)


def test_the_next_action_is_the_data_s_or_said_to_be_missing():
    batch = drawn(Offline(counted(), rl.chain(n_step(1, 0.9), NextAction()), 500, 2))
    assert batch.obs.shape == (1, 500)
    last = np.asarray(batch.terminated | batch.truncated)
    np.testing.assert_array_equal(batch.extras["has_next_action"], ~last)
    np.testing.assert_allclose(batch.extras["next_action"], (batch.obs + ~last) / 1000, rtol=1e-5, atol=1e-7)


def test_each_seed_may_have_its_own_data():
    one = counted()
    other = one.replace(reward=one.reward + 7)
    both = jax.tree.map(lambda *x: jnp.stack(x), Offline(one, batch_size=8), Offline(other, batch_size=8))
    rewards = jax.vmap(lambda part, key: part.sample((), context().replace(key=key)).batch.reward, (0, None))(
        both, jax.random.key(0)
    )
    np.testing.assert_allclose(rewards[1], rewards[0] + 7, rtol=1e-6)


def test_data_of_other_spaces_or_too_few_are_refused():
    with pytest.raises(RLJaxError, match="use the environment of the data"):
        Offline(counted()).init(jax.random.key(0), Spec(SPACE, Box.of(-2.0, 1.0, ()), 1, 1))
    with pytest.raises(RLJaxError, match="use a shorter length"):
        drawn(Offline(counted(), length=12))
    with pytest.raises(RLJaxError, match=r"rl_jax\.data"):
        Offline({"obs": 1}).init(jax.random.key(0), SPEC)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def recorded():
    env = Clock(5)
    trainer = rl.Trainer.create(env, rl.agents.RandomRepeat(), num_envs=2, rollout_length=4)
    return env, rl.loop.record(trainer, trainer.init(jax.random.key(0), 10), jax.random.key(1), 4, 25)


def test_nothing_is_collected_where_all_experience_was_given(recorded):
    env, data = recorded
    replay = Offline(data, rl.chain(n_step(1, 0.9)), 16)
    trainer = rl.Trainer.create(env, rl.agents.dqn(hidden=(8,)), replay=replay, updates=rl.loop.Constant(5))
    rl.loop.check_trainer(trainer)
    assert trainer.steps_per_update == 5 and not trainer.collects
    state, metrics = jax.jit(trainer.train, static_argnums=1)(jax.random.key(0), 52)
    assert metrics["learn_calls"].sum() == 55 and state.agent.count == 55
    assert np.isnan(metrics["episode/return"]).all() and np.isfinite(metrics["value/mean"]).all()
    program = jax.jit(trainer.train_step).lower(state).as_text()
    assert "dynamic_update_slice" not in program  # the data are read, and never written
    for bad in ({"updates": rl.loop.PerStep(1.0)}, {"whole": True}):
        with pytest.raises(RLJaxError, match="given all experience"):
            rl.Trainer.create(env, rl.agents.dqn(hidden=(8,)), replay=replay, **bad)


def test_half_recorded_half_collected(recorded):
    env, data = recorded
    marked = data.replace(reward=jnp.full_like(data.reward, -7.0))
    parts = (
        Buffer(transforms=rl.chain(n_step(1, 0.9)), capacity=64, batch_size=6),
        Offline(marked, rl.chain(n_step(1, 0.9)), 10),
    )
    trainer = rl.Trainer.create(env, rl.agents.dqn(hidden=(8,)), replay=Mixed(parts), num_envs=2, rollout_length=4)
    rl.loop.check_trainer(trainer)
    assert trainer.collects and trainer.replay.plan(trainer.spec()).capacity > 0
    state, _ = jax.jit(trainer.train, static_argnums=1)(jax.random.key(0), 64)
    batch = trainer.replay.sample(state.replay, context()).batch
    np.testing.assert_array_equal(batch.extras["source"], [[0] * 6 + [1] * 10])
    np.testing.assert_array_equal(np.asarray(batch.reward == -7.0), batch.extras["source"] == 1)


@pytest.mark.slow
def test_priorities_go_back_to_the_part_that_has_some(recorded):
    env, data = recorded
    transforms = rl.chain(n_step(1, 0.9))
    prioritized = Buffer(Prioritized(), transforms, capacity=64, batch_size=6)
    mixed = Mixed((Offline(data, transforms, 4), prioritized))
    trainer = rl.Trainer.create(env, rl.agents.dqn(hidden=(8,)), replay=mixed, num_envs=2, rollout_length=4)
    state, _ = jax.jit(trainer.train, static_argnums=1)(jax.random.key(0), 64)
    sample = mixed.sample(state.replay, context())
    np.testing.assert_array_equal(sample.weights[:4], 1.0)
    after = mixed.update(state.replay, sample.indices, jnp.arange(10.0))
    alone = prioritized.update(state.replay[1], sample.indices[1], jnp.arange(4.0, 10.0))
    assert all((a == b).all() for a, b in zip(jax.tree.leaves(after[1]), jax.tree.leaves(alone), strict=True))
    with pytest.raises(RLJaxError, match="give all one length"):
        lengths = (Offline(data, batch_size=4), Offline(data, batch_size=4, length=2))
        Mixed(lengths).sample(((), ()), context())
    with pytest.raises(RLJaxError, match="two replays or more"):
        Mixed((Offline(data),)).init(jax.random.key(0), trainer.spec())
