"""The loop: what it costs, what it repeats exactly, and what goes through it."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import SMALL, compiled
from flax import struct
from toy import Clock, leaves_equal, named_leaves, plain, unchecked

from rl_jax.agents import ppo
from rl_jax.agents.configs import PPOConfig
from rl_jax.curricula import TaskSet
from rl_jax.envs import make
from rl_jax.errors import RLJaxError, UnsupportedSpace
from rl_jax.experience import Transform, chain, gae
from rl_jax.loop import Trainer
from rl_jax.loop.state import SIGNS
from rl_jax.loop.updates import Constant
from rl_jax.spaces import Box

PLAIN = replace(SMALL, normalize_obs=False, normalize_reward=False)


@pytest.fixture(scope="module")
def clock():
    return compiled(PLAIN.trainer(Clock(5)))


def begin(run, seed=0, steps=1000):
    return run.init(run.trainer, jax.random.key(seed), steps)


# ------------------------------------------------------------------------------------------------------------ cost


@struct.dataclass
class ReadsStates(Transform):
    """Reads the whole history of environment states."""

    def init(self, key, spec):
        return jnp.zeros((spec.rollout_length, spec.num_envs))

    def update(self, state, rollout, context):
        return rollout.env_state.ballast.sum(-1) + rollout.env_state.ballast[::-1].max(-1), rollout, {}


def temporary_bytes(ballast, *more):
    trainer = replace(PLAIN, rollout_length=64).trainer(Clock(5, ballast=ballast))
    trainer = trainer.replace(experience=chain(gae(), *more))
    state = jax.eval_shape(trainer.init, jax.random.key(0), 1000)
    return jax.jit(trainer.train_step).lower(state).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.slow
def test_a_field_that_nobody_reads_costs_nothing():
    """Every rollout has its environments' states, memories and infos; unread, they must not be stored T times."""
    floats = 5000
    history = 64 * 4 * floats * 4
    unread = temporary_bytes(floats) - temporary_bytes(1)
    assert unread < history / 4
    assert temporary_bytes(floats, ReadsStates()) - temporary_bytes(1) > history * 0.9


@pytest.mark.slow
def test_metrics_do_not_grow_with_the_number_of_steps(clock):
    """A chunk of any length hands back scalars."""
    for number in (1, 7):
        _, metrics = clock.advance(clock.trainer, begin(clock), number)
        assert all(value.shape == () for value in metrics.values())


# ----------------------------------------------------------------------------------------------------- exactly again


@pytest.mark.slow
def test_advance_is_train_steps(clock):
    """``advance(n)`` is ``n`` train steps, to the bit in the state, and its metrics are their means."""
    state = begin(clock)
    once, together = clock.advance(clock.trainer, state, 3)
    seen = []
    for _ in range(3):
        state, metrics = clock.train_step(clock.trainer, state)
        seen.append(metrics)
    for name, value in named_leaves(once).items():
        np.testing.assert_allclose(value, named_leaves(state)[name], rtol=1e-4, atol=1e-5, err_msg=name)
    assert int(once.updates.low) == 3
    for name in ("loss/value", "reward/mean", "policy/entropy"):
        np.testing.assert_allclose(together[name], np.mean([m[name] for m in seen]), rtol=1e-4)
    assert set(together) == {*seen[0], *SIGNS}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cartpole", "recurrent"])
def test_stopping_changes_nothing(kind, request):
    """5 train steps are 2 and then 3, bit for bit: nothing that matters lives outside the state."""
    run = request.getfixturevalue(kind)

    def restored(state):
        """As from a file. All runs begin so: arrays that come from a program are compiled for once more, and may round otherwise."""
        leaves, treedef = jax.tree.flatten(state)
        is_key = [jnp.issubdtype(x.dtype, jax.dtypes.prng_key) for x in leaves]
        saved = [np.asarray(jax.random.key_data(x) if key else x) for x, key in zip(leaves, is_key, strict=True)]
        again = [jax.random.wrap_key_data(x) if key else jnp.asarray(x) for x, key in zip(saved, is_key, strict=True)]
        return jax.tree.unflatten(treedef, again)

    whole, _ = run.advance(run.trainer, restored(begin(run)), 5)
    part, _ = run.advance(run.trainer, restored(begin(run)), 2)
    rest, _ = run.advance(run.trainer, restored(part), 3)
    assert leaves_equal(whole, rest)
    assert leaves_equal(whole, run.advance(run.trainer, restored(begin(run)), 5)[0])


@pytest.mark.slow
def test_a_traced_number_of_steps_is_the_static_one(clock):
    """The same program for every length does the same as a loop of fixed length."""
    state = begin(clock)
    traced, _ = clock.advance(clock.trainer, state, 4)
    static, _ = jax.jit(lambda trainer, state: trainer.advance(state, 4))(clock.trainer, state)
    for name, value in named_leaves(static).items():
        np.testing.assert_allclose(value, named_leaves(traced)[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_a_run_in_a_batch_is_the_run_alone(cartpole):
    """Seed 3 among four is seed 3 alone.

    Keys, counters and the first states agree to the bit. Sums over a batch may be associated differently in the two programs,
    so parameters agree to a few units in the last place per Adam step; over four train steps 1e-3 holds.
    """
    trainer = cartpole.trainer
    keys = jnp.stack([jax.random.key(seed) for seed in range(4)])
    with unchecked():
        states = jax.jit(jax.vmap(trainer.init, in_axes=(0, None)))(keys, 1000)
        later, metrics = jax.jit(jax.vmap(lambda state: trainer.advance(state, 4)))(states)
    alone, mine = begin(cartpole, seed=3), jax.tree.map(lambda x: x[3], states)
    for name, value in named_leaves(mine).items():
        np.testing.assert_allclose(value, named_leaves(alone)[name], rtol=1e-5, atol=1e-6, err_msg=name)
    for part in ("key", "collector"):
        assert leaves_equal(getattr(mine, part), getattr(alone, part)), part
    alone, alone_metrics = cartpole.advance(trainer, alone, 4)
    with unchecked():
        mine = jax.tree.map(lambda x: x[3], later)
    assert leaves_equal(mine.updates, alone.updates)
    assert np.array_equal(plain(mine.collector.episode_length), plain(alone.collector.episode_length))
    for name, value in named_leaves(mine).items():
        np.testing.assert_allclose(value, named_leaves(alone)[name], rtol=1e-3, atol=1e-3, err_msg=name)
    np.testing.assert_allclose(metrics["episode/return"][3], alone_metrics["episode/return"], rtol=1e-5)
    kernels = [x for name, x in named_leaves(later.agent.params).items() if "kernel" in name]
    assert all(len(np.unique(x.reshape(4, -1), axis=0)) == 4 for x in kernels)


# --------------------------------------------------------------------------------------------------- goes through it


@pytest.mark.slow
def test_hyperparameters_vmap(clock):
    """A stack of trainers is a sweep: each row is the run that it would be alone, in one program."""
    rates = jnp.asarray([0.0, 1e-3, 1e-2])
    state = begin(clock)

    def step(rate):
        agent = clock.trainer.agent.replace(learning_rate=rate)
        return clock.trainer.replace(agent=agent).train_step(state)[0].agent.params

    with unchecked():
        swept = jax.jit(jax.vmap(step))(rates)
        stacked = jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * 3), clock.trainer)
        stacked = stacked.replace(agent=stacked.agent.replace(learning_rate=rates))
        by_trainer = jax.jit(jax.vmap(lambda trainer: trainer.train_step(state)[0].agent.params))(stacked)
    for i, rate in enumerate(rates.tolist()):
        trainer = clock.trainer.replace(agent=clock.trainer.agent.replace(learning_rate=rate))
        alone = clock.train_step(trainer, state)[0].agent.params
        for a, b, c in zip(*map(jax.tree.leaves, (alone, swept, by_trainer)), strict=True):
            np.testing.assert_allclose(b[i], a, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(c[i], a, rtol=1e-4, atol=1e-5)
    assert leaves_equal(jax.tree.map(lambda x: x[0], swept), state.agent.params)


@pytest.mark.slow
def test_train_is_one_call(clock):
    """``train`` alone is a whole run: rows of metrics with their steps, no row empty, and no more rows than train steps."""
    train = jax.jit(clock.trainer.train, static_argnums=(1, 2))
    state, metrics = train(jax.random.key(0), 32 * 5, 3)
    assert {value.shape for value in metrics.values()} == {(3,)}
    assert metrics["steps"].tolist() == [64, 96, 160] or metrics["steps"].tolist() == [32 * round(i * 5 / 3) for i in (1, 2, 3)]
    alone, _ = clock.advance(clock.trainer, begin(clock, 0, 32 * 5), 5)
    for name, value in named_leaves(state).items():
        np.testing.assert_allclose(value, named_leaves(alone)[name], rtol=1e-4, atol=1e-5, err_msg=name)
    _, metrics = train(jax.random.key(0), 33, 100)
    assert {value.shape for value in metrics.values()} == {(2,)}


@pytest.mark.slow
def test_nothing_non_finite_passes_unseen():
    """The first train step whose numbers are not finite is named; a finite run, even without an episode end, says -1."""
    # 8 steps per rollout: step 20 of the only episode lies in train step 2.
    run = compiled(PLAIN.trainer(Clock(1000, "never", bad_time=20)))
    state, metrics = run.advance(run.trainer, begin(run), 2)
    assert int(metrics["nonfinite_update"]) == -1
    assert np.isnan(metrics["episode/return"])
    _, metrics = run.advance(run.trainer, begin(run), 5)
    assert int(metrics["nonfinite_update"]) == 2
    _, metrics = run.advance(run.trainer, state, 3)
    assert int(metrics["nonfinite_update"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 2])
def test_a_constant_number_of_updates(clock, number):
    """None: the agent stays as it is while the environments move; two: twice the optimiser steps."""
    trainer = clock.trainer.replace(updates=Constant(number))
    state = begin(clock)
    after, metrics = jax.jit(trainer.train_step)(state)
    assert int(after.agent.opt_state[1].count) == 4 * number
    assert leaves_equal(after.agent.params, state.agent.params) == (number == 0)
    assert not leaves_equal(after.collector, state.collector)
    assert np.isnan(metrics["loss/value"]) == (number == 0)
    once, _ = clock.train_step(clock.trainer, state)
    assert leaves_equal(once.collector, after.collector)


@pytest.mark.slow
def test_tasks_travel_with_their_episodes():
    """The level in the rollout's boundary is that of the running episode, and evaluation draws tasks too."""
    env = Clock(5)
    run = compiled(PLAIN.trainer(env, curriculum=TaskSet(env, jnp.asarray([1.0, 2.0, 3.0]))))
    state = begin(run)
    levels = set()
    for _ in range(6):
        state, _ = run.train_step(run.trainer, state)
        level = state.collector.boundary.level
        assert level.shape == (4,)
        assert level.dtype == jnp.int32
        levels.update(level.tolist())
    assert levels == {0, 1, 2}


@pytest.mark.slow
def test_a_task_can_be_chosen():
    """``params`` of ``create`` is the task of every episode."""
    trainer = PLAIN.trainer(Clock(5), params=jnp.float32(-1.0))
    _, metrics = jax.jit(lambda key: trainer.train_step(trainer.init(key, 1000)))(jax.random.key(0))
    assert float(metrics["reward/mean"]) < -1.0


# ------------------------------------------------------------------------------------------------------ refusals

REFUSALS = {
    "no environments": (dict(num_envs=0), "num_envs must be an integer from 1 to 2147483647, not 0"),
    "half an environment": (dict(num_envs=2.5), "num_envs must be an integer"),
    "true environments": (dict(num_envs=True), "num_envs must be an integer"),
    "no steps": (dict(rollout_length=-1), "rollout_length must be an integer from 1 to 2147483647, not -1"),
    "no time": (dict(time_limit=0), "time_limit must be an integer from 1 to 2147483647, not 0; leave it out"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_create_refuses_sizes_that_cannot_be(case):
    """Each message says what is wrong and what would be right."""
    options, message = REFUSALS[case]
    with pytest.raises(RLJaxError, match=message):
        Trainer.create(Clock(5), ppo(), gae(), **{"num_envs": 4, "rollout_length": 8, **options})


def test_minibatches_must_divide():
    """The message names the nearest number that does, for whole environments where the agent remembers."""
    with pytest.raises(RLJaxError, match=r"32 steps of a rollout cannot be cut into 5 .* use --minibatches 4"):
        replace(PLAIN, minibatches=5).trainer(Clock(5))
    with pytest.raises(RLJaxError, match=r"4 environments cannot be cut into 3 .* use --minibatches 2 .*whole environments"):
        replace(PLAIN, minibatches=3, memory="gru").trainer(Clock(5))


def test_terms_need_weights():
    """A loss term without a weight, or a weight without a term, is a slip of the pen."""
    agent = ppo()
    for change in ({"terms": {**agent.terms, "mine": agent.terms["kl"]}}, {"weights": {**agent.weights, "mine": 1.0}}):
        with pytest.raises(RLJaxError, match="mine"):
            Trainer.create(Clock(5), agent.replace(**change), gae(), num_envs=4, rollout_length=8)


def test_an_unknown_action_space_is_refused():
    """The message names what can be served, and what this environment wants."""

    class Words:
        shape = ()

    with pytest.raises(UnsupportedSpace, match=r"action space is .*Words object.*Discrete, MultiDiscrete and Box are served"):
        Trainer.create(Clock(5, act_space=Words()), ppo(), gae())


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("num_envs", 0), ("rollout_length", 0), ("epochs", 0), ("minibatches", 0), ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("clip_epsilon", -1.0), ("max_grad_norm", float("inf")), ("gamma", 1.5), ("gae_lambda", -0.1), ("entropy_weight", -1.0),
        ("value_weight", float("nan")), ("value_clip_epsilon", 0.0), ("hidden", ()), ("hidden", (4, 0)), ("memory_width", 0),
    ],
)  # fmt: skip
def test_numbers_that_cannot_be_are_refused(option, value):
    """The message names the command line's option."""
    with pytest.raises(RLJaxError, match="--" + option.replace("_", "-")):
        replace(PPOConfig(), **{option: value}).check()


@pytest.mark.slow
def test_scalar_and_matrix_actions_train():
    """Boxes of any shape go through the whole step."""
    for shape in ((), (2, 2)):
        trainer = PLAIN.trainer(Clock(5, act_space=Box.of(-2.0, 2.0, shape)))
        _, metrics = jax.jit(lambda key: trainer.train_step(trainer.init(key, 1000)))(jax.random.key(0))  # noqa: B023
        assert np.isfinite(metrics["policy/entropy"])
        np.testing.assert_allclose(metrics["policy/entropy"], np.prod(shape) * 1.4189, rtol=1e-2)


def test_a_run_without_a_transform_and_one_that_is_made():
    """``create`` fills in the parts left out."""
    trainer = Trainer.create(make("CartPole-v1"), ppo(minibatches=2), gae(), num_envs=4, rollout_length=8)
    assert trainer.time_limit == make("CartPole-v1").time_limit
    assert trainer.steps_per_update == 32
    assert trainer.num_envs == 4
