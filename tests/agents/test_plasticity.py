"""Plasticity: what of a network is active or dormant, reading it while an agent learns, and the replay ratio that follows it."""

from dataclasses import replace
from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import Clock, context, leaves_equal, rollout_of, unchecked

import rl_jax as rl
from rl_jax.agents.configs import DQNConfig, TD3Config
from rl_jax.agents.monitor_plasticity import MonitorPlasticity, critic_units
from rl_jax.errors import RLJaxError
from rl_jax.ideas.plasticity_representation.adaptive_rr import AdaptiveReplayRatio
from rl_jax.networks import activations, q_network
from rl_jax.ops import active_units, dormant_ratio, dormant_units
from rl_jax.spaces import Box, Discrete
from rl_jax.types import Spec

# ---------------------------------------------------------------------------------------------------- array functions


def test_active_units_by_hand():
    """Three of four in one layer, none of two in another: three of six. A zero is not active."""
    layers = (jnp.array([[1.0, 0.0], [2.0, 1e-3]]), jnp.array([[-1.0], [0.0]]))
    assert float(active_units(layers)) == 0.5
    assert active_units(layers).dtype == jnp.float32


def test_dormant_ratio_by_hand():
    """Mean sizes 4, 0.1, 0 and 3.9: their mean is 2, so the bound is 0.05, and 0.1 lies above it, but not with ``tau = 0.05``."""
    layer = jnp.array([[3.0, 0.1, 0.0, 3.9], [-5.0, -0.1, 0.0, 3.9]])
    assert dormant_units(layer).tolist() == [False, False, True, False]
    assert dormant_units(layer, 0.05001).tolist() == [False, True, True, False]
    np.testing.assert_allclose(dormant_ratio((layer, jnp.ones((2, 1)))), 1 / 5)


def test_a_layer_without_activity_is_dormant():
    assert float(dormant_ratio((jnp.zeros((3, 4)), jnp.ones((3, 4))))) == 0.5


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000), lead=st.sampled_from([(5,), (2, 3), (1, 2, 2, 2)]), tau=st.sampled_from([0.0, 0.025, 0.5, 1.0])
)
def test_against_loops(seed, lead, tau):
    """Unit by unit, in NumPy; leading axes are a batch, whatever their number."""
    rng = np.random.default_rng(seed)
    layers = [np.maximum(rng.normal(size=(*lead, units)) - 1.0, 0).astype(np.float32) for units in (3, 6)]
    active = dormant = 0
    for layer in layers:
        flat = layer.reshape(-1, layer.shape[-1])
        active += int((flat > 0).sum())
        sizes = [np.abs(flat[:, i]).mean() for i in range(flat.shape[1])]
        dormant += sum(size <= np.float32(tau) * np.float32(np.mean(sizes)) * (1 - 1e-7) or size == 0 for size in sizes)
    np.testing.assert_allclose(active_units(layers), active / sum(x.size for x in layers), rtol=1e-6)
    np.testing.assert_allclose(dormant_ratio(layers, tau), dormant / 9, rtol=1e-6)


@pytest.mark.parametrize("measure", [active_units, dormant_ratio])
def test_nothing_to_look_at_is_refused(measure):
    with pytest.raises(RLJaxError, match="names="):
        measure(())


# ------------------------------------------------------------------------------------------- activations of a network


class Normed(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.LayerNorm()(nn.Dense(5)(x)))
        return nn.Dense(2)(nn.silu(nn.Dense(4)(x)))


@pytest.mark.slow
def test_activations_are_those_after_the_function():
    """After the normalisation, which stands between layer and ReLU; each name finds its own; the output is not found."""
    x = jax.random.normal(jax.random.key(0), (3, 7))
    params = Normed().init(jax.random.key(1), x)
    p = jax.tree.map(np.asarray, params["params"])
    h = np.asarray(x) @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"]
    h = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-6)
    h = np.maximum(h * p["LayerNorm_0"]["scale"] + p["LayerNorm_0"]["bias"], 0)
    (relu,) = activations(Normed().apply, params, x)
    np.testing.assert_allclose(relu, h, rtol=1e-4, atol=1e-5)
    z = h @ p["Dense_2"]["kernel"] + p["Dense_2"]["bias"]  # flax names the layers as they are written, the outer one first
    both = activations(Normed().apply, params, x, names=("relu", "silu"))
    np.testing.assert_allclose(both[1], z / (1 + np.exp(-z)), rtol=1e-4, atol=1e-5)
    assert activations(Normed().apply, params, x, names=("tanh",)) == ()


@pytest.mark.slow
def test_activations_under_jit_vmap_and_checkpoint():
    """The same values compiled, for a batch of networks, and behind ``jax.jit`` and ``jax.checkpoint`` within the function."""
    x = jax.random.normal(jax.random.key(0), (3, 7))
    params = jax.vmap(Normed().init, in_axes=(0, None))(jax.random.split(jax.random.key(1), 4), x)
    each = [activations(Normed().apply, jax.tree.map(lambda p: p[i], params), x)[0] for i in range(4)]  # noqa: B023
    for wrap in (jax.jit, jax.checkpoint):
        apply = wrap(Normed().apply)
        (found,) = jax.jit(jax.vmap(lambda p: activations(apply, p, x)))(params)  # noqa: B023
        np.testing.assert_allclose(found, np.stack(each), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("space", "options", "shapes"),
    [
        (Box.of(-1.0, 1.0, (3,)), {"hidden": (5, 6)}, [(2, 4, 5), (2, 4, 6)]),
        (Box.of(-1.0, 1.0, (3,)), {"hidden": (5,), "dueling": True, "normalize": True}, [(2, 4, 5), (2, 4, 5)]),
        (Box.of(0.0, 1.0, (5, 5, 2)), {}, [(2, 4, 3, 3, 16), (2, 4, 128)]),
    ],
)
def test_activations_of_q_networks(space, options, shapes):
    network = q_network(Spec(space, Discrete(3), 4, 2), **options)
    obs, first = jnp.ones((2, 4, *space.shape)), jnp.zeros((2, 4), bool)
    params = network.init(jax.random.key(0), (), obs, first)
    assert [x.shape for x in activations(network.apply, params, (), obs, first)] == shapes


# ---------------------------------------------------------------------------------------------------- a watched agent

DQN = DQNConfig(
    num_envs=3,
    rollout_length=2,
    buffer_size=60,
    batch_size=4,
    hidden=(6, 4),
    activation="relu",
    learning_starts=10,
    updates_per_step=0.5,
)


def watched(config, env, **options):
    trainer = config.trainer(env)
    return trainer.replace(agent=MonitorPlasticity(trainer.agent, **options))


@pytest.mark.slow
def test_watching_changes_nothing():
    """The same parameters after the same run, and readings of the network before the step."""
    plain, seen = DQN.trainer(Clock(5)), watched(DQN, Clock(5))
    key = jax.random.key(0)
    a, _ = jax.jit(plain.train, static_argnums=(1, 2))(key, 120, 3)
    b, rows = jax.jit(seen.train, static_argnums=(1, 2))(key, 120, 3)
    assert leaves_equal(plain.params(a), seen.params(b))
    assert leaves_equal(a.agent, b.agent.agent)
    assert bool(b.agent.read)
    active = np.asarray(rows["plasticity/active"])
    assert ((active > 0) & (active < 1)).all()


@pytest.mark.slow
def test_readings_are_of_the_batch_and_of_the_parameters_before():
    """Against the network applied by hand to the observations that were learned from."""
    trainer = watched(DQN, Clock(5))
    state = jax.jit(trainer.init)(jax.random.key(0), 100)
    for _ in range(4):
        state, _ = jax.jit(trainer.train_step)(state)
    sample = trainer.replay.sample(state.replay, context())
    after, metrics, _ = jax.jit(trainer.agent.learn)(state.agent, sample, context())
    x = np.asarray(sample.batch.obs, np.float32)
    layers = []
    params = state.agent.agent.params["params"]
    for name in ("Dense_0", "Dense_1"):
        x = np.maximum(x @ np.asarray(params[name]["kernel"]) + np.asarray(params[name]["bias"]), 0)
        layers.append(jnp.asarray(x))
    np.testing.assert_allclose(metrics["plasticity/active"], active_units(layers), rtol=1e-6)
    np.testing.assert_allclose(after.dormant, dormant_ratio(layers), rtol=1e-6)


@pytest.mark.slow
def test_critics_are_read_one_by_one():
    """Two critics side by side: a unit is compared with the layer of its own critic."""
    env = Clock(5, act_space=Box.of(-1.0, 1.0, (2,)))
    config = TD3Config(num_envs=2, buffer_size=40, batch_size=4, hidden=(6, 5), learning_starts=4)
    trainer = watched(config, env, units=critic_units)
    state = jax.jit(trainer.init)(jax.random.key(0), 100)
    for _ in range(4):
        state, metrics = jax.jit(trainer.train_step)(state)
    sample = trainer.replay.sample(state.replay, context())
    layers = critic_units(trainer.agent.agent, state.agent.agent, sample)
    assert [x.shape for x in layers] == [(2, 4, 6), (2, 4, 5)]
    params = state.agent.agent.params["critics"]
    one = jax.tree.map(lambda p: p.at[0].multiply(1e-6), params)  # the first critic becomes tiny, not dormant
    shrunk = state.agent.agent.replace(params={**state.agent.agent.params, "critics": one})
    agent = trainer.agent.replace(units=lambda *args: critic_units(*args)[:1])
    learn = jax.jit(agent.learn)
    before, _, _ = learn(state.agent, sample, context())
    after, _, _ = learn(state.agent.replace(agent=shrunk), sample, context())
    np.testing.assert_allclose(after.dormant, before.dormant)
    assert float(before.dormant) < 0.5
    assert np.isfinite(metrics["plasticity/active"])


# ------------------------------------------------------------------------------------------------- the adaptive ratio


def drive(rule, readings, episodes=1, steps=4, envs=1, read=True):
    """Calls in each train step, and the states, for a list of readings; ``episodes`` end in each rollout."""
    state, calls, states = rule.init(jax.random.key(0)), [], []
    terminated = np.zeros((steps, envs), bool).reshape(-1)
    terminated[:episodes] = True
    rollout = rollout_of(np.zeros((steps, envs)), terminated=terminated.reshape(steps, envs))
    count = jax.jit(rule.count)
    for i, reading in enumerate(readings):
        agent_state = {"active": jnp.float32(reading), "read": jnp.asarray(read)}
        now = context().replace(agent_state=Reading(**agent_state), steps=jnp.float32(i * steps * envs))
        state, number = count(state, rollout, now)
        assert number.dtype == jnp.int32
        calls.append(int(number))
        states.append(state)
    return calls, states


class Reading(SimpleNamespace):
    pass


jax.tree_util.register_pytree_node(Reading, lambda r: ((r.active, r.read), None), lambda _, x: Reading(active=x[0], read=x[1]))


def test_the_ratio_rises_when_the_reading_has_settled():
    """Checks after every third episode: means .5 (from .9: no), .3 (no), .3005 (yes, and for good, whatever follows)."""
    rule = AdaptiveReplayRatio(low=0.5, high=2.0, threshold=1e-3, interval=3, window=3)
    readings = [0.9, 0.3, 0.3, 0.2, 0.3, 0.4, 0.3, 0.301, 0.3005, 0.9, 0.1, 0.9, 0.0]
    calls, states = drive(rule, readings)
    assert calls == [2] * 8 + [8] * 5
    assert [bool(s.raised) for s in states] == [False] * 8 + [True] * 5
    assert float(states[7].raised_at) == -1
    assert {float(s.raised_at) for s in states[8:]} == {36.0}


def test_the_first_check_compares_with_the_first_reading():
    """As in the authors' code, where the last average begins as the first FAU."""
    rule = AdaptiveReplayRatio(interval=2, window=1)
    assert drive(rule, [0.4, 0.4])[0] == [2, 8]
    assert drive(rule, [0.4, 0.5])[0] == [2, 2]
    assert drive(rule, [0.5, 0.4, 0.9, 0.4])[0] == [2, 2, 2, 8]  # a window of one: what lies between does not count


def test_nothing_is_checked_before_something_is_read():
    """A state without a reading is not a reading of zero."""
    calls, states = drive(AdaptiveReplayRatio(interval=1), [0.0] * 5, read=False)
    assert calls == [2] * 5
    assert np.isnan(states[-1].last)


def test_checks_by_steps():
    """Intervals of 8 environment steps are two train steps of 2 x 2, whether episodes end or not."""
    rule = AdaptiveReplayRatio(interval=8, window=8, unit="step", low=0.25, high=1.0)
    assert drive(rule, [0.4, 0.3, 0.34, 0.36], episodes=0, steps=2, envs=2)[0] == [1, 1, 1, 4]


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(
    low=st.sampled_from([0.0625, 0.1, 0.25, 1 / 3, 0.5, 1.0, 1.5]),
    envs=st.integers(1, 8),
    steps=st.integers(1, 4),
    start=st.integers(0, 40),
)
def test_calls_add_up(low, envs, steps, start):
    """Ratios below one in parallel environments: what is owed is carried over, and nothing before the start is owed."""
    rule = AdaptiveReplayRatio(low=low, high=8.0, threshold=-1.0, start=start)
    done = np.cumsum(drive(rule, [0.5] * 30, episodes=0, steps=steps, envs=envs)[0])
    exact = np.maximum(steps * envs * np.arange(1, 31) - start, 0) * low
    assert (np.abs(done - np.floor(exact + 1e-3)) <= (exact % 1 < 2e-3) + (exact % 1 > 1 - 2e-3)).all()


@pytest.mark.slow
def test_a_whole_run_learns_more_once_it_is_raised():
    """In the loop, two settings swept in one vmap: one never rises, the other at its first check."""
    trainer = watched(replace(DQN, learning_starts=0), Clock(5))

    def run(threshold):
        rule = AdaptiveReplayRatio(low=0.5, high=2.0, threshold=threshold, interval=12, window=12, unit="step")
        return trainer.replace(updates=rule).train(jax.random.key(0), 60, 2)[0]

    with unchecked():
        state = jax.jit(jax.vmap(run))(jnp.array([-1.0, 1.0]))
    # Ten train steps of six: read from the second on, so the third is the first with a check.
    assert state.schedule.raised_at.tolist() == [-1.0, 18.0]
    assert state.agent.agent.count.tolist() == [30, 2 * 3 + 8 * 12]


@pytest.mark.slow
def test_a_swept_run_is_the_run_alone():
    """Runs that differ in their number of updates do not disturb one another."""
    trainer = watched(replace(DQN, learning_starts=0), Clock(5))

    def run(high):
        rule = AdaptiveReplayRatio(low=0.5, high=high, threshold=1.0, interval=12, window=12, unit="step")
        return trainer.params(trainer.replace(updates=rule).train(jax.random.key(0), 60, 2)[0])

    with unchecked():
        both = jax.jit(jax.vmap(run))(jnp.array([1.0, 2.0]))
        alone = jax.jit(run)(jnp.float32(1.0))
    for a, b in zip(jax.tree.leaves(both), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(a[0], b, rtol=1e-3, atol=5e-4)


@pytest.mark.parametrize("wrong", [{"low": 0.0}, {"high": -1.0}, {"interval": 0}, {"window": float("nan")}, {"unit": "epoch"}])
def test_numbers_that_cannot_be_are_refused(wrong):
    with pytest.raises(RLJaxError, match=next(iter(wrong))):
        AdaptiveReplayRatio(**wrong).init(jax.random.key(0))


def test_an_agent_without_a_reading_is_refused():
    trainer = DQN.trainer(Clock(5)).replace(updates=AdaptiveReplayRatio())
    with pytest.raises(RLJaxError, match="MonitorPlasticity"):
        jax.eval_shape(lambda key: trainer.train(key, 12, 1), jax.random.key(0))


def test_public_names():
    assert rl.ops.active_units is active_units
    assert rl.networks.activations is activations
