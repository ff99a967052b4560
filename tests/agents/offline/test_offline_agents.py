"""Agents that learn from recorded experience: their losses by hand, every probe from random actions alone, and the command line."""

import json
import math
import shutil
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probe_suite import ANSWERS, faults, suite
from running import call, failed, rows
from single_steps import BOX, THREE, B, batch, begun, learn
from toy import context

import rl_jax as rl
from rl_jax.agents.configs import CONFIGS
from rl_jax.agents.offline import bc, cql, iql, rebrac, td3_bc
from rl_jax.errors import RLJaxError
from rl_jax.losses.conservative import Conservative
from rl_jax.losses.expectile import advantage_weight, expectile_loss
from rl_jax.networks.squashed import TanhGaussian

SMALL = dict(hidden=(8,))


def flat(sample):
    return jax.tree.map(lambda x: np.asarray(x[0]), sample.batch)


# --- losses ---


def test_an_expectile_is_where_its_loss_is_least():
    """Of a sample: the value whose weighted surpluses and shortfalls balance."""
    x = np.random.default_rng(0).normal(size=400)
    for tau in (0.5, 0.7, 0.95):
        grid = np.linspace(-3, 3, 2001)
        least = grid[np.argmin([float(jnp.mean(expectile_loss(jnp.asarray(x - v), tau))) for v in grid])]
        balance = tau * np.maximum(x - least, 0).sum() - (1 - tau) * np.maximum(least - x, 0).sum()
        assert abs(balance) < 0.005 * len(x)
    assert float(advantage_weight(jnp.asarray(1.0), 3.0)) == pytest.approx(math.exp(3.0))
    assert float(advantage_weight(jnp.asarray(1e6), 3.0)) == 100.0
    assert float(jax.grad(lambda a: advantage_weight(a, 3.0))(0.5)) == 0.0


def test_the_soft_maximum_over_a_box_is_its_integral():
    """CQL's estimate of ``log E_uniform exp Q`` by importance sampling, against quadrature."""

    def q_values(params, obs, action):
        return jnp.stack([-4.0 * (action[:, 0] - 0.3) ** 2 + obs[:, 0], 2.0 * action[:, 0]])

    def policy(params, obs):
        return TanhGaussian(0.5 * obs[:, :1], jnp.full_like(obs[:, :1], -0.5))

    agent = SimpleNamespace(policy=policy, q_values=q_values)
    obs, action = jnp.asarray([[0.0], [1.0]]), jnp.asarray([[0.2], [-0.6]])
    steps = SimpleNamespace(obs=obs, next_obs=obs + 0.5, action=action, terminated=jnp.asarray([True, False]))
    loss, metrics = Conservative(2.0, 4000)(agent, (), {"actor": ()}, steps, jax.random.key(0))
    a = np.linspace(-1, 1, 20001)
    integrals = [[np.trapezoid(np.exp(-4 * (a - 0.3) ** 2 + o), a), np.trapezoid(np.exp(2 * a), a)] for o in (0.0, 1.0)]
    chosen = np.asarray(q_values((), obs, action)).T
    gap = np.mean(np.sum(np.log(integrals) - chosen, axis=1))
    assert float(metrics["loss/conservative"]) == pytest.approx(gap, abs=0.03)
    assert float(loss) == pytest.approx(2.0 * float(metrics["loss/conservative"]))


def test_the_soft_maximum_over_choices_is_exact():
    agent, state = begun(cql(**SMALL), THREE)
    sample = batch(THREE)
    steps = flat(sample)
    q = np.asarray(agent.q_values(state.params["critics"], steps.obs, None), np.float64)
    gap = np.mean(np.sum(np.log(np.exp(q).sum(-1)) - q[:, np.arange(B), steps.action], axis=0))
    _, metrics, _ = learn(agent, state, sample)
    assert float(metrics["loss/conservative"]) == pytest.approx(gap, rel=1e-4)


def test_td3_bc_climbs_a_value_of_size_one_and_stays_near_the_data():
    agent, state = begun(td3_bc(alpha=4.0, **SMALL))
    steps = flat(batch())
    action = np.asarray(agent._action(state.params, steps.obs))
    q = np.asarray(agent._q(state.params, steps.obs, action))[0]
    expected = -q.mean() / np.abs(q).mean() + ((action - steps.action) ** 2).mean() / 4.0
    found = agent.actor_loss(state.params["actor"], state.params["critics"], steps)
    assert float(found) == pytest.approx(expected, rel=1e-4)
    # Eq. 3 of the paper, with lambda held fixed, has the same gradient but for the factor alpha.
    scale = 4.0 / np.abs(q).mean()

    def eq3(params):
        action = agent._action({"actor": params}, steps.obs)
        return -scale * jnp.mean(agent._q(state.params, steps.obs, action)[0]) + jnp.mean((action - steps.action) ** 2)

    of_paper, ours = jax.grad(eq3)(state.params["actor"]), jax.grad(agent.actor_loss)(*state.params.values(), steps)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, 4.0 * b, rtol=2e-3, atol=1e-5), of_paper, ours)


def test_rebrac_s_targets_are_less_the_distance_from_the_data_s_next_action():
    agent, state = begun(rebrac(beta_critic=0.5, target_noise=0.0, **SMALL))
    sample = batch()
    there = np.arange(B) % 2 == 0
    following = np.random.default_rng(1).uniform(-1, 1, (B, 2)).astype(np.float32)
    steps = sample.batch.with_extras(next_action=jnp.asarray(following)[None], has_next_action=jnp.asarray(there)[None])
    action = np.asarray(agent._action(state.target, steps.next_obs[0]))
    q = np.asarray(agent._q(state.target, steps.next_obs[0], action)).min(0)
    expected = q - 0.5 * np.where(there, ((action - following) ** 2).sum(1), 0.0)
    found = agent.next_value(state.target, jax.tree.map(lambda x: x[0], steps), jax.random.key(0))
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    with pytest.raises(RLJaxError, match="next_action"), rl.errors.naming_what_lacks(agent, sample.batch.extras):
        agent.learn(state, sample, context())


@pytest.mark.parametrize("spec", [BOX, THREE], ids=["box", "choices"])
def test_iql_by_hand(spec):
    """The metrics of a learning step, computed from the networks before it; the policy by the new value, as in the published code."""
    agent, state = begun(iql(expectile=0.8, beta=2.0, learning_rate=0.0, **SMALL), spec)
    steps = flat(sample := batch(spec))
    q = np.asarray(agent.q_values(state.target, steps.obs, steps.action)).min(0)
    v, next_v = (np.asarray(agent.state_values(state.params["value"], obs)) for obs in (steps.obs, steps.next_obs))
    error = q - v
    weight = np.minimum(np.exp(2.0 * error), 100.0)
    log_prob = np.asarray(agent.policy(state.params["actor"], steps.obs).log_prob(steps.action))
    target = steps.reward + steps.extras["discount"] * np.where(steps.terminated, 0.0, next_v)
    own = np.asarray(agent.q_values(state.params["critics"], steps.obs, steps.action))
    _, metrics, priorities = learn(agent, state, sample)
    assert float(metrics["loss/value"]) == pytest.approx(np.mean(np.where(error < 0, 0.2, 0.8) * error**2), rel=1e-4)
    assert float(metrics["loss/actor"]) == pytest.approx(-np.mean(weight * log_prob), rel=1e-3)
    assert float(metrics["loss/critic"]) == pytest.approx(np.mean(((own - target) ** 2).sum(0)), rel=1e-4)
    np.testing.assert_allclose(priorities, np.abs(own - target).mean(0), rtol=1e-4)


def test_cloning_by_hand():
    for spec, expected in (
        (BOX, lambda policy, action: np.mean((np.asarray(policy.mode()) - action) ** 2)),
        (THREE, lambda policy, action: -np.mean(np.asarray(policy.log_prob(action)))),
    ):
        agent, state = begun(bc(**SMALL), spec)
        steps = flat(sample := batch(spec))
        _, metrics, _ = learn(agent, state, sample)
        assert float(metrics["loss/clone"]) == pytest.approx(
            expected(agent.policy(state.params, steps.obs), steps.action), rel=1e-4
        )


# --- probes ---

OFF = dict(batch_size=64, learning_rate=5e-3, hidden=(16,), tau=0.05)
#: id -> (agent, its numbers, learning steps, continuous actions, tolerance of values)
AGENTS = {
    "iql": ("iql", OFF | dict(expectile=0.97, beta=10.0), 3000, False, 0.15),
    "iql-continuous": ("iql", OFF | dict(expectile=0.995, beta=10.0), 3000, True, 0.4),
    "cql": ("cql", OFF | dict(conservative=0.02), 3000, False, 0.3),
    "cql-continuous": ("cql", OFF | dict(conservative=0.02, samples=4), 3000, True, 0.3),
    "td3-bc": ("td3-bc", OFF | dict(alpha=50.0), 3000, True, 0.2),
    "rebrac": ("rebrac", OFF | dict(beta_actor=0.01, beta_critic=0.0), 3000, True, 0.2),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_on_every_probe_from_random_actions(name):
    agent, numbers, steps, continuous, tolerance = AGENTS[name]
    env, probes = suite(continuous)

    def data(i):
        random = rl.Trainer.create(env, rl.agents.RandomRepeat(), params=jnp.int32(i), num_envs=8, rollout_length=1)
        return rl.loop.record(random, random.init(jax.random.key(0), 1), jax.random.key(1), 8, 100, epsilon=1.0, episodes=800)

    def learn_one(trainer, key):
        state, metrics = trainer.advance(trainer.init(key, steps), trainer.num_updates(steps))
        obs, first = jnp.asarray([[-1.0], [0.0], [1.0]]), jnp.ones((3,), bool)
        value = trainer.agent.value(state.agent, (), trainer.experience.observe(state.experience, obs), first)
        shown = trainer.experience.observe(state.experience, obs)
        action = trainer.agent.act(state.agent, (), shown, first, jax.random.fold_in(key, 2), True)[1]
        return metrics["nonfinite_update"], value, rl.spaces.to_env_action(env.act_space, action)

    with jax.debug_key_reuse(False):
        trainers = [
            CONFIGS[agent](**numbers, gamma=ANSWERS[p][0]).trainer(env, data(i), params=jnp.int32(i))
            for i, p in enumerate(probes)
        ]
        stacked = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *trainers)
        bad, value, action = jax.jit(jax.vmap(learn_one, in_axes=(0, None)))(stacked, jax.random.key(0))
    assert np.all(np.asarray(bad) == -1)
    wrong = faults(probes, value, action, tolerance)
    assert not wrong, "\n".join(wrong)


# --- the command line ---

PENDULUM = ("--env", "Pendulum-v1", "--steps", "64", "--num-envs", "2", "--hidden", "8", "--quiet")


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recording")
    made = call("train", "td3", *PENDULUM, "--learning-starts", "8", "--eval-episodes", "1", "--out", folder / "run")
    assert made.status == 0, made.err
    recorded = call("record", folder / "run", "--steps", "1000", "--num-envs", "2", "--noise", "0.5", "--out", folder / "data")
    assert recorded.status == 0, recorded.err
    assert recorded.result["steps"] == 1000 and recorded.result["episodes"] == 6
    return folder / "data"


OFFLINE = ("--steps", "60", "--hidden", "8", "--batch-size", "16", "--eval-episodes", "2", "--checkpoints", "3")


@pytest.mark.slow
def test_a_run_from_data_resumes_bit_for_bit_and_with_the_same_data_alone(recording, tmp_path):
    whole = call("train", "td3-bc", "--data", recording, *OFFLINE, "--out", tmp_path / "whole")
    assert whole.status == 0 and "return -" not in whole.err, whole.err
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    for newer in ("60", "40"):
        shutil.rmtree(tmp_path / "cut" / "checkpoints" / newer)
        (tmp_path / "cut" / "manifests" / f"{newer}.json").unlink()
    (tmp_path / "cut" / "result.json").unlink()
    resumed = call("train", "td3-bc", "--resume", tmp_path / "cut")
    assert resumed.status == 0, resumed.err
    assert resumed.result["params_sha256"] == whole.result["params_sha256"] and rows(tmp_path / "cut") == rows(
        tmp_path / "whole"
    )
    # A trained agent acts without its data, and shows itself observations as it learned from them.
    moved = recording.rename(recording.with_name("moved"))
    try:
        assert call("evaluate", tmp_path / "whole", "--episodes", "2").status == 0
        failed(call("train", "td3-bc", "--resume", tmp_path / "whole", "--steps", "80"), "is no data set")
        other = rl.data.load(moved)
        rl.data.save(other.take(np.arange(5)), recording, env="Pendulum-v1")
        failed(call("train", "td3-bc", "--resume", tmp_path / "whole", "--steps", "80"), "another than it was")
        shutil.rmtree(recording)
    finally:
        moved.rename(recording)


@pytest.mark.slow
def test_learning_beside_what_is_collected(recording, tmp_path):
    small = ("--members", "3", "--num-envs", "2", "--learning-starts", "8", "--buffer-size", "100")
    mixed = call("train", "rlpd", "--data", recording, *OFFLINE, *small, "--out", tmp_path / "r")
    assert mixed.status == 0, mixed.err
    assert json.loads((tmp_path / "r" / "config.json").read_text())["data"] == rl.data.load(recording).sha256()


def test_what_is_wrong_with_data_is_said_in_one_line(recording, tmp_path):
    failed(call("train", "iql", "--env", "Pendulum-v1"), "iql learns from recorded experience: add --data FOLDER")
    failed(call("train", "ppo", "--data", recording), "leave out --data", "iql")
    failed(call("train", "iql", "--data", tmp_path / "none"), "is no data set")
    failed(call("train", "iql", "--data", tmp_path / "none.npz"), "which environment is")
    failed(call("train", "iql", "--data", tmp_path / "none.npz", "--env", "Pendulum-v1"), "there is no")
    failed(call("train", "iql", "--data", recording, "--env", "CartPole-v1"), "name the environment it is of")
    failed(call("train", "td3-bc", "--data", "minari:no/such-v0", "--env", "Pendulum-v1"), "inari")
    failed(call("record", recording.parent / "run", "--out", recording), "never written over")
    failed(call("record", tmp_path), "there is no")
    failed(call("train", "rlpd", "--data", recording, "--members", "2", "--subset", "3"), "use at most as many")
