"""Agents whose policies draw actions from noise: their losses by hand, two ways of doing one thing, and values from random actions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe_suite import ANSWERS, faults, suite
from running import call, failed
from single_steps import B, batch, begun, learn
from toy import context, rollout_of

import rl_jax as rl
from rl_jax.agents.chunked import Chunked
from rl_jax.agents.configs import BCConfig, DiffusionBCConfig, FQLConfig
from rl_jax.agents.offline import diffusion_bc, fql
from rl_jax.errors import RLJaxError
from rl_jax.ops.denoising.process import draw_targets

SMALL = dict(hidden=(8, 8))


def flat(sample):
    return jax.tree.map(lambda x: np.asarray(x[0]), sample.batch)


@pytest.mark.slow
def test_fql_by_hand():
    """The metrics of a learning step from the networks before it; Euler's method, and the normalised value, written out."""
    agent, state = begun(fql(alpha=3.0, flow_steps=4, learning_rate=0.0, **SMALL))
    steps = flat(sample := batch())
    _, metrics, priorities = learn(agent, state, sample)
    keys = jax.random.split(jax.random.key(0), 3)
    next_noise, noise = (np.asarray(jax.random.normal(key, (B, 2))) for key in keys[:2])
    zero = np.zeros(B, np.float32)

    def of(name, x, time, obs):
        return np.asarray(getattr(agent, name).apply(state.params[name], x, time, obs))

    def q_of(params, obs, action):
        return np.asarray(agent.critics.apply(params, obs, np.clip(action, -1, 1)))

    slow = q_of(state.target, steps.next_obs, of("actor", next_noise, zero, steps.next_obs)).mean(0)
    target = steps.reward + np.where(steps.terminated, 0.0, steps.extras["discount"] * slow)
    q = q_of(state.params["critics"], steps.obs, steps.action)
    assert float(metrics["loss/critic"]) == pytest.approx(np.mean((q - target) ** 2), rel=1e-3)
    np.testing.assert_allclose(priorities, np.abs(q - target).mean(0), rtol=1e-3)

    x = noise
    for i in range(4):
        x = x + of("flow", x, np.full(B, i / 4, np.float32), steps.obs) / 4
    action = of("actor", noise, zero, steps.obs)
    distance = np.mean((action - np.clip(x, -1, 1)) ** 2)
    q = q_of(state.params["critics"], steps.obs, action).mean(0)
    assert float(metrics["loss/actor"]) == pytest.approx(3.0 * distance - q.mean() / np.abs(q).mean(), rel=1e-3)

    drawn = draw_targets(rl.ops.denoising.Flow(), keys[2], jnp.asarray(steps.action))
    start = (np.asarray(drawn.input) - np.asarray(drawn.time)[:, None] * steps.action) / (1 - np.asarray(drawn.time))[:, None]
    error = of("flow", drawn.input, drawn.time, steps.obs) - (steps.action - start)
    assert float(metrics["loss/flow"]) == pytest.approx(np.mean(error**2), rel=2e-3)


@pytest.mark.slow
def test_fql_sends_each_network_the_gradient_of_its_own_loss_alone():
    agent, state = begun(fql(normalize=False, optimizer="rmsprop", **SMALL))
    steps, noise = flat(batch()), jax.random.normal(jax.random.key(3), (B, 2))

    def all_losses(params):
        return agent.actor_loss(params["actor"], state.params, steps, 1.0, noise)[0]

    grads = jax.grad(all_losses)(state.params)
    size = {name: float(sum(jnp.sum(jnp.abs(x)) for x in jax.tree.leaves(grads[name]))) for name in grads}
    assert size["actor"] > 0 and size["critics"] == size["flow"] == 0
    smaller, mean = (agent.replace(cautious=cautious, learning_rate=0.0) for cautious in (True, False))
    assert float(learn(smaller, state, batch())[1]["loss/critic"]) != float(learn(mean, state, batch())[1]["loss/critic"])


def test_a_diffusion_policy_by_hand():
    """The network sees ``c_in (a + sigma n)`` and ``log(sigma) / 4``; the clean action's error has the weight ``1 / c_out^2``."""
    agent, state = begun(diffusion_bc(learning_rate=0.0, **SMALL))
    steps = flat(sample := batch())
    key_time, key_noise = jax.random.split(jax.random.key(0))
    sigma = np.asarray(agent.process.times(key_time, B), np.float64)[:, None]
    noisy = steps.action + sigma * np.asarray(jax.random.normal(key_noise, (B, 2)), np.float64)
    total = sigma**2 + 0.25
    seen = (noisy / np.sqrt(total)).astype(np.float32)
    output = np.asarray(agent.network.apply(state.params, seen, np.log(sigma[:, 0]).astype(np.float32) / 4, steps.obs))
    denoised = 0.25 / total * noisy + sigma * 0.5 / np.sqrt(total) * output
    expected = np.mean(total / (sigma * 0.5) ** 2 * (denoised - steps.action) ** 2)
    _, metrics, _ = learn(agent, state, sample)
    assert float(metrics["loss/denoise"]) == pytest.approx(expected, rel=1e-3)
    assert np.all((sigma >= 0.005) & (sigma <= 1.0))


def test_chunks_are_the_actions_that_follow():
    rollout = rollout_of(np.zeros((3, 2)), obs=jnp.arange(6.0).reshape(3, 2, 1)).replace(
        action=jnp.asarray([[[0.0], [0.5]], [[0.1], [0.5]], [[0.2], [0.5]]]), carry=(), start=None, last=None
    )
    chunks = rl.replay.ActionChunks().update((), rollout, context())[1]
    assert chunks.action.shape == (1, 2, 3, 1) and chunks.obs.shape == (1, 2, 1)
    np.testing.assert_allclose(chunks.action[0, 0, :, 0], [0.0, 0.1, 0.2])


def test_numbers_that_cannot_be_are_refused():
    with pytest.raises(RLJaxError, match="--executed 3 of chunks of 2"):
        DiffusionBCConfig(chunk=2, executed=3).check()
    for config in (DiffusionBCConfig(hidden=(8, 16)), FQLConfig(hidden=(8, 16))):
        with pytest.raises(RLJaxError, match="give layers of one width"):
            config.check()
    assert isinstance(diffusion_bc(chunk=4, executed=2), Chunked)


@pytest.mark.slow
@pytest.mark.parametrize("process", ["edm", "ddpm", "flow"])
def test_a_diffusion_policy_does_either_and_a_gaussian_clone_something_between(process):
    """Actions of 0.7 or -0.7 whatever is seen: samples are near one or the other, a clone's answer is near zero."""
    env, rng = rl.make("Pendulum-v1"), np.random.default_rng(0)
    steps = 400
    data = rl.data.of_arrays(
        {
            "observations": rng.uniform(-1, 1, (steps, 3)).astype(np.float32),
            "next_observations": rng.uniform(-1, 1, (steps, 3)).astype(np.float32),
            "actions": 1.4 * rng.choice([-1.0, 1.0], (steps, 1)).astype(np.float32),
            "rewards": np.zeros(steps, np.float32),
            "terminals": np.zeros(steps, bool),
            "timeouts": np.ones(steps, bool),
        },
        env.observation_space(env.default_params),
        env.action_space(env.default_params),
    )
    numbers = dict(learning_rate=3e-3, batch_size=64, hidden=(32, 32))
    obs, first = jnp.zeros((400, 3)), jnp.ones((400,), bool)

    def actions(config, num_steps):
        trainer = config.trainer(env, data=data)
        state, _ = jax.jit(trainer.train, static_argnums=1)(jax.random.key(0), num_steps)
        return np.asarray(trainer.agent.act(state.agent, (), obs, first, jax.random.key(1), greedy=True)[1])[:, 0]

    found = actions(DiffusionBCConfig(process=process, sampler_steps=10, tau=0.02, **numbers), 1000)
    near = np.abs(np.abs(found) - 0.7) < 0.2
    assert near.mean() > 0.8 and 0.3 < np.mean(found[near] > 0) < 0.7
    if process == "edm":
        assert np.all(np.abs(actions(BCConfig(**numbers), 300)) < 0.35)


@pytest.mark.slow
def test_fql_on_every_probe_from_random_actions():
    env, probes = suite(True)
    numbers = dict(batch_size=64, learning_rate=3e-3, hidden=(16, 16), tau=0.05, alpha=0.1, flow_steps=4)

    def data(i):
        random = rl.Trainer.create(env, rl.agents.RandomRepeat(), params=jnp.int32(i), num_envs=8, rollout_length=1)
        return rl.loop.record(random, random.init(jax.random.key(0), 1), jax.random.key(1), 8, 100, epsilon=1.0, episodes=800)

    def learn_one(trainer, key):
        state, metrics = trainer.advance(trainer.init(key, 1200), trainer.num_updates(1200))
        obs, first = jnp.asarray([[-1.0], [0.0], [1.0]]), jnp.ones((3,), bool)
        value = trainer.agent.value(state.agent, (), obs, first)
        action = trainer.agent.act(state.agent, (), obs, first, jax.random.fold_in(key, 2), True)[1]
        return metrics["nonfinite_update"], value, rl.spaces.to_env_action(env.act_space, action)

    with jax.debug_key_reuse(False):
        trainers = [
            FQLConfig(**numbers, gamma=ANSWERS[p][0]).trainer(env, data(i), params=jnp.int32(i)) for i, p in enumerate(probes)
        ]
        stacked = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *trainers)
        bad, value, action = jax.jit(jax.vmap(learn_one, in_axes=(0, None)))(stacked, jax.random.key(0))
    assert np.all(np.asarray(bad) == -1)
    wrong = faults(probes, value, action, 0.3)
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
def test_the_command_line_learns_from_data(tmp_path):
    env = rl.make("Pendulum-v1")
    random = rl.Trainer.create(env, rl.agents.RandomRepeat(), num_envs=2, rollout_length=1)
    data = rl.loop.record(random, random.init(jax.random.key(0), 1), jax.random.key(1), 2, 400, epsilon=1.0)
    rl.data.save(data, tmp_path / "data", env="Pendulum-v1")
    common = ("--data", tmp_path / "data", "--steps", "20", "--batch-size", "16", "--eval-episodes", "2", "--quiet")
    chunks = ("--hidden", "8", "8", "--chunk", "4", "--executed", "2")
    for agent, *more in (("fql", "--hidden", "8", "8"), ("diffusion-bc", *chunks)):
        run = call("train", agent, *common, *more, "--out", tmp_path / agent)
        assert run.status == 0, run.err
    # Without the data, of which an agent that decides on chunks draws trajectories.
    assert call("evaluate", tmp_path / "diffusion-bc", "--episodes", "2").status == 0
    failed(call("train", "fql", *common, "--hidden", "8", "4"), "give layers of one width, such as 64 64 64")
