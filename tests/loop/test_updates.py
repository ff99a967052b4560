"""When the agent learns, how its target follows, how schedules move: counted, and the same under vmap."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import Clock, context, equations, leaves_equal, rollout_of, unchecked

from rl_jax.agents.configs import DQNConfig
from rl_jax.errors import RLJaxError
from rl_jax.loop import Constant, PerStep
from rl_jax.ops import Periodic, Polyak, linear, polyak, shared

# -------------------------------------------------------------------------------------------------- how many updates


def counts(rule, steps, number):
    """Updates in each of ``number`` train steps of ``steps`` environment steps."""
    rollout = rollout_of(np.zeros((steps, 1)))

    def body(state, _):
        state, count = rule.count(state, rollout, context())
        return state, count

    return np.asarray(jax.lax.scan(body, rule.init(jax.random.key(0)), None, number)[1])


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(
    ratio=st.one_of(
        st.fractions(Fraction(1, 300), 40, max_denominator=300),
        st.sampled_from([0.1, 0.3, 1 / 3, 0.25, 1.0, 4, 0.0625, 1e-3, 2.5, Fraction(1, 10_000)]),
    ),
    start=st.integers(0, 100),
    steps=st.integers(1, 40),
)
def test_updates_per_step_are_exact(ratio, start, steps):
    """After ``start + k`` environment steps, in whatever portions they come, there were ``floor(k * ratio)`` updates."""
    exact = Fraction(ratio).limit_denominator(10_000)
    rule = PerStep(float(ratio), start)
    done = np.cumsum(counts(rule, steps, 120))
    expected = [max(0, steps * (i + 1) - start) * exact // 1 for i in range(120)]
    np.testing.assert_array_equal(done, expected)


@pytest.mark.slow
def test_updates_per_step_stay_exact_in_a_long_run():
    """Nothing drifts over 100,000 train steps, and nothing overflows with large rollouts and many updates."""
    assert counts(PerStep(1 / 3), 7, 100_000).sum() == 700_000 // 3
    assert counts(PerStep(0.1), 3, 100_000).sum() == 30_000
    # 10^5 steps in each rollout: 37 updates per 100 of them.
    np.testing.assert_array_equal(counts(PerStep(0.37), 100_000, 50), 37_000)
    np.testing.assert_array_equal(counts(PerStep(999.5), 1000, 50), 999_500)


@pytest.mark.parametrize("steps", [64, 2048 * 128])
@pytest.mark.parametrize("ratio", [1 / 8192, 1 / 9999, 3e-5, 1e-6])
def test_rare_updates_come_as_often_as_they_should(ratio, steps):
    """However large the rollout and small the ratio: neither none nor twice as many."""
    number = int(20.5 / (ratio * steps)) + 1
    assert abs(counts(PerStep(ratio), steps, number).sum() - ratio * steps * number) <= 1


@pytest.mark.parametrize("ratio", [0, -1.0, 1e4, float("nan"), float("inf")])
def test_a_ratio_that_cannot_be_is_refused(ratio):
    """In words, before anything is compiled."""
    with pytest.raises(RLJaxError, match="must lie above 0 and below 10,000"):
        PerStep(ratio).init(jax.random.key(0))


def test_t13_counts_of_updates_are_never_batched():
    """A vmapped batch of runs learns the same number of times: the loop over updates keeps one length."""
    rule = PerStep(0.5, 3)

    def one(key, reward):
        state, first = rule.count(rule.init(key), rollout_of(reward), context())
        return state, (first, rule.count(state, rollout_of(reward), context())[1])

    keys = jax.random.split(jax.random.key(0), 5)
    # With None, vmap itself refuses an output that differs between the runs.
    _, (first, second) = jax.vmap(one, out_axes=(0, None))(keys, jnp.zeros((5, 8, 1)))
    assert (int(first), int(second)) == (2, 4)
    assert Constant(3).count((), None, context()) == ((), 3)


SMALL_DQN = DQNConfig(
    num_envs=3, rollout_length=2, buffer_size=60, batch_size=4, hidden=(4,), learning_starts=10, updates_per_step=0.25
)


@pytest.mark.slow
def test_the_loop_learns_as_often_as_it_should():
    """The agent's own count of its learning steps, one run and a vmapped batch, against the environment steps done."""
    trainer = SMALL_DQN.trainer(Clock(5))
    step = jax.jit(trainer.train_step)
    state = jax.jit(trainer.init)(jax.random.key(0), 1000)
    for i in range(1, 12):
        state, _ = step(state)
        assert trainer.env_steps(state) == 6 * i
        assert int(state.agent.count) == max(0, 6 * i - 10) // 4
    with unchecked():
        batch = jax.vmap(lambda key: trainer.init(key, 1000))(jax.random.split(jax.random.key(0), 3))
        batch, _ = jax.jit(jax.vmap(lambda state: trainer.advance(state, 11)))(batch)
    np.testing.assert_array_equal(batch.agent.count, [14, 14, 14])


def test_the_loop_over_updates_stays_one_loop_under_vmap():
    """With a count that differs between the runs, every run would pay for the slowest, step by masked step."""

    def run(count, x):
        return jax.lax.fori_loop(0, count, lambda i, x: x + 1.0, x)

    def batched_conditions(function):
        program = jax.make_jaxpr(jax.vmap(function))(jnp.array([3, 3]), jnp.zeros(2))
        return [
            e.params["cond_nconsts"] or e.outvars[0].aval.shape for e, _ in equations(program) if e.primitive.name == "while"
        ]

    own = jax.vmap(run)(jnp.array([3, 3]), jnp.zeros(2))
    together = jax.vmap(lambda count, x: run(shared(count), x))(jnp.array([3, 3]), jnp.zeros(2))
    np.testing.assert_array_equal(own, together)
    assert batched_conditions(run) != batched_conditions(lambda count, x: run(shared(count), x))


# ------------------------------------------------------------------------------------------------------------ shared


def test_shared_is_one_number_in_all_runs():
    """Under one vmap, two, none, and jit; the largest where the promise is broken."""
    values = jnp.array([[1, 5, 2], [4, 0, 3]])
    one = jax.vmap(lambda v: (v, shared(v)), out_axes=(0, None))
    assert int(one(values[0])[1]) == 5
    two = jax.vmap(one, out_axes=(0, None))
    assert int(jax.jit(two)(values)[1]) == 5
    assert int(shared(jnp.int32(7))) == 7
    # What no run changes stays as it is.
    assert int(jax.vmap(lambda v: shared(jnp.int32(3)), out_axes=None)(values)) == 3
    assert shared(jnp.int32(7)).dtype == jnp.int32


# ----------------------------------------------------------------------------------------------------------- targets


def walk(rule, online, number):
    """The target after each learning step."""
    target, seen = jax.tree.map(jnp.zeros_like, online), []
    update = jax.jit(rule.update)
    for count in range(1, number + 1):
        target = update(target, jax.tree.map(lambda x: x * count, online), jnp.int32(count))  # noqa: B023
        seen.append(target)
    return seen


ONLINE = {"w": jnp.array([1.0, -2.0]), "b": {"h": jnp.array(3.0, jnp.bfloat16)}}


@pytest.mark.parametrize("period", [1, 3, 7])
def test_periodic_targets_are_copies_at_every_period(period):
    """Bit for bit, at learning steps period, 2 * period and so on, and untouched in between."""
    for count, target in enumerate(walk(Periodic(period), ONLINE, 20), start=1):
        last = count // period * period
        expected = jax.tree.map(lambda x: x * last, ONLINE)  # noqa: B023
        assert leaves_equal(target, expected)
        assert jax.tree.map(lambda x: x.dtype, target) == jax.tree.map(lambda x: x.dtype, ONLINE)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(tau=st.floats(0.0, 1.0), number=st.integers(1, 40))
def test_polyak_is_the_running_average(tau, number):
    """Against the recursion in 64 bits; a constant online network is approached by ``1 - (1 - tau)^k``."""
    online = np.array([1.0, -2.0, 100.0])
    target, slow = np.zeros(3), jnp.zeros(3)
    for i in range(number):
        target = (1 - tau) * target + tau * online * (i % 3)
        slow = polyak(slow, jnp.asarray(online * (i % 3), jnp.float32), jnp.float32(tau))
    np.testing.assert_allclose(slow, target, rtol=1e-4, atol=1e-5)
    still = jax.lax.fori_loop(0, number, lambda i, x: Polyak(tau).update(x, jnp.float32(5.0), i), jnp.zeros(()))
    np.testing.assert_allclose(still, 5.0 * (1 - (1 - tau) ** number), rtol=1e-4, atol=1e-5)


def test_polyak_at_its_ends_and_its_types():
    """0 keeps, 1 copies, types stay, a target that has arrived stays, and tau is swept."""
    target = jax.tree.map(lambda x: x + 1, ONLINE)
    assert leaves_equal(polyak(target, ONLINE, 0.0), target)
    assert leaves_equal(polyak(target, ONLINE, 1.0), ONLINE)
    assert leaves_equal(polyak(ONLINE, ONLINE, 0.3), ONLINE)
    mixed = polyak(target, ONLINE, jnp.float32(0.3))
    assert jax.tree.map(lambda x: x.dtype, mixed) == jax.tree.map(lambda x: x.dtype, ONLINE)
    swept = jax.vmap(lambda rule: rule.update(jnp.ones(()), jnp.zeros(()), 1))(Polyak(jnp.array([0.0, 0.25, 1.0])))
    np.testing.assert_array_equal(swept, [1.0, 0.75, 0.0])


@pytest.mark.slow
def test_t09_targets_are_copied_by_learning_steps_whatever_the_stride():
    """Learning steps come in strides that the period does not divide; environment steps are not what is counted."""
    config = replace(SMALL_DQN, updates_per_step=5 / 6, learning_starts=0, target_period=3, learning_rate=0.1)
    trainer = config.trainer(Clock(5))
    step = jax.jit(trainer.train_step)
    state = jax.jit(trainer.init)(jax.random.key(0), 1000)
    copied = []
    for i in range(1, 13):
        before = state.agent
        state, _ = step(state)
        after = state.agent
        assert int(after.count) == 5 * i
        moved = not leaves_equal(before.target, after.target)
        assert moved  # five learning steps hold at least one multiple of three
        copied.append(leaves_equal(after.target, after.params))
    assert copied == [5 * i % 3 == 0 for i in range(1, 13)]


# --------------------------------------------------------------------------------------------------------- schedules


@settings(max_examples=50, deadline=None)
@given(
    start=st.floats(-5, 5),
    end=st.floats(-5, 5),
    over=st.integers(1, 10**7),
    share=st.floats(0, 3),
)
def test_linear_is_a_straight_line_and_then_flat(start, end, over, share):
    """From start to end over so many environment steps; never beyond either."""
    steps = np.float32(share * over)
    expected = start + (end - start) * min(float(steps) / over, 1.0)
    got = linear(jnp.asarray(steps), start, end, over)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_linear_at_its_ends():
    """Exact at both; the whole schedule may be swept."""
    for steps, expected in ((0, 1.0), (50, 0.55), (100, 0.1), (10**9, 0.1)):
        np.testing.assert_allclose(linear(jnp.float32(steps), 1.0, 0.1, 100), expected, rtol=1e-6)
    swept = jax.vmap(lambda end, over: linear(jnp.float32(50), 1.0, end, over))(jnp.array([0.0, 0.5]), jnp.array([100.0, 25.0]))
    np.testing.assert_allclose(swept, [0.5, 0.5])


@pytest.mark.slow
def test_t09_exploration_falls_over_environment_steps():
    """Not over train steps or updates: the rate of a rollout is that of the environment steps before it."""
    rates: dict[tuple[int, int], Any] = {}
    for envs, length in ((3, 2), (1, 4)):
        config = replace(SMALL_DQN, num_envs=envs, rollout_length=length, epsilon_steps=24, epsilon_end=0.25)
        trainer = config.trainer(Clock(5))
        step = jax.jit(trainer.train_step)
        state = jax.jit(trainer.init)(jax.random.key(0), 1000)
        for _ in range(8):
            before = trainer.env_steps(state)
            state, _ = step(state)
            np.testing.assert_allclose(state.agent.epsilon, 1 - 0.75 * min(before / 24, 1), rtol=1e-6)
        rates[envs, length] = float(state.agent.epsilon)
    assert set(rates.values()) == {0.25}
