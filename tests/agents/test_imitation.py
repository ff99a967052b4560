"""Learned rewards in the loop: what is rewritten and what is not; GAIL and DAC do as their expert does, whatever the reward."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from toy import context, leaves_equal, rollout_of, unchecked

import rl_jax as rl
from rl_jax.agents.base import AgentBase
from rl_jax.agents.configs.imitation import DACConfig, GAILConfig
from rl_jax.agents.imitation import dac
from rl_jax.agents.rewarded import Rewarded
from rl_jax.data import of_arrays
from rl_jax.experience.learned_reward import learned_reward
from rl_jax.loop.check_trainer import check_trainer
from rl_jax.replay import n_step
from rl_jax.types import Sample, Spec


@struct.dataclass
class Counting:
    """A reward model that counts how often it has learned, and pays the observation plus ten times that."""

    def init(self, key, spec):
        return jnp.zeros(())

    def learn(self, state, batch, context):
        return state + 1.0, {"counting/size": jnp.float32(batch.reward.size)}

    def reward(self, state, batch, context):
        return batch.obs[..., 0] + 10.0 * state


class Echo(AgentBase):
    """An agent whose metrics are the batch that it was given."""

    def init(self, key, spec):
        return ()

    def learn(self, state, sample, context):
        batch = sample.batch
        seen = {"reward": batch.reward, "terminated": batch.terminated, "truncated": batch.truncated}
        return state, seen | {"discount": batch.extras.get("discount", batch.reward)}, None


def trajectories():
    """Three of three steps ``[3, 3]``: one goes on, one is truncated and one terminated at its second step."""
    end = np.zeros((3, 3), bool)
    truncated, terminated = end.copy(), end.copy()
    truncated[1:, 1], terminated[1:, 2] = True, True
    mask = np.ones((3, 3), bool)
    mask[2, 1:] = False
    obs = jnp.arange(9.0).reshape(3, 3, 1)
    batch = rollout_of(np.full((3, 3), 100.0), terminated=terminated, truncated=truncated, obs=obs, mask=mask)
    return batch.replace(start=None, last=None)


def test_every_drawn_batch_is_paid_by_the_present_model():
    batch = trajectories()
    agent = Rewarded(Echo(), Counting(), weight=2.0, keep_env_reward=0.5)
    state = agent.init(jax.random.key(0), None)
    for number in (1, 2):
        state, seen, _ = agent.learn(state, Sample(batch, None, None), context(seed=number))
        np.testing.assert_allclose(seen["reward"], 2.0 * (np.arange(9.0).reshape(3, 3) + 10 * number) + 50.0)
    np.testing.assert_array_equal(seen["terminated"], batch.terminated)
    np.testing.assert_array_equal(seen["truncated"], batch.truncated)
    assert seen["counting/size"] == 9


def test_targets_of_several_steps_sum_the_models_rewards():
    agent = Rewarded(Echo(), Counting(), rl.chain(n_step(3, 0.5)))
    state = agent.init(jax.random.key(0), Spec(None, None, 1, 1))
    _, seen, _ = agent.learn(state, Sample(trajectories(), None, None), context())
    paid = np.arange(9.0).reshape(3, 3) + 10.0
    expected = [paid[0, 0] + 0.5 * paid[1, 0] + 0.25 * paid[2, 0], *(paid[0, 1:] + 0.5 * paid[1, 1:])]
    np.testing.assert_allclose(seen["reward"], [expected])
    np.testing.assert_allclose(seen["discount"], [[0.125, 0.25, 0.25]])
    np.testing.assert_array_equal(seen["terminated"], [[False, False, True]])
    np.testing.assert_array_equal(seen["truncated"], [[False, True, False]])


def test_fresh_rollouts_are_paid_after_the_model_has_learned():
    obs = jnp.arange(8.0).reshape(4, 2, 1)
    rollout = rollout_of(np.ones((4, 2)), terminated=np.eye(4, 2) > 0, truncated=np.eye(4, 2, -1) > 0, obs=obs)
    part = learned_reward(Counting(), 1.0, 3.0, steps=5, batch_size=6)
    state, paid, metrics = part.update(part.init(jax.random.key(0), None), rollout, context())
    np.testing.assert_allclose(paid.reward, obs[..., 0] + 50.0 + 3.0)
    assert state == 5.0 and metrics["counting/size"] == 6
    assert leaves_equal(paid.replace(reward=rollout.reward), rollout)


def shown(env, obs, action):
    """An expert's episodes of one step each."""
    params, number = env.default_params, len(obs)
    arrays = {"obs": obs, "next_obs": obs, "action": action, "reward": np.zeros(number), "terminated": np.ones(number, bool)}
    return of_arrays(arrays, env.observation_space(params), env.action_space(params))


CUE, POINT = rl.make("probe/observed-action"), rl.make("probe/continuous-action")
GAIL = GAILConfig(
    num_envs=32,
    rollout_length=8,
    hidden=(16,),
    learning_rate=5e-3,
    discriminator_hidden=(16,),
    discriminator_steps=4,
    discriminator_batch_size=64,
    discriminator_learning_rate=5e-3,
)
DAC = DACConfig(
    num_envs=8,
    buffer_size=4000,
    batch_size=64,
    hidden=(16,),
    learning_starts=500,
    random_steps=1000,
    actor_learning_rate=1e-3,
    tau=0.05,
    exploration_noise=0.3,
    gradient_penalty=1.0,
    discriminator_hidden=(32,),
    discriminator_learning_rate=5e-3,
)


def cues(right):
    """What is done on each cue: the opposite of what is paid, or anything."""
    draw = np.random.default_rng(0)
    obs = np.where(draw.random(400) < 0.5, -1.0, 1.0)[:, None].astype(np.float32)
    return obs, (obs[:, 0] < 0).astype(np.int32) if right else draw.integers(0, 2, 400)


def points(right):
    """-0.5 in unit coordinates, with little noise, or anything; what is paid most is 1/3."""
    draw = np.random.default_rng(0)
    action = -0.5 + 0.02 * draw.normal(size=(400, 1)) if right else draw.uniform(-1, 1, (400, 1))
    return np.zeros((400, 1), np.float32), 1.0 + 3.0 * action


def trained(trainer, steps):
    with unchecked():
        run = jax.jit(lambda trainer, key: trainer.advance(trainer.init(key, steps), trainer.num_updates(steps))[0])
        return run(trainer, jax.random.key(0))


def action_of(trainer, state, obs):
    shown = trainer.experience.observe(state.experience, jnp.asarray(obs))
    first = jnp.ones((len(obs),), bool)
    return trainer.agent.act(state.agent, (), shown, first, jax.random.key(0), True)[1]


@pytest.mark.slow
def test_gail_does_as_its_expert_does_and_not_as_it_is_paid():
    for right in (True, False):
        trainer = GAIL.trainer(CUE, data=shown(CUE, *cues(right)))
        state = trained(trainer, 12_000)
        obs = trainer.experience.observe(state.experience, jnp.array([[[-1.0], [1.0]]]))
        policy = trainer.agent.outputs(state.agent.params, rollout_of(np.zeros((1, 2)), obs=obs)).policy
        share = np.exp(np.asarray(policy.log_prob(jnp.array([[1, 0]]))))[0]
        assert np.all(share > 0.9) if right else not np.all(share > 0.9), share


@pytest.mark.slow
def test_dac_does_as_its_expert_does_and_not_as_it_is_paid():
    trainer = DAC.trainer(POINT, data=shown(POINT, *points(True)))
    state = trained(trainer, 3_000)
    assert float(action_of(trainer, state, [[0.0]])[0, 0]) == pytest.approx(-0.5, abs=0.15)


def test_the_trainers_are_as_they_must_be():
    """No key stays in a state, no state changes its shape; also with all options."""
    data = shown(POINT, *points(True))
    check_trainer(GAIL.trainer(CUE, data=shown(CUE, *cues(True))))
    check_trainer(DACConfig(num_envs=2, n_step=3, spectral_norm=True, penalty_sides="one").trainer(POINT, data=data))
    sac = dac(data, rl.agents.sac(hidden=(8,)), absorbing=False, n_step=1)
    check_trainer(
        rl.Trainer.create(POINT, sac, replay=rl.replay.Buffer(capacity=64, batch_size=4), num_envs=2, rollout_length=1)
    )


@pytest.mark.slow
def test_seeds_have_experts_of_their_own():
    """Two runs side by side, each with its own data, are the runs alone."""
    trainers = [DAC.trainer(POINT, data=shown(POINT, *points(right))) for right in (True, False)]
    together = jax.tree.map(lambda *x: jnp.stack(list(map(jnp.asarray, x))), *trainers)
    keys = jax.random.split(jax.random.key(3), 2)

    def run(trainer, key):
        return trainer.advance(trainer.init(key, 400), 50)[0].agent

    with unchecked():
        both = jax.jit(jax.vmap(run))(together, keys)
        alone = jax.jit(run)(trainers[1], keys[1])
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x[1], y, rtol=2e-3, atol=2e-4), both, alone)
