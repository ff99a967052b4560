"""Actor-critics from replay: SAC, MDPO, TD3 and DDPG, on numbers that can be computed by hand."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from single_steps import BOX, THREE, B, batch, begun, learn
from toy import context, leaves_equal, places, unchecked

from rl_jax.agents import ddpg, mdpo_off_policy, sac, td3
from rl_jax.agents.configs import DDPGConfig, MDPOOffPolicyConfig, SACConfig, TD3Config
from rl_jax.envs import make
from rl_jax.errors import RLJaxError, UnsupportedSpace
from rl_jax.losses.soft_values import choose, policy_cost, smallest, soft_value
from rl_jax.networks.critics import critics
from rl_jax.networks.distributions import Categorical
from rl_jax.networks.squashed import TanhGaussian
from rl_jax.spaces import Box, MultiDiscrete
from rl_jax.types import Sample, Spec

SMALL = dict(hidden=(8,))


def flat(sample):
    return jax.tree.map(lambda x: np.asarray(x[0]), sample.batch)


def by_hand(rollout, next_value):
    return rollout.reward + rollout.extras["discount"] * np.where(rollout.terminated, 0.0, next_value)


# --- the tanh-Gaussian ---


@pytest.mark.parametrize(("mean", "log_std"), [(0.0, 0.0), (0.7, -1.5), (-2.0, 0.5)])
def test_the_tanh_gaussian_is_a_density(mean, log_std):
    u = np.linspace(-12.0, 12.0, 200_001)
    policy = TanhGaussian(jnp.full((1,), mean), jnp.full((1,), log_std))
    density = np.exp(np.asarray(jax.vmap(policy.log_prob_unsquashed)(jnp.asarray(u[:, None], jnp.float32)), np.float64))
    assert np.trapezoid(density, np.tanh(u)) == pytest.approx(1.0, abs=1e-4)


def test_the_tanh_gaussian_log_prob_is_that_of_the_changed_variable():
    mean, log_std = np.array([0.3, -1.0]), np.array([-0.5, 0.2])
    policy = TanhGaussian(jnp.asarray(mean, jnp.float32), jnp.asarray(log_std, jnp.float32))
    action = np.array([0.9, -0.4])

    def below(a):  # the distribution function of one element
        return np.array(
            [
                0.5 * (1 + math.erf((math.atanh(x) - m) / math.exp(s) / math.sqrt(2)))
                for x, m, s in zip(a, mean, log_std, strict=True)
            ]
        )

    h = 1e-6
    expected = np.sum(np.log((below(action + h) - below(action - h)) / (2 * h)))
    assert float(policy.log_prob(jnp.asarray(action, jnp.float32))) == pytest.approx(expected, abs=1e-4)


def test_the_tanh_gaussian_is_exact_at_the_bounds():
    u = jnp.array([[30.0], [-30.0], [0.0]])
    policy = TanhGaussian(u, jnp.zeros((3, 1)))
    # log(1 - tanh(u)^2) is log 4 - 2 |u| far out; in float32, 1 - tanh(30)^2 itself is zero.
    expected = -0.5 * math.log(2 * math.pi) - np.array([math.log(4) - 60, math.log(4) - 60, 0.0])
    np.testing.assert_allclose(policy.log_prob_unsquashed(u), expected, rtol=1e-6)
    grads = jax.grad(lambda u: policy.log_prob_unsquashed(u).sum())(u)
    np.testing.assert_allclose(grads[:, 0], [2.0, -2.0, 0.0], atol=1e-5)
    assert np.all(np.isfinite(policy.log_prob(jnp.array([[1.0], [-1.0], [1.0]]))))


def test_the_tanh_gaussian_samples_what_it_says():
    policy = TanhGaussian(jnp.full((20_000, 2), 0.5), jnp.full((20_000, 2), -0.7))
    action, log_prob = policy.sample_and_log_prob(jax.random.key(0))
    assert action.shape == (20_000, 2) and log_prob.shape == (20_000,)
    np.testing.assert_allclose(log_prob, policy.log_prob(action), atol=1e-3)
    assert float(jnp.max(jnp.abs(action))) <= 1.0
    assert float(jnp.median(action)) == pytest.approx(math.tanh(0.5), abs=0.01)
    np.testing.assert_array_equal(action, policy.sample(jax.random.key(0)))
    np.testing.assert_allclose(policy.mode(), math.tanh(0.5), rtol=1e-6)
    scalar = TanhGaussian(jnp.zeros((4,)), jnp.zeros((4,)), axes=0)
    assert scalar.log_prob_unsquashed(jnp.zeros((4,))).shape == (4,)


# --- networks ---


@pytest.mark.slow
def test_critics_are_independent_members():
    obs, action = jnp.ones((5, 3)), jnp.ones((5, 2))
    module = critics(BOX, hidden=(8, 8), members=3)
    params = module.init(jax.random.key(0), obs, action)
    q = module.apply(params, obs, action)
    assert q.shape == (3, 5) and len(np.unique(np.asarray(q[:, 0]))) == 3
    one = critics(BOX, hidden=(8, 8), members=1)
    np.testing.assert_allclose(one.apply(jax.tree.map(lambda x: x[1:2], params), obs, action)[0], q[1], rtol=1e-6)
    changed = module.apply(params, obs, -action)
    assert not np.any(np.isclose(q, changed))
    every = critics(THREE, hidden=(8,))
    assert every.apply(every.init(jax.random.key(0), obs), obs).shape == (2, 5, 3)


@pytest.mark.slow
def test_actions_of_any_shape():
    spec = Spec(Box.of(-1.0, 1.0, (3,)), Box.of(-2.0, 3.0, (2, 2)), 4, 1)
    for agent in (sac(**SMALL).bind(spec), td3(**SMALL).bind(spec)):
        state = agent.init(jax.random.key(0), spec)
        _, action, _ = agent.act(state, (), jnp.ones((4, 3)), jnp.zeros((4,), bool), jax.random.key(1))
        assert action.shape == (4, 2, 2)
        assert agent.value(state, (), jnp.ones((4, 3)), jnp.zeros((4,), bool)).shape == (4,)


def test_spaces_that_cannot_be_served():
    unbounded = Spec(BOX.obs_space, Box.of(-np.inf, np.inf, (2,)), 4, 1)
    several = Spec(BOX.obs_space, MultiDiscrete((2, 3)), 4, 1)
    for agent in (sac(), mdpo_off_policy(), td3(), ddpg()):
        for spec in (unbounded, several):
            with pytest.raises(UnsupportedSpace, match=agent.name):
                agent.bind(spec)
    with pytest.raises(UnsupportedSpace):
        td3().bind(THREE)
    sac().bind(THREE)


# --- soft values and policy costs ---


def test_soft_values_of_discrete_actions_are_exact():
    logits, q = np.array([[0.0, 1.0, -2.0], [3.0, 0.0, 0.0]]), np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 0.0]])
    prior = np.array([[0.5, 0.0, 0.0], [0.0, 0.0, 1.0]])
    p, p_k = (np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in (logits, prior))
    choice = choose(Categorical(jnp.asarray(logits)), prior=Categorical(jnp.asarray(prior)))
    np.testing.assert_allclose(soft_value(q, choice, 0.3), (p * (q - 0.3 * np.log(p))).sum(-1), rtol=1e-5)
    mirror = (p * (0.8 * np.log(p) - 0.5 * np.log(p_k) - q)).sum(-1)
    np.testing.assert_allclose(policy_cost(q, choice, 0.3, 0.8), mirror, rtol=1e-5)
    alone = choose(Categorical(jnp.asarray(logits)))
    np.testing.assert_allclose(policy_cost(q, alone, 0.3), (p * (0.3 * np.log(p) - q)).sum(-1), rtol=1e-5)


def test_the_smallest_of_an_ensemble_has_no_division_in_its_gradient():
    q = jnp.array([[1.0, 2.0, 3.0], [0.5, 2.0, 4.0], [2.0, 3.0, 5.0]])
    np.testing.assert_array_equal(smallest(q), [0.5, 2.0, 3.0])
    grads = jax.grad(lambda q: smallest(q).sum())
    np.testing.assert_array_equal(grads(q), [[0, 1, 1], [1, 0, 0], [0, 0, 0]])
    program = jax.make_jaxpr(grads)(q)
    assert not places(program, "div") and not places(program, "eq")


def test_the_best_policy_of_the_cost_is_the_softmax():
    """The minimum of ``E[kappa log pi - (kappa - alpha) log pi_k - Q]`` is ``pi_k^(1 - alpha / kappa) exp(Q / kappa)``."""
    q, prior = jnp.array([[1.0, 2.0, 3.0]]), jnp.array([[0.5, 0.0, -1.0]])
    alpha, kappa = 0.3, 0.8
    best = (kappa - alpha) / kappa * jax.nn.log_softmax(prior) + q / kappa

    def cost(logits):
        return policy_cost(q, choose(Categorical(logits), prior=Categorical(prior)), alpha, kappa)[0]

    np.testing.assert_allclose(jax.grad(cost)(best), 0.0, atol=1e-6)
    assert float(cost(best)) < float(cost(best + jnp.array([[0.1, 0.0, 0.0]])))


# --- learning: targets, losses, weights ---


@pytest.mark.parametrize("spec", [BOX, THREE], ids=["box", "discrete"])
def test_sac_learns_from_the_soft_target(spec):
    agent, state = begun(sac(**SMALL, temperature=0.4), spec)
    sample = batch(spec)
    rollout, discrete = flat(sample), spec is THREE
    after, metrics, priorities = learn(agent, state, sample)
    policy = agent.actor.apply(state.params["actor"], rollout.next_obs)
    if discrete:
        log_p = np.asarray(jax.nn.log_softmax(policy.logits))
        next_q = np.asarray(agent.critics.apply(state.target, rollout.next_obs)).min(0)
        next_value = (np.exp(log_p) * (next_q - 0.4 * log_p)).sum(-1)
        q = np.asarray(agent.critics.apply(state.params["critics"], rollout.obs))[:, np.arange(B), rollout.action]
    else:
        noise = jax.random.normal(jax.random.key(0), (2, B, 2))
        u = policy.mean + jnp.exp(policy.log_std) * noise[0]
        next_q = np.asarray(agent.critics.apply(state.target, rollout.next_obs, jnp.tanh(u))).min(0)
        next_value = next_q - 0.4 * np.asarray(policy.log_prob_unsquashed(u))
        q = np.asarray(agent.critics.apply(state.params["critics"], rollout.obs, rollout.action))
    error = q - by_hand(rollout, next_value)
    np.testing.assert_allclose(priorities, np.abs(error).mean(0), rtol=1e-4)
    assert float(metrics["loss/critic"]) == pytest.approx(0.5 * (error**2).sum(0).mean(), rel=1e-4)
    assert float(metrics["value/mean"]) == pytest.approx(q.mean(), rel=1e-4)
    assert not leaves_equal(after.params["actor"], state.params["actor"])


@pytest.mark.slow
@pytest.mark.parametrize("make_agent", [lambda: td3(**SMALL), lambda: ddpg(**SMALL)], ids=["td3", "ddpg"])
def test_td3_and_ddpg_learn_from_their_targets(make_agent):
    agent, state = begun(make_agent())
    state = state.replace(target=jax.tree.map(lambda x: x + 0.2, state.target))
    sample = batch()
    rollout = flat(sample)
    _, metrics, priorities = learn(agent, state, sample)
    action = np.asarray(agent.actor.apply(state.target["actor"], rollout.next_obs))
    if agent.name == "TD3":
        noise = np.clip(0.2 * np.asarray(jax.random.normal(jax.random.key(0), action.shape)), -0.5, 0.5)
        action = np.clip(action + noise, -1.0, 1.0)
    next_q = np.asarray(agent.critics.apply(state.target["critics"], rollout.next_obs, action))
    assert next_q.shape[0] == (2 if agent.name == "TD3" else 1)
    q = np.asarray(agent.critics.apply(state.params["critics"], rollout.obs, rollout.action))
    error = q - by_hand(rollout, next_q.min(0))
    np.testing.assert_allclose(priorities, np.abs(error).mean(0), rtol=1e-4)
    assert float(metrics["loss/critic"]) == pytest.approx(0.5 * (error**2).sum(0).mean(), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("make_agent", [lambda: sac(**SMALL), lambda: td3(**SMALL)], ids=["sac", "td3"])
def test_weights_multiply_the_squared_errors(make_agent):
    agent, state = begun(make_agent())
    plain = learn(agent, state, batch())
    ones = learn(agent, state, batch(weights=jnp.ones((B,))))
    assert leaves_equal(plain, ones)
    weights = jnp.arange(B, dtype=jnp.float32)
    _, metrics, priorities = learn(agent, state, batch(weights=weights))
    np.testing.assert_allclose(priorities, plain[2])
    target = jnp.zeros((B,))
    loss, q = agent.critic_loss(state.params["critics"], flat(batch()), target, weights)
    assert float(loss) == pytest.approx(float(0.5 * jnp.mean(jnp.sum(weights * q**2, axis=0))), rel=1e-5)
    assert float(metrics["loss/critic"]) != pytest.approx(float(plain[1]["loss/critic"]))


def test_the_policy_learns_from_the_new_critics():
    agent, state = begun(sac(**SMALL, temperature=0.4, learning_rate=0.1))
    sample = batch()
    after, metrics, _ = learn(agent, state, sample)
    noise = jax.random.normal(jax.random.key(0), (2, B, 2))[1]
    new = state.replace(params={**state.params, "critics": after.params["critics"]})
    loss, entropy = agent.actor_loss(state.params["actor"], new, sample.batch.obs[0], noise, 0.4)
    assert float(metrics["loss/actor"]) == pytest.approx(float(loss), rel=1e-4)
    assert float(metrics["policy/entropy"]) == pytest.approx(float(entropy), rel=1e-4)
    old, _ = agent.actor_loss(state.params["actor"], state, sample.batch.obs[0], noise, 0.4)
    assert float(old) != pytest.approx(float(loss), rel=1e-3)


def test_trajectories_are_refused():
    agent, state = begun(sac(**SMALL))
    sample = batch()
    longer = Sample(jax.tree.map(lambda x: jnp.concatenate([x, x]), sample.batch), None, None)
    with pytest.raises(RLJaxError, match="n_step"):
        agent.learn(state, longer, context())


# --- the temperature ---


@pytest.mark.parametrize("spec", [BOX, THREE], ids=["box", "discrete"])
@pytest.mark.parametrize("goal", [-50.0, 50.0])
def test_the_temperature_moves_towards_its_entropy(spec, goal):
    agent, state = begun(sac(**SMALL, target_entropy=goal, initial_temperature=0.5, learning_rate=0.01), spec)
    before = float(jnp.exp(state.params["log_alpha"]))
    after, metrics, _ = learn(agent, state, batch(spec))
    assert float(metrics["temperature"]) == pytest.approx(before)
    # Too much entropy: less reward for it. Adam's first step is the learning rate, in units of log alpha.
    expected = before * math.exp(-0.01 if goal < 0 else 0.01)
    assert float(jnp.exp(after.params["log_alpha"])) == pytest.approx(expected, rel=1e-4)


def test_entropies_to_aim_at_and_a_fixed_temperature():
    assert sac(**SMALL).bind(BOX).entropy_goal == -2.0
    assert sac(**SMALL).bind(THREE).entropy_goal == pytest.approx(0.5 * math.log(3))
    assert sac(**SMALL, target_entropy=0.3).bind(THREE).entropy_goal == 0.3
    state = sac(**SMALL, initial_temperature=0.25).bind(BOX).init(jax.random.key(0), BOX)
    assert float(jnp.exp(state.params["log_alpha"])) == pytest.approx(0.25)
    fixed, state = begun(sac(**SMALL, temperature=0.25))
    assert "log_alpha" not in state.params
    assert float(learn(fixed, state, batch(), 2)[1]["temperature"]) == 0.25


# --- slow copies, delay, reference ---


def test_sac_critics_are_followed_by_a_share_tau():
    agent, state = begun(sac(**SMALL, tau=0.1, learning_rate=0.01))
    after, _, _ = learn(agent, state, batch())
    expected = jax.tree.map(lambda slow, fast: 0.9 * slow + 0.1 * fast, state.target, after.params["critics"])
    for got, want in zip(jax.tree.leaves(after.target), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_td3_policy_and_slow_copies_wait():
    agent, state = begun(td3(**SMALL, tau=0.1, learning_rate=0.01, policy_delay=3))
    sample = batch()
    states = [state]
    for _ in range(6):
        states.append(learn(agent, states[-1], sample)[0])
    for i, (old, new) in enumerate(itertools.pairwise(states), start=1):
        due = i % 3 == 0
        assert int(new.count) == i
        assert not leaves_equal(old.params["critics"], new.params["critics"])
        assert leaves_equal(old.params["actor"], new.params["actor"]) != due
        assert leaves_equal(old.actor_opt, new.actor_opt) != due
        if due:
            expected = jax.tree.map(lambda slow, fast: 0.9 * slow + 0.1 * fast, old.target, new.params)
            for got, want in zip(jax.tree.leaves(new.target), jax.tree.leaves(expected), strict=True):
                np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
        else:
            assert leaves_equal(old.target, new.target)


def test_td3_policy_climbs_the_first_critic():
    agent, state = begun(td3(**SMALL, policy_delay=1, actor_learning_rate=1e-3))
    sample = batch()
    after, metrics, _ = learn(agent, state, sample)
    obs = sample.batch.obs[0]

    def first(actor):
        return agent.critics.apply(after.params["critics"], obs, agent.actor.apply(actor, obs))[0].mean()

    assert float(metrics["loss/actor"]) == pytest.approx(-float(first(state.params["actor"])), rel=1e-5)
    assert float(first(after.params["actor"])) > float(first(state.params["actor"]))


def test_td3_waiting_is_skipped_under_vmap():
    """The policy's half of the program stands in a branch, and stays in it when runs are vmapped."""
    agent = td3(**SMALL).bind(BOX)
    sample = batch()

    def program(key):
        return agent.learn(agent.init(key, BOX), sample, context())[0]

    keys = jax.random.split(jax.random.key(0), 3)
    with unchecked():
        jaxpr = jax.make_jaxpr(jax.vmap(program))(keys)
    assert any(places(jaxpr, "dot_general")) and any(places(jaxpr, "tanh"))


def test_td3_target_noise_is_clipped():
    agent, state = begun(td3(**SMALL, target_noise=100.0, target_noise_clip=0.3))
    obs = batch().batch.next_obs[0]
    action = np.asarray(agent.actor.apply(state.params["actor"], obs))
    noisy = np.asarray(agent.smoothed(state.params, obs, jax.random.key(3)))
    below, above = np.clip(action - 0.3, -1, 1), np.clip(action + 0.3, -1, 1)
    assert np.all(np.isclose(noisy, below, atol=1e-6) | np.isclose(noisy, above, atol=1e-6))
    assert np.abs(noisy).max() <= 1.0


@pytest.mark.slow
def test_mdpo_reference_is_refreshed():
    agent, state = begun(mdpo_off_policy(**SMALL, refresh_period=3, learning_rate=0.01))
    sample = batch()
    for i in range(1, 7):
        after, _, _ = learn(agent, state, sample)
        assert leaves_equal(after.reference, after.params["actor"] if i % 3 == 0 else state.reference)
        state = after


@pytest.mark.slow
@pytest.mark.parametrize("spec", [BOX, THREE], ids=["box", "discrete"])
def test_mdpo_at_kappa_lambda_is_sac(spec):
    soft, state = begun(sac(**SMALL, temperature=0.4), spec)
    mirror, other = begun(mdpo_off_policy(**SMALL, temperature=0.4, kappa=0.4), spec)
    assert leaves_equal(state.params, other.params)
    assert not leaves_equal(other.reference, other.params["actor"])
    a, b = learn(soft, state, batch(spec), 3)[0], learn(mirror, other, batch(spec), 3)[0]
    for x, y in zip(jax.tree.leaves(a.params), jax.tree.leaves(b.params), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)
    held = learn(*begun(mdpo_off_policy(**SMALL, temperature=0.4, kappa=4.0), spec), batch(spec), 3)[0]
    assert not leaves_equal(held.params["actor"], b.params["actor"])


# --- acting ---


@pytest.mark.parametrize("make_agent", [lambda: sac(**SMALL), lambda: td3(**SMALL)], ids=["sac", "td3"])
def test_acting_is_random_at_first(make_agent):
    agent, state = begun(make_agent())
    assert not bool(agent.prepare(state, context().replace(steps=jnp.float32(1000.0))).random)
    warm = agent.prepare(state, context().replace(steps=jnp.float32(999.0)))
    assert bool(warm.random)
    obs, first = jnp.zeros((20_000, 3)), jnp.zeros((20_000,), bool)
    _, action, extras = agent.act(warm, (), obs, first, jax.random.key(0))
    counts, _ = np.histogram(np.asarray(action), bins=10, range=(-1, 1))
    assert counts.sum() == 40_000 and np.all(np.abs(counts - 4000) < 300)
    if extras:
        np.testing.assert_allclose(extras["log_prob"], 2 * math.log(0.5), rtol=1e-6)
    greedy = agent.act(warm, (), obs, first, jax.random.key(1), True)[1]
    assert np.all(np.asarray(greedy) == np.asarray(greedy[0]))
    _, acted, extras = agent.act(state, (), obs, first, jax.random.key(2))
    assert np.abs(acted).max() <= 1.0 and np.std(np.asarray(acted)[:, 0]) > 0.05
    if extras:
        policy = agent.actor.apply(state.params["actor"], obs)
        np.testing.assert_allclose(extras["log_prob"], policy.log_prob(acted), atol=0.02)


def test_td3_explores_with_its_noise():
    agent, state = begun(td3(**SMALL, exploration_noise=0.05))
    agent = agent.replace(random_steps=0.0)
    assert not bool(agent.prepare(state, context()).random)
    obs, first = jnp.zeros((20_000, 3)), jnp.zeros((20_000,), bool)
    state = state.replace(params=jax.tree.map(lambda x: 0.1 * x, state.params))
    off = agent.act(state, (), obs, first, jax.random.key(0))[1] - agent.act(state, (), obs, first, jax.random.key(1), True)[1]
    assert float(jnp.std(off)) == pytest.approx(0.05, rel=0.02)
    assert float(jnp.mean(off)) == pytest.approx(0.0, abs=2e-3)


def test_discrete_acting_is_random_at_first():
    agent, state = begun(sac(**SMALL), THREE)
    state = state.replace(params=jax.tree.map(lambda x: 3.0 * x, state.params))
    obs, first = jnp.ones((9_000, 3)), jnp.zeros((9_000,), bool)
    _, action, extras = agent.act(state.replace(random=jnp.array(True)), (), obs, first, jax.random.key(0))
    assert np.all(np.abs(np.bincount(np.asarray(action)) - 3000) < 200)
    np.testing.assert_allclose(extras["log_prob"], -math.log(3), rtol=1e-5)
    policy = agent.actor.apply(state.params["actor"], obs)
    _, action, extras = agent.act(state, (), obs, first, jax.random.key(1))
    np.testing.assert_allclose(extras["log_prob"], policy.log_prob(action), rtol=1e-5)
    np.testing.assert_allclose(
        np.bincount(np.asarray(action), minlength=3) / 9_000, jax.nn.softmax(policy.logits[0]), atol=0.02
    )
    greedy = agent.act(state, (), obs, first, jax.random.key(2), True)[1]
    assert np.all(np.asarray(greedy) == np.asarray(jnp.argmax(policy.logits[0])))


def test_values_are_of_the_mode_or_exact():
    obs, first = batch().batch.obs[0], jnp.zeros((B,), bool)
    agent, state = begun(sac(**SMALL, temperature=0.4))
    policy = agent.actor.apply(state.params["actor"], obs)
    q = agent.critics.apply(state.params["critics"], obs, policy.mode()).min(0)
    np.testing.assert_allclose(agent.value(state, (), obs, first), q - 0.4 * policy.log_prob(policy.mode()), rtol=1e-3)
    agent, state = begun(sac(**SMALL, temperature=0.4), THREE)
    p = np.asarray(jax.nn.softmax(agent.actor.apply(state.params["actor"], obs).logits))
    q = np.asarray(agent.critics.apply(state.params["critics"], obs)).min(0)
    np.testing.assert_allclose(agent.value(state, (), obs, first), (p * (q - 0.4 * np.log(p))).sum(-1), rtol=1e-4)
    agent, state = begun(td3(**SMALL))
    action = agent.actor.apply(state.params["actor"], obs)
    expected = agent.critics.apply(state.params["critics"], obs, action).min(0)
    np.testing.assert_allclose(agent.value(state, (), obs, first), expected, rtol=1e-5)


# --- whole runs ---

TINY = dict(
    num_envs=2, rollout_length=2, buffer_size=200, batch_size=8, learning_starts=8, random_steps=8, hidden=(8,), n_step=2
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "config", [MDPOOffPolicyConfig, TD3Config], ids=lambda c: c.__name__
)  # SAC's and DDPG's are parts of these
def test_runs_and_their_numbers_can_be_vmapped(config):
    """Two seeds with two learning rates each, at once: as good as alone."""
    env = make("Pendulum-v1")
    trainers = [config(**TINY, learning_rate=rate, gamma=0.9).trainer(env) for rate in (1e-3, 1e-2)]
    stacked = jax.tree.map(lambda *x: jnp.stack([jnp.asarray(leaf) for leaf in x]), *trainers)
    keys = jax.random.split(jax.random.key(0), 2)

    def run(trainer, key):
        return trainer.advance(trainer.init(key, 40), 10)

    with unchecked():
        state, metrics = jax.jit(jax.vmap(jax.vmap(run, in_axes=(None, 0)), in_axes=(0, None)))(stacked, keys)
        alone, _ = jax.jit(run)(trainers[1], keys[1])
    assert np.all(np.asarray(metrics["nonfinite_update"]) == -1)
    assert {"loss/critic", "loss/actor", "value/mean"} <= set(metrics)
    # Learning starts after 8 of 40 steps, one step each.
    assert np.all(np.asarray(state.agent.count) == 32)
    for many, one in zip(jax.tree.leaves(state.agent.params), jax.tree.leaves(alone.agent.params), strict=True):
        np.testing.assert_allclose(many[1, 1], one, rtol=1e-3, atol=1e-4)
        assert not np.array_equal(many[0, 0], many[1, 0])


@pytest.mark.slow
def test_discrete_sac_runs():
    trainer = SACConfig(**TINY).trainer(make("CartPole-v1"))
    state, metrics = jax.jit(lambda key: trainer.advance(trainer.init(key, 40), 10))(jax.random.key(0))
    assert int(metrics["nonfinite_update"]) == -1 and int(state.agent.count) == 32


@pytest.mark.parametrize(
    ("config", "numbers", "option"),
    [
        (SACConfig, dict(learning_rate=-1.0), "--learning-rate"),
        (SACConfig, dict(initial_temperature=0.0), "--initial-temperature"),
        (SACConfig, dict(temperature=-0.1), "--temperature"),
        (SACConfig, dict(target_entropy=math.nan), "--target-entropy"),
        (SACConfig, dict(tau=1.5), "--tau"),
        (SACConfig, dict(updates_per_step=0), "--updates-per-step"),
        (MDPOOffPolicyConfig, dict(kappa=-1.0), "--kappa"),
        (MDPOOffPolicyConfig, dict(refresh_period=0), "--refresh-period"),
        (TD3Config, dict(policy_delay=0), "--policy-delay"),
        (TD3Config, dict(target_noise_clip=-1.0), "--target-noise-clip"),
        (TD3Config, dict(n_step=0), "--n-step"),
        (DDPGConfig, dict(exploration_noise=-0.1), "--exploration-noise"),
        (DDPGConfig, dict(actor_learning_rate=0.0), "--actor-learning-rate"),
        (DDPGConfig, dict(hidden=()), "--hidden"),
    ],
)
def test_numbers_that_cannot_be(config, numbers, option):
    with pytest.raises(RLJaxError, match=option):
        config(**numbers).trainer(make("Pendulum-v1"))
