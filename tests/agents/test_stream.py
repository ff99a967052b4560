"""Streaming agents: the bounded step, traces, sparse weights and running statistics, each against arithmetic by hand or in NumPy."""

import dataclasses
import math
from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree
from toy import Clock, context, leaves_equal, rollout_of, unchecked

import rl_jax as rl
from rl_jax.agents import StreamTD, stream_ac, stream_q
from rl_jax.agents.configs import CONFIGS
from rl_jax.agents.streaming.update import TraceStep
from rl_jax.errors import RLJaxError, UnsupportedSpace
from rl_jax.experience import chain, normalize_obs_online, normalize_reward_online
from rl_jax.loop import Trainer, evaluate
from rl_jax.networks import QOutputs, sparse
from rl_jax.networks.streaming import StreamQNetwork, stream_body, stream_value
from rl_jax.ops import obgd
from rl_jax.spaces import Box, Discrete, MultiDiscrete
from rl_jax.types import Sample, Spec

LINE = Spec(Box.of(-1.0, 1.0, (3,)), Discrete(2), 1, 1)


# The bounded step.


def test_obgd_by_hand():
    """``||z||_1 = 4`` over both leaves; with ``alpha = 1, kappa = 2``, ``M = 8`` at ``|delta| <= 1`` and 24 at ``delta = -3``."""
    params, trace = (
        {"a": jnp.array([1.0, 2.0]), "b": jnp.array([[0.0]])},
        {"a": jnp.array([1.0, -2.0]), "b": jnp.array([[1.0]])},
    )
    after, size = obgd(params, trace, jnp.float32(0.5), 1.0, 2.0)
    assert float(size) == 1 / 8
    np.testing.assert_allclose(after["a"], [1 + 1 / 16, 2 - 2 / 16])
    np.testing.assert_allclose(after["b"], [[1 / 16]])
    after, size = obgd(params, trace, jnp.float32(-3.0), 1.0, 2.0)
    np.testing.assert_allclose(size, 1 / 24)
    np.testing.assert_allclose(after["a"], [1 - 3 / 24, 2 + 6 / 24])
    # M = 0.8: the step size as it was asked for.
    assert float(obgd(params, trace, jnp.float32(0.5), 0.1, 2.0)[1]) == np.float32(0.1)


numbers = st.floats(-1.0, 1.0, width=32)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=1, max_size=6),
    st.floats(-100.0, 100.0, width=32),
    st.floats(0.0, 1.0),
    st.floats(0.01, 10.0),
    st.floats(2.0, 5.0),
)
def test_a_bounded_step_never_overshoots_a_linear_value(rows, reward, gamma, learning_rate, kappa):
    """With features in ``[-1, 1]`` the TD error keeps its sign, whatever the trace; an unbounded step may turn it."""
    w, x, following, z = (np.array(column, np.float64) for column in zip(*rows, strict=True))

    def error(w):
        return reward + gamma * w @ following - w @ x

    delta = error(w)
    after, size = obgd(jnp.asarray(w, jnp.float32), jnp.asarray(10 * z, jnp.float32), jnp.float32(delta), learning_rate, kappa)
    assert 0 < size <= np.float32(learning_rate)
    moved = float(jnp.sum(jnp.abs(after - jnp.asarray(w, jnp.float32))))
    assert moved <= 1 / kappa + 1e-5
    assert error(np.asarray(after, np.float64)) * np.sign(delta) >= -1e-4 * max(1.0, abs(delta))


def test_an_unbounded_step_overshoots():
    """The property above is the bound's doing: the same step with a fixed size turns the error's sign."""
    w, x = jnp.zeros(3), jnp.ones(3)
    delta = jnp.float32(2.0)  # reward 2, terminal
    bounded, _ = obgd(w, x, delta, 1.0, 2.0)
    fixed, _, _ = TraceStep(1.0, 2.0, "sgd").step(w, TraceStep(1.0, 2.0, "sgd").init(w), x, delta, 0.0, jnp.bool_(False))
    assert 0 < 2.0 - bounded @ x < 2.0
    assert 2.0 - fixed @ x == -4.0


def test_steps_that_are_not_bounded():
    """SGD is the bounded step with ``kappa = 0``; Adam's first step is of the learning rate, along the sign of ``delta z``."""
    params, grads = {"w": jnp.array([1.0, -1.0])}, {"w": jnp.array([4.0, -0.5])}
    fixed = {}
    for rule, kappa in (("sgd", 2.0), ("obgd", 0.0), ("adam", 2.0)):
        step = TraceStep(0.1, kappa, rule)
        fixed[rule] = step.step(params, step.init(params), grads, jnp.float32(-2.0), 0.5, jnp.bool_(False))[0]["w"]
    np.testing.assert_allclose(fixed["sgd"], [1 - 0.8, -1 + 0.1], rtol=1e-6)
    np.testing.assert_array_equal(fixed["sgd"], fixed["obgd"])
    np.testing.assert_allclose(fixed["adam"], [0.9, -0.9], rtol=1e-5)


# Networks.


@pytest.mark.parametrize(("rows", "zeros"), [(10, 9), (20, 18), (11, 10), (128, 116), (30, 27), (4, 3), (1, 0)])
def test_sparse_weights(rows, zeros):
    """Exactly ``ceil(0.9 rows)`` zeros in each column but for one weight at least; the others are uniform, places random."""
    weights = np.asarray(sparse(0.9)(jax.random.key(0), (rows, 400)))
    np.testing.assert_array_equal(np.sum(weights == 0, axis=0), zeros)
    kept = weights[weights != 0] * math.sqrt(rows)
    assert np.abs(kept).max() <= 1 and abs(kept.mean()) < 0.1 and abs(np.abs(kept).mean() - 0.5) < 0.1
    where = np.mean(weights != 0, axis=1)
    np.testing.assert_allclose(where, (rows - zeros) / rows, atol=0.12)


def test_sparse_weights_as_in_the_published_code():
    """Without the least number, units of few inputs have none; without sparsity, all."""
    assert np.all(np.asarray(sparse(0.9, fewest=0)(jax.random.key(0), (4, 8))) == 0)
    assert np.all(np.asarray(sparse(0.0)(jax.random.key(0), (4, 8))) != 0)


@pytest.mark.slow
def test_network_layers():
    """``leaky(norm(x W))`` twice and a last product, in NumPy; the norm has no parameters; images are normalised as a whole."""
    net = stream_value(LINE, hidden=(8, 6))
    params = net.init(jax.random.key(1), jnp.zeros((1, 3)))
    shapes = sorted(leaf.shape for leaf in jax.tree.leaves(params))
    assert shapes == sorted([(3, 8), (8,), (8, 6), (6,), (6, 1), (1,)])
    layers = params["params"]["body"]
    x = obs = np.array([[0.3, -1.0, 0.7]])
    for name in ("Dense_0", "Dense_1"):
        x = x @ layers[name]["kernel"] + layers[name]["bias"]
        x = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
        x = np.where(x > 0, x, 0.01 * x)
    np.testing.assert_allclose(
        net.apply(params, jnp.asarray(obs, jnp.float32)), (x @ layers["Dense_2"]["kernel"])[:, 0], atol=1e-5
    )
    image = stream_body(replace(LINE, obs_space=Box.of(0.0, 1.0, (10, 10, 4))))
    sizes = jax.eval_shape(lambda key: image.init(key, jnp.zeros((1, 10, 10, 4)), 2), jax.random.key(0))["params"]
    assert sizes["Conv_0"]["Dense_0"]["kernel"].shape == (36, 16)
    assert sizes["Dense_0"]["kernel"].shape == (1024, 128)


# Traces, against brute force.


def trace(grads, starts, decay):
    """``z_t``, the sum over the steps ``k`` since the last start of ``decay^(t - k) grads_k``."""
    t = len(grads) - 1
    begin = max(k for k in range(t + 1) if starts[k])
    return sum(decay ** (t - k) * grads[k] for k in range(begin, t + 1))


def bounded(w, z, delta, kappa):
    """The bounded step with ``alpha = 1``."""
    return w + delta * z / max(1.0, kappa * max(abs(delta), 1.0) * np.abs(z).sum())


def one(obs, next_obs, action=0, reward=0.0, terminated=False, truncated=False):
    """A step as the loop collects it."""
    row = rollout_of([[reward]], [[terminated]], [[truncated]], jnp.asarray(obs)[None, None], jnp.asarray(next_obs)[None, None])
    return Sample(row.replace(action=jnp.asarray(action)[None, None]), None, None)


class LinearQ(StreamQNetwork):
    """A Q-network without hidden layers and biases."""

    @nn.compact
    def __call__(self, carry, obs, first):
        q = obs @ self.param("w", nn.initializers.normal(0.3), (3, self.actions), jnp.float32)
        return carry, QOutputs(q[..., None], q)


EPISODES = [  # terminated, truncated
    (False, False), (False, False), (False, True), (False, False), (True, False), (False, False), (False, False),
]  # fmt: skip


def test_q_traces_against_brute_force():
    """Seven steps: the trace is cut after the truncation, the termination and each action that was not greedy, and nowhere else."""
    rng = np.random.default_rng(0)
    network = LinearQ(stream_body(LINE), 2)
    agent = stream_q(network, gamma=0.9, td_lambda=0.7, kappa=2.0, overshoot=True).bind(LINE)
    state = agent.init(jax.random.key(0), LINE)
    w = np.asarray(state.params["params"]["w"], np.float64)
    grads, starts, cuts, start = [], [], 0, True
    learn = jax.jit(agent.learn)
    for i, (terminated, truncated) in enumerate(EPISODES):
        x, after, reward = rng.normal(size=3), rng.normal(size=3), rng.normal()
        best = int(np.argmax(x @ w))
        action = best if i not in (1, 5) else 1 - best  # explore twice
        delta = reward + 0.9 * (not terminated) * np.max(after @ w) - (x @ w)[action]
        grads.append(np.outer(x, np.eye(2)[action]))
        starts.append(start)
        z = trace(grads, starts, 0.9 * 0.7)
        moved = bounded(w, z, delta, 2.0)
        x32, after32 = jnp.asarray(x, jnp.float32), jnp.asarray(after, jnp.float32)
        state, metrics, _ = learn(state, one(x32, after32, action, reward, terminated, truncated), context(agent, state))
        np.testing.assert_allclose(state.params["params"]["w"], moved, atol=1e-5)
        np.testing.assert_allclose(metrics["value/td_error"], abs(delta), atol=1e-5)
        again = reward + 0.9 * (not terminated) * np.max(after @ moved) - (x @ moved)[action]
        assert bool(metrics["stream/overshoot"]) == (again * delta < 0)
        w, start = moved, terminated or truncated or action != best
        assert float(state.traced.keep) == (not start)
        cuts += start
    assert cuts == 4


@pytest.mark.slow
def test_td_traces_against_brute_force():
    """The same without actions: cut at both kinds of end; a truncated step bootstraps, a terminated one does not."""
    rng = np.random.default_rng(1)
    agent = StreamTD(gamma=0.8, lam=0.5, kappa=3.0, network=lambda spec: stream_value(spec, hidden=(4,))).bind(LINE)
    state = agent.init(jax.random.key(0), LINE)
    grads, starts, start = [], [], True
    for terminated, truncated in EPISODES:
        x, after = jnp.asarray(rng.normal(size=(2, 3)), jnp.float32)
        reward = float(rng.normal())
        w, flat = ravel_pytree(state.params)

        def value(w, obs, flat=flat):
            return agent.network.apply(flat(w), obs[None])[0]

        now, grad = jax.value_and_grad(value)(w, x)
        delta = float(reward + 0.8 * (not terminated) * value(w, after) - now)
        grads.append(np.asarray(grad, np.float64))
        starts.append(start)
        moved = bounded(np.asarray(w), trace(grads, starts, 0.4), delta, 3.0)
        state, _, _ = agent.learn(state, one(x, after, 0, reward, terminated, truncated), context(agent, state))
        np.testing.assert_allclose(ravel_pytree(state.params)[0], moved, atol=1e-5)
        start = terminated or truncated


@pytest.mark.slow
@pytest.mark.parametrize("space", [Discrete(3), MultiDiscrete((2, 3)), Box.of(-2.0, 3.0, (2,))], ids=["one", "many", "box"])
def test_actor_traces_against_brute_force(space):
    """The actor's trace sums ``grad(log pi + tau sign(delta) H)``; both networks take the TD error from before the update."""
    rng = np.random.default_rng(2)
    spec = replace(LINE, action_space=space)
    agent = CONFIGS["stream-ac"](hidden=(5,), gamma=0.9, td_lambda=0.6, entropy_weight=0.3).agent().bind(spec)
    state = agent.init(jax.random.key(0), spec)
    learn = jax.jit(agent.learn)
    grads, starts, start = [], [], True
    for i, (terminated, truncated) in enumerate(EPISODES):
        x, after = jnp.asarray(rng.normal(size=(2, 3)), jnp.float32)
        reward = float(rng.normal())
        action = agent.act(state, (), x[None], jnp.ones(1, bool), jax.random.key(i))[1]
        value, following = agent.value(state, (), jnp.stack([x, after]), jnp.ones(2, bool))
        delta = float(reward + 0.9 * (not terminated) * following - value)
        w, flat = ravel_pytree(state.params["actor"])

        def preference(w, x=x, action=action, delta=delta, flat=flat):
            policy = agent.actor.apply(flat(w), x[None])
            return (policy.log_prob(action) + 0.3 * np.sign(delta) * policy.entropy())[0]

        grads.append(np.asarray(jax.grad(preference)(w), np.float64))
        starts.append(start)
        moved = bounded(np.asarray(w), trace(grads, starts, 0.54), delta, 3.0)
        state, metrics, _ = learn(state, one(x, after, action[0], reward, terminated, truncated), context(agent, state))
        np.testing.assert_allclose(ravel_pytree(state.params["actor"])[0], moved, atol=2e-5)
        np.testing.assert_allclose(metrics["value/td_error"], abs(delta), atol=1e-5)
        start = terminated or truncated


def test_an_action_of_the_largest_value_is_greedy():
    """Where all values are equal no action explores, so the trace goes on."""
    agent = stream_q(LinearQ(stream_body(LINE), 2)).bind(LINE)
    state = agent.init(jax.random.key(0), LINE)
    state = state.replace(params=jax.tree.map(jnp.zeros_like, state.params))
    for action in (0, 1):
        after, _, _ = agent.learn(state, one(jnp.ones(3), jnp.ones(3), action, 1.0), context(agent, state))
        assert float(after.traced.keep) == 1.0


# Running statistics.


@pytest.mark.slow
def test_statistics_of_observations_count_before_they_are_shown():
    """Against NumPy's mean and sample deviation of everything seen so far, ends and starts of episodes included."""
    stats, length = normalize_obs_online(), 12
    trainer = Trainer.create(env=Clock(5), agent=stream_q(), experience=stats, num_envs=1, rollout_length=1)
    state = trainer.init(jax.random.key(0), length)
    seen = []

    def shown(x):
        deviation = np.std(seen, axis=0, ddof=1) if len(seen) > 1 else np.ones(2)
        return (x - np.mean(seen, axis=0)) / np.sqrt(deviation**2 + 1e-8)

    def take(x):
        seen.append(np.asarray(x, np.float64))
        return shown(seen[-1])

    collect = jax.jit(trainer.collect)
    told = take(state.collector.boundary.obs[0])
    np.testing.assert_allclose(stats.observe(state.experience, state.collector.boundary.obs)[0], told, atol=1e-4)
    for _ in range(length):
        raw = state.collector.boundary.obs
        after, rollout, _ = collect(state)
        np.testing.assert_allclose(stats.observe(state.experience, raw), rollout.obs[0], atol=1e-5)
        np.testing.assert_allclose(rollout.obs[0, 0], told, atol=1e-3)
        told = take(raw[0] + jnp.array([0.0, 1.0]))  # the clock's true next observation, before any reset
        np.testing.assert_allclose(rollout.next_obs[0, 0], told, atol=1e-3)
        if bool(rollout.done[0, 0]):
            told = take(after.collector.boundary.obs[0])
        np.testing.assert_allclose(rollout.last.obs[0], told, atol=1e-3)
        state = after.replace(updates=after.updates.next())


def test_rewards_are_scaled_by_the_spread_of_returns():
    """``u <- gamma (1 - done) u + r``; divided by the sample deviation of all ``u``, by 1 while there is one."""
    scale, traces, u = normalize_reward_online(0.9), [], 0.0
    state = scale.init(jax.random.key(0), None)
    for i, reward in enumerate([2.0, -1.0, 0.0, 5.0, 1.0, 3.0]):
        done = i == 3
        u = 0.9 * u * (not done) + reward
        traces.append(u)
        state, rollout, _ = scale.update(state, rollout_of([[reward]], [[done]]), None)
        expected = reward / (np.std(traces, ddof=1) if i else 1.0)
        np.testing.assert_allclose(rollout.reward[0, 0], expected, rtol=1e-5)


@pytest.mark.slow
def test_an_evaluation_counts_each_observation_for_itself():
    """Rows do not see one another, and the discrete ones pass."""
    stats = normalize_obs_online()
    state = stats.init(jax.random.key(0), LINE)
    for x in np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32):
        state = rl.experience.scaling.online.push(state, jnp.asarray(x))
    rows = jnp.asarray([[1.0, 2.0, 3.0], [-5.0, 0.0, 5.0]])
    together = stats.observe(state, rows)
    apart = jnp.concatenate([stats.observe(state, row[None]) for row in rows])
    np.testing.assert_allclose(together, apart, rtol=1e-6)
    assert stats.init(jax.random.key(0), replace(LINE, obs_space=Discrete(3))) == ()
    assert int(stats.observe((), jnp.int32(2))) == 2


# Whole agents.


def short(name, **more):
    return CONFIGS[name](hidden=(8,), **more).trainer(Clock(5, "truncated"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stream-q", "stream-ac"])
def test_streams_side_by_side_are_the_streams_alone(name):
    """Stream 3 of a vmapped batch and the stream of its key are one run, up to the order of sums."""
    trainer = short(name)
    keys = jax.random.split(jax.random.key(0), 4)

    def run(key):
        state, metrics = trainer.advance(trainer.init(key, 100), 100)
        return trainer.params(state), metrics

    with unchecked():
        together, all_metrics = jax.jit(jax.vmap(run))(keys)
        alone, metrics = jax.jit(run)(keys[3])
    for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(a[3], b, atol=1e-5)
    np.testing.assert_allclose(all_metrics["episode/return"][3], metrics["episode/return"], rtol=1e-6)
    assert not leaves_equal(jax.tree.map(lambda x: x[0], together), jax.tree.map(lambda x: x[1], together))


@pytest.mark.slow
def test_td_predicts_a_policy_that_does_not_learn():
    """A walk of 5 places, ends at both sides, 1 for the right one: place ``i`` is worth ``(i + 1) / 6`` to a walk at random."""

    @dataclasses.dataclass(frozen=True)
    class Walk:
        name: str = "walk"
        time_limit: int | None = None
        default_params: tuple = ()

        def observation_space(self, params):
            return Box.of(0.0, 1.0, (5,))

        def action_space(self, params):
            return Discrete(2)

        def reset(self, key, params):
            return jnp.int32(2), jax.nn.one_hot(2, 5, dtype=jnp.float32)

        def step(self, key, state, action, params):
            place = state + 2 * action - 1
            over = (place < 0) | (place > 4)
            reward = (place > 4).astype(jnp.float32)
            obs = jax.nn.one_hot(place, 5, dtype=jnp.float32)
            return rl.types.Step(place, obs, reward, over, jnp.zeros((), bool), {})

    agent = StreamTD(gamma=1.0, lam=0.8, kappa=20.0, network=lambda spec: stream_value(spec, hidden=(16,), sparsity=0.5))
    trainer = Trainer.create(env=Walk(), agent=agent, num_envs=1, rollout_length=1)
    with unchecked():
        keys = jax.random.split(jax.random.key(0), 4)
        state = jax.jit(jax.vmap(lambda key: trainer.train(key, 6000, 1)[0]))(keys)
    value = jax.vmap(lambda s: trainer.agent.value(s, (), jnp.eye(5), jnp.ones(5, bool)))(state.agent)
    np.testing.assert_allclose(jnp.mean(value, axis=0), np.arange(1, 6) / 6, atol=0.12)


@pytest.mark.parametrize("agent", [stream_q(), stream_ac(), StreamTD()], ids=lambda agent: agent.name)
@pytest.mark.parametrize("sizes", [(2, 1), (1, 2)])
def test_only_one_step_of_one_environment(agent, sizes):
    """The error says what to do for many streams."""
    with pytest.raises(RLJaxError, match="num_envs=1 and rollout_length=1, and vmap over keys"):
        Trainer.create(env=Clock(), agent=agent, num_envs=sizes[0], rollout_length=sizes[1])


def test_what_streaming_agents_refuse():
    """Replay, memories, continuous actions for Q, unbounded ones without a policy, and numbers that cannot be."""
    agent = stream_q().bind(LINE)
    state = agent.init(jax.random.key(0), LINE)
    with pytest.raises(RLJaxError, match="leave out replay"):
        agent.learn(state, Sample(rollout_of(np.zeros((1, 4)), obs=jnp.zeros((1, 4, 3))), None, None), context(agent, state))
    with pytest.raises(RLJaxError, match="without one"):
        stream_q(lambda spec, atoms: rl.networks.q_network(spec, atoms, memory="gru")).bind(LINE)
    with pytest.raises(UnsupportedSpace):
        stream_q().bind(replace(LINE, action_space=Box.of(-1.0, 1.0, (1,))))
    with pytest.raises(UnsupportedSpace):
        StreamTD().bind(replace(LINE, action_space=Box.of(-np.inf, np.inf, (1,))))
    with pytest.raises(RLJaxError, match="--sparsity"):
        CONFIGS["stream-q"](sparsity=1.5).check()
    with pytest.raises(RLJaxError, match="--actor-kappa"):
        CONFIGS["stream-ac"](actor_kappa=-1.0).check()
    wide = Trainer.create(
        env=Clock(), agent=rl.agents.ppo(), experience=chain(normalize_obs_online(), rl.experience.gae()), num_envs=4
    )
    with pytest.raises(RLJaxError, match=r"rl_jax\.experience\.normalize_obs"):
        jax.eval_shape(wide.train_step, jax.eval_shape(wide.init, jax.random.key(0), 100))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stream-q", "stream-ac"])
@pytest.mark.parametrize("change", [{"step_rule": "adam"}, {"layer_norm": False, "sparsity": 0.0, "normalize_obs": False}])
def test_switches_change_what_is_learned(name, change):
    """Each switch does something, all compile, and an evaluation runs."""
    trainers = short(name), short(name, **change, normalize_reward=False, overshoot=True)
    states = []
    for trainer in trainers:
        state, metrics = jax.jit(trainer.advance, static_argnums=1)(trainer.init(jax.random.key(0), 50), 50)
        assert int(metrics["nonfinite_update"]) == -1
        states.append(state)
        assert ("stream/overshoot" in metrics) == (trainer is trainers[1])
    assert not leaves_equal(*(trainer.params(state) for trainer, state in zip(trainers, states, strict=True)))
    played = evaluate(trainers[1], states[1], jax.random.key(1), num_episodes=4)
    assert bool(played.finished.all())
