"""Starts from a pool: they are the pool's, the pool is new after every rollout, and each is a start like any other."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from running import TINY, call, failed

import rl_jax as rl
from rl_jax.agents.configs import PPOConfig
from rl_jax.curricula import FixedTask, PooledStarts, TaskSet

SIZE = 8


@pytest.fixture(scope="module")
def run():
    env = rl.make("CartPole-v1")
    pool = PooledStarts(FixedTask(env, env.default_params), SIZE)
    config = PPOConfig(num_envs=16, rollout_length=64, hidden=(8,), minibatches=2, normalize_obs=False)
    trainer = config.trainer(env, curriculum=pool)
    return trainer, jax.jit(trainer.train_step), jax.jit(trainer.init, static_argnums=1)(jax.random.key(0), 10**5)


@pytest.mark.slow
def test_every_episode_starts_in_the_pool(run):
    trainer, train_step, state = run
    for _ in range(3):
        pool = np.asarray(state.curriculum[1].obs)
        assert pool.shape == (SIZE, 4) and len(np.unique(pool, axis=0)) == SIZE
        rollout = jax.jit(trainer.collect)(state)[1]
        # The first row's episodes began in the rollout before, in its pool.
        starts = np.asarray(rollout.obs[1:])[np.asarray(rollout.first[1:])]
        which = (starts[:, None] == pool[None]).all(-1)
        assert len(starts) > 2 * SIZE and (which.sum(1) == 1).all()
        assert which.any(0).all(), "a start of the pool was never drawn"
        state = train_step(state)[0]
        assert not (np.asarray(state.curriculum[1].obs) == pool).any()


def test_starts_are_distributed_as_fresh_ones(run):
    """CartPole's are uniform within 0.05: mean and variance over many pools."""
    trainer = run[0]
    pools = jax.vmap(lambda key: trainer.curriculum.init(key, trainer.base)[1].obs)(jax.random.split(jax.random.key(1), 400))
    starts = np.asarray(pools).reshape(-1, 4)
    assert np.abs(starts).max() <= 0.05
    np.testing.assert_allclose(starts.mean(0), 0.0, atol=0.003)
    np.testing.assert_allclose(starts.var(0), 0.1**2 / 12, rtol=0.1)


@pytest.mark.slow
def test_the_level_belongs_to_the_start():
    """Over tasks: whatever is drawn from the pool comes with its own task."""
    env = rl.make("CartPole-v1")
    tasks = jax.tree.map(lambda leaf: jnp.stack([jnp.asarray(leaf)] * 3), env.default_params)
    pool = PooledStarts(TaskSet(env, tasks), SIZE)
    state = pool.init(jax.random.key(0), PPOConfig().trainer(env).base)
    drawn = jax.vmap(lambda key: pool.start(state, key, jnp.int32(0)))(jax.random.split(jax.random.key(1), 100))
    level = {tuple(obs): int(level) for obs, level in zip(np.asarray(state[1].obs).tolist(), state[1].level, strict=True)}
    assert [level[tuple(obs)] for obs in np.asarray(drawn.obs).tolist()] == drawn.level.tolist()
    assert len(set(drawn.level.tolist())) > 1


@pytest.mark.slow
def test_a_run_with_a_pool(tmp_path):
    options = [*TINY, "--steps", "1024", "--quiet"]
    outcome = call("train", "ppo", *options, "--reset-pool", 16, "--out", tmp_path / "run")
    assert outcome.status == 0, outcome.err
    assert json.loads((tmp_path / "run" / "config.json").read_text())["run"]["reset_pool"] == 16
    assert call("evaluate", tmp_path / "run", "--episodes", 2).status == 0
    failed(call("train", "ppo", *options, "--reset-pool", 0), "--reset-pool takes an integer from 1")
