"""One test against each mistake that today's libraries ship and that could be made here; the docs list them by number."""

import functools
import os
import subprocess
import sys
from dataclasses import fields, replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import SMALL, compiled
from flax import struct
from recorded import trainer_of
from toy import (
    Clock,
    LinearValue,
    MaxRatio,
    Spy,
    SpyTargets,
    border,
    context,
    equations,
    leaves_equal,
    named_leaves,
    places,
    rollout_of,
    shaken,
    unchecked,
)

from rl_jax.agents import ppo
from rl_jax.agents.configs import CONFIGS, DQNConfig, PPOConfig
from rl_jax.curricula import TaskSet
from rl_jax.envs import make
from rl_jax.errors import RLJaxError, UnsupportedSpace
from rl_jax.experience import GAE, chain, gae, normalize_obs, normalize_reward, standardize_advantage
from rl_jax.experience.advantage.gae import next_values
from rl_jax.loop import evaluate
from rl_jax.loop.counter import Counter
from rl_jax.losses import ClippedPolicy
from rl_jax.replay import Buffer, Mixed, Offline
from rl_jax.spaces import Box, Discrete
from rl_jax.types import Sample, Spec, Step

PLAIN = replace(SMALL, normalize_obs=False, normalize_reward=False)
ONE_PASS = replace(SMALL, epochs=1, minibatches=1, anneal=False)


@functools.cache
def spied(env, config=PLAIN, **options):
    """A trainer whose last transform keeps the rollout: ``state.experience[-1]``."""
    trainer = config.trainer(env, **options)
    return compiled(trainer.replace(experience=chain(*trainer.experience.transforms, Spy())))


def rollouts(run, steps, seed=0, prepare=lambda state: state):
    """The rollouts of so many train steps, as NumPy, and their metrics."""
    state = prepare(run.init(run.trainer, jax.random.key(seed), 10_000))
    seen = []
    for _ in range(steps):
        state, metrics = run.train_step(run.trainer, state)
        seen.append((jax.tree.map(np.asarray, state.experience[-1]), metrics))
    return seen


# ------------------------------------------------------------------------------------------------ ends of episodes


@pytest.mark.slow
def test_t01_truncation_bootstraps_from_the_final_observation():
    """Through the whole loop: at a truncation the value target is ``r + gamma * V(final obs)``, at a termination ``r``."""
    for ends in ("truncated", "terminated"):
        trainer = PLAIN.trainer(Clock(5, ends))
        trainer = trainer.replace(experience=chain(gae(0.9, 0.0), Spy(), SpyTargets()))
        state = shaken(jax.jit(trainer.init)(jax.random.key(0), 1000))
        before = state.agent
        state, _ = jax.jit(trainer.train_step)(state)
        rollout, (reward, _, target, _) = state.experience[1], state.experience[2]
        value = jax.vmap(lambda obs: trainer.agent.value(before, (), obs, jnp.zeros(4, bool)))  # noqa: B023
        expected = reward + 0.9 * jnp.where(rollout.terminated, 0.0, value(rollout.next_obs))
        assert getattr(rollout, ends).any()
        assert rollout.terminated.any() == (ends == "terminated")  # in what is stored too
        np.testing.assert_allclose(target, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_t01_a_remembering_agent_bootstraps_from_its_memory_of_that_moment(recurrent):
    """The final observation is valued with the memory after the truncated step, not the one that the reset will clear."""
    trainer = recurrent.trainer.replace(experience=chain(*recurrent.trainer.experience.transforms, Spy()))
    step = jax.jit(trainer.train_step)
    state = shaken(jax.jit(trainer.init)(jax.random.key(0), 1000))
    for _ in range(2):  # the first rollout holds no truncation, and its statistics normalise the second's observations
        before = state.agent
        state, _ = step(state)
    rollout = state.experience[-1]
    after = jnp.concatenate([rollout.carry[1:], rollout.last.carry[None]])
    value = jax.vmap(lambda carry, obs: trainer.agent.value(before, carry, obs, jnp.zeros(4, bool)))(after, rollout.next_obs)
    assert rollout.truncated.any()
    expected = jnp.where(rollout.truncated, value, 0.0)
    np.testing.assert_allclose(rollout.extras["truncated_value"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_t02_next_obs_is_never_a_reset_observation():
    """``next_obs`` at an end is the episode's own last observation; the next row is the new episode's first."""
    for rollout, _ in rollouts(spied(Clock(5, "truncated")), 3):
        np.testing.assert_array_equal(rollout.next_obs[..., 0], rollout.obs[..., 0])
        np.testing.assert_array_equal(rollout.next_obs[..., 1], rollout.obs[..., 1] + 1)
        after = np.concatenate([rollout.obs[1:], rollout.last.obs[None]])
        done = rollout.terminated | rollout.truncated
        np.testing.assert_array_equal(after[done][:, 1], 0.0)
        np.testing.assert_array_equal(after[~done], rollout.next_obs[~done])


def test_t03_one_function_says_what_follows_a_step():
    """Every estimator of returns reads ``next_values``: zero after a termination, and a truncation's own value."""
    obs, next_obs = jnp.arange(3.0).reshape(3, 1, 1), 10 + jnp.arange(3.0).reshape(3, 1, 1)
    terminated, truncated = np.array([[True], [False], [False]]), np.array([[False], [True], [False]])
    rollout = rollout_of(
        np.zeros((3, 1)), terminated, truncated, obs, next_obs, last=border(jnp.full((1, 1), 7.0)), value=2 * obs[..., 0] + 1
    )
    np.testing.assert_allclose(next_values(rollout, context(LinearValue()))[:, 0], [0.0, 2 * 11 + 1, 2 * 7 + 1])


BATCH = Spec(Box.of(-1.0, 1.0, (2,)), Discrete(3), 6, 1)
ACTIONS = {"discrete": Discrete(3), "continuous": Box.of(-1.0, 1.0, (2,))}


def replayed(name, kind):
    """The agent of a configuration that learns from a buffer, and its batch transforms applied to trajectories."""
    config = replace(CONFIGS[name](), hidden=(8,))
    spec = replace(BATCH, action_space=ACTIONS[kind])
    env = Clock(5, act_space=spec.action_space)
    trainer = trainer_of(config, env)
    replay = trainer.replay if hasattr(trainer.replay, "length") else trainer.replay.parts[0]
    length, agent = replay.length, trainer.agent.bind(spec)
    rng = np.random.default_rng(0)
    shape = length, spec.num_envs
    obs = rng.normal(size=(length + 1, spec.num_envs, 2)).astype(np.float32)
    some = {"discrete": rng.integers(0, 3, shape, np.int32), "continuous": rng.uniform(-1, 1, (*shape, 2)).astype(np.float32)}
    raw = rollout_of(rng.normal(size=shape), mask=np.ones(shape, bool), obs=jnp.asarray(obs[:-1])).replace(
        action=jnp.asarray(some[kind]),
        carry=jax.tree.map(lambda x: x[None], agent.initial_carry(spec.num_envs)),
        start=None,
        last=None,
    )

    @jax.jit
    def learned(state, end, terminated, truncated):
        """The agent after learning from trajectories whose last step ends so, with this final observation."""
        ends = jnp.zeros(shape, bool).at[-1]
        batch = raw.replace(
            next_obs=jnp.asarray(obs[1:]).at[-1].set(end), terminated=ends.set(terminated), truncated=ends.set(truncated)
        )
        transforms = replay.transforms.init(jax.random.key(0), spec)
        batch = replay.transforms.update(transforms, batch, context())[1]
        return agent.learn(state, Sample(batch, None, None), context(agent, state, seed=1))[0]

    return jax.jit(agent.init, static_argnums=1)(jax.random.key(0), spec), learned


def with_buffer(name, kind):
    """Whether a configuration serves these actions and learns from a buffer."""
    try:
        replay = trainer_of(CONFIGS[name](), Clock(5, act_space=ACTIONS[kind]), time_limit=5).replay
        return isinstance(replay, Buffer | Offline | Mixed)
    except UnsupportedSpace:
        return False


#: Cloning values nothing, by diffusion neither; of ReBRAC's trajectories only the first step is learned from, by TD3's targets; DAC
#: makes those itself.
ELSEWHERE = ("bc", "diffusion-bc", "rebrac", "dac")
REPLAYED = [(name, kind) for name in CONFIGS for kind in ACTIONS if name not in ELSEWHERE and with_buffer(name, kind)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), REPLAYED)
def test_t03_agents_that_replay_treat_both_ends_alike(name, kind):
    """After a termination ``next_obs`` changes nothing; a truncated step teaches what the same step in mid-episode does."""
    assert ("dqn", "discrete") in REPLAYED
    state, learned = replayed(name, kind)
    here, there = jnp.full(2, 3.0), jnp.full(2, -8.0)

    def apart(a, b):
        return optax.tree.norm(jax.tree.map(lambda x, y: x.astype(jnp.float32) - y.astype(jnp.float32), a, b))

    ended, going_on = learned(state, here, True, False), learned(state, here, False, False)
    much = 1e-3 * float(apart(ended, going_on))
    assert much > 1e-8
    assert apart(ended, learned(state, there, True, False)) < much
    assert leaves_equal(going_on, learned(state, here, False, True))
    assert apart(going_on, learned(state, there, False, True)) > much


def test_t04_truncated_steps_are_learned_from():
    """A truncated step's advantage is its own TD error, neither zero nor that of another step."""
    rollout = rollout_of(
        np.ones((1, 1)), truncated=np.array([[True]]), next_obs=jnp.full((1, 1, 1), 3.0), value=np.array([[2.0]], np.float32)
    )
    _, rollout, _ = GAE(0.5, 0.9).update((), rollout, context(LinearValue()))
    np.testing.assert_allclose(rollout.extras["advantage"], 1.0 + 0.5 * 7.0 - 2.0)


@pytest.mark.slow
def test_t05_every_episode_starts_anew():
    """Two episodes of one environment, and of two environments, start in different states."""
    starts = []
    for rollout, _ in rollouts(spied(Clock(5)), 4):
        starts.extend(rollout.obs[rollout.first][:, 0].tolist())
    assert len(starts) >= 24
    assert len(set(starts)) == len(starts)


def test_t06_no_bogus_transition():
    """An episode of five steps is five transitions: none is spent on resetting."""
    seen = [rollout for rollout, _ in rollouts(spied(Clock(5)), 4)]
    time, terminated, first = (
        np.concatenate(x) for x in zip(*((r.obs[..., 1], r.terminated, r.first) for r in seen), strict=True)
    )
    np.testing.assert_array_equal(time, np.tile(np.arange(len(time))[:, None] % 5, (1, 4)))
    np.testing.assert_array_equal(terminated, time == 4)
    np.testing.assert_array_equal(first, time == 0)


@pytest.mark.slow
def test_both_ends_at_once_is_a_termination():
    """An episode that terminates on the step of the time limit has nothing to bootstrap from."""
    for limit, kind in ((5, "terminated"), (4, "truncated")):
        (rollout, _), *_ = rollouts(spied(Clock(5), time_limit=limit), 1)
        assert getattr(rollout, kind).sum() >= 4
        assert not (rollout.terminated & rollout.truncated).any()
        assert rollout.terminated.any() == (kind == "terminated")


# ------------------------------------------------------------------------------------------------------ randomness


def test_t07_two_seeds_differ_in_every_random_leaf(cartpole):
    """A key that is dropped on the way gives every seed the same network or the same environments."""
    one, two = (cartpole.init(cartpole.trainer, jax.random.key(seed), 1000) for seed in (0, 1))
    a, b = named_leaves(one), named_leaves(two)
    kernels = [name for name in a if "kernel" in name and "opt_state" not in name]
    random = [".key", ".collector.boundary.obs", *kernels]
    assert len(kernels) == 4
    for name in random:
        assert not np.any(a[name] == b[name]), name
    physics = [name for name in a if name.startswith(".collector.boundary.env_state")]
    assert any(not np.any(a[name] == b[name]) for name in physics)
    # Within a run, no two environments start alike.
    assert len(np.unique(a[".collector.boundary.obs"], axis=0)) == 4


class Noise(Clock):
    """One step; the reward is the random number drawn at the reset, or at the step."""

    def step(self, key, state, action, params):
        drawn = state.start if self.ends == "reset" else jax.random.uniform(key)
        return Step(state, self.look(state), drawn, jnp.ones((), bool), jnp.zeros((), bool), {})


class Uneven(Clock):
    """Episodes of random lengths up to ``length``; the reward is 1 at every step."""

    def step(self, key, state, action, params):
        step = super().step(key, state, action, params)
        return step._replace(reward=jnp.ones(()), terminated=step.state.time >= state.start * self.length)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["reset", "step"])
def test_t08_evaluation_never_draws_a_training_key(source):
    """Evaluation with the run's own key, or the very key in its state, repeats nothing that training draws."""
    run = spied(Noise(1, source))
    key = jax.random.key(0)
    state = run.init(run.trainer, key, 1000)
    drawn = []
    evaluations = [evaluate(run.trainer, state, k, num_episodes=32).returns for k in (key, state.key)]
    for _ in range(3):
        state, _ = run.train_step(run.trainer, state)
        drawn.extend(np.asarray(state.experience[-1].reward).ravel().tolist())
    if source == "reset":
        drawn.extend(np.asarray(state.collector.boundary.env_state.start).tolist())
    assert len(set(drawn)) == len(drawn) >= 96
    for returns in evaluations:
        assert len(set(returns.tolist())) == 32
        assert not set(drawn) & set(returns.tolist())


def test_t08_reusing_a_key_is_an_error_here():
    """The checker is on in all tests: the whole train step was traced under it."""
    assert jax.config.jax_debug_key_reuse
    key = jax.random.key(0)
    jax.random.uniform(key)
    with pytest.raises(jax.errors.KeyReuseError):
        jax.random.normal(key)


# ----------------------------------------------------------------------------------------- schedules and optimiser


def at_progress(run, state, updates, horizon):
    return state.replace(updates=Counter(jnp.uint32(0), jnp.uint32(updates)), horizon=jnp.float32(horizon))


@pytest.mark.slow
def test_t09_the_learning_rate_falls_over_the_planned_train_steps():
    """The rate follows train steps (not minibatches or environment steps): half at half time, nothing at the end."""
    run = compiled(replace(ONE_PASS, anneal=True).trainer(make("CartPole-v1"), time_limit=20))
    state = run.init(run.trainer, jax.random.key(0), 32 * 9 + 1)
    assert float(state.horizon) == 10.0

    def change(horizon):
        before = at_progress(run, state, 5, horizon)
        after, _ = run.train_step(run.trainer, before)
        return optax.tree.sub(after.agent.params, before.agent.params)

    full, half, none = change(5e8), change(10), change(5)
    assert optax.tree.norm(full) > 1e-3
    for a, b in zip(jax.tree.leaves(full), jax.tree.leaves(half), strict=True):
        np.testing.assert_allclose(a * 0.5, b, rtol=1e-3, atol=1e-6)
    assert optax.tree.norm(none) == 0.0


@pytest.mark.slow
def test_t09_the_learning_rate_holds_through_the_epochs_of_a_train_step():
    """At the horizon's last step the rate is ``1 - (H - 1) / H`` for all epochs and minibatches, not zero after the first."""
    run = compiled(replace(SMALL, anneal=True, learning_rate=1e-2).trainer(make("CartPole-v1"), time_limit=20))
    state = at_progress(run, run.init(run.trainer, jax.random.key(0), 1000), 1, 2)
    annealed, _ = run.train_step(run.trainer, state)
    agent = run.trainer.agent.replace(anneal=False, learning_rate=5e-3)
    constant, _ = jax.jit(run.trainer.replace(agent=agent).train_step)(state)
    for a, b in zip(jax.tree.leaves(annealed.agent.params), jax.tree.leaves(constant.agent.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_t10_the_gradient_is_clipped_by_its_global_norm():
    """[3, 4] over two leaves becomes [0.6, 0.8], not [1, 1]: the direction stays. Adam's first moment shows it."""
    optimizer = ppo(max_grad_norm=1.0)._optimizer()
    for grads, expected in (((3.0, 4.0), (0.6, 0.8)), ((0.3, 0.4), (0.3, 0.4))):
        tree = {"a": jnp.float32(grads[0]), "b": jnp.asarray([grads[1]])}
        _, state = optimizer.update(tree, optimizer.init(tree))
        moment = state[1].mu
        np.testing.assert_allclose([moment["a"] / 0.1, moment["b"][0] / 0.1], expected, rtol=1e-5)


# ------------------------------------------------------------------------------ acting and learning see the same


def with_ratio(config, env, **options):
    """One epoch of one minibatch, whose largest ``|log ratio|`` is a metric: it must be zero, as nothing has moved."""
    trainer = config.trainer(env, **options)
    agent = trainer.agent
    agent = agent.replace(terms={**agent.terms, "ratio": MaxRatio()}, weights={**agent.weights, "ratio": 0.0})
    return compiled(trainer.replace(agent=agent, experience=chain(*trainer.experience.transforms, Spy())))


def check_ratio(run, seed=0, steps=4, prepare=shaken):
    seen = rollouts(run, steps, seed, prepare)
    for _, metrics in seen:
        assert float(metrics["ratio/max"]) < 1e-5
        assert float(metrics["policy/kl"]) < 1e-9
        assert float(metrics["policy/clip_fraction"]) == 0.0
    return seen


@pytest.fixture(scope="module")
def normalised():
    return with_ratio(ONE_PASS, make("CartPole-v1"), time_limit=20)


@pytest.mark.slow
def test_t11_normalisation_leaves_the_first_ratio_at_one(normalised):
    """Log-probabilities are recomputed on observations that were scaled by the statistics that the policy acted under."""
    check_ratio(normalised)


@pytest.mark.slow
def test_t11_every_observation_is_normalised_and_by_the_old_statistics():
    """The first of a rollout, the last, and those after a reset too: all by the statistics from before the rollout."""
    env = Clock(3, "truncated")
    trainer = ONE_PASS.trainer(env)
    trainer = trainer.replace(experience=chain(Spy(), normalize_obs(), Spy(), gae()))
    state = jax.jit(trainer.init)(jax.random.key(0), 1000)
    step = jax.jit(trainer.train_step)
    everything = []
    for i in range(3):
        state, _ = step(state)
        raw, _, shown, _ = state.experience
        if i:
            mean, std = everything.mean(0), everything.std(0)
            for field in ("obs", "next_obs"):
                expected = (np.asarray(getattr(raw, field)) - mean) / std
                np.testing.assert_allclose(getattr(shown, field), expected, rtol=1e-3, atol=1e-3)
            np.testing.assert_allclose(shown.last.obs, (np.asarray(raw.last.obs) - mean) / std, rtol=1e-3, atol=1e-3)
        new = np.asarray(raw.obs, np.float64).reshape(-1, 2)
        everything = np.concatenate([everything, new]) if i else new
        np.testing.assert_allclose(state.experience[1].mean, everything.mean(0), rtol=1e-3)
        assert float(state.experience[1].count) == len(everything)


def test_t11_evaluation_uses_the_statistics_without_changing_them(normalised):
    """Evaluation shows the policy normalised observations: with other statistics it plays another game."""
    run = normalised
    state = shaken(run.init(run.trainer, jax.random.key(0), 1000), scale=2.0)
    state, _ = run.train_step(run.trainer, state)
    copy = jax.tree.map(lambda x: x.copy(), state)
    play = jax.jit(lambda state: evaluate(run.trainer, state, jax.random.key(1), num_episodes=8, max_steps=20).returns)
    normal = play(state)
    assert leaves_equal(state, copy)
    moments = state.experience[0]
    shifted = state.replace(experience=(moments.replace(mean=moments.mean + 5.0), *state.experience[1:]))
    assert not np.array_equal(normal, play(shifted))


@pytest.mark.slow
def test_t14_the_ratio_of_a_recurrent_policy_is_one():
    """Memories start from those at the rollout's beginning and are cleared where an episode began, not where one ended."""
    config = replace(ONE_PASS, memory="gru", memory_width=8)
    run = with_ratio(config, make("CartPole-v1"), time_limit=5)
    seen = check_ratio(run)
    # The check means something: episodes begin inside the rollouts, and these begin inside episodes with a memory.
    assert all(rollout.first[1:].any() for rollout, _ in seen)
    rollout = seen[-1][0]
    assert np.abs(rollout.start.carry).max() > 0.05
    np.testing.assert_array_equal(rollout.start.carry, rollout.carry[0])
    agent, params = run.trainer.agent, shaken(run.init(run.trainer, jax.random.key(0), 1000)).agent.params

    @jax.jit
    def log_prob(r):
        return agent._apply(params, r.start.carry, r.obs, r.first)[1].policy.log_prob(r.action)

    for change in (
        {"start": rollout.start.replace(carry=np.zeros_like(rollout.start.carry))},
        {"first": rollout.terminated | rollout.truncated},
    ):
        assert np.abs(log_prob(rollout) - log_prob(rollout.replace(**change))).max() > 1e-3


def test_t14_two_flags_are_kept():
    """``first`` is about the observation of a step, ``done`` about what came of it: one row apart, over rollouts too."""
    before = np.ones(4, bool)
    for rollout, _ in rollouts(spied(Clock(5)), 4):
        done = rollout.terminated | rollout.truncated
        np.testing.assert_array_equal(rollout.first, np.concatenate([before[None], done[:-1]]))
        np.testing.assert_array_equal(rollout.last.first, done[-1])
        before = done[-1]


# ---------------------------------------------------------------------------------------- branches under many seeds


def test_t12_resets_are_computed_only_where_an_episode_ends():
    """Over environments and vmapped seeds, resetting stands in a real branch, not beside a select."""
    trainer = PLAIN.trainer(Clock(5))
    states = jax.eval_shape(jax.vmap(lambda key: trainer.init(key, 1000)), jax.random.split(jax.random.key(0), 2))
    with unchecked():
        program = jax.make_jaxpr(jax.vmap(trainer.train_step))(states)
    assert places(program, "lgamma") == [True]
    assert all(equation.invars[0].aval.shape == () for equation, _ in equations(program) if equation.primitive.name == "cond")


class CostlyValue(LinearValue):
    def value(self, state, carry, obs, first):
        return super().value(state, carry, obs, first) + jax.lax.lgamma(obs[..., 0])


def test_t13_values_of_truncated_steps_are_computed_only_where_one_is():
    """Under vmapped seeds the second evaluation of the network stays a branch; only the last observation's is always paid."""

    def update(rollout):
        return GAE().update((), rollout, context(CostlyValue()))[1].extras["advantage"]

    def stack(*flags):
        return jax.tree.map(
            lambda *x: jnp.stack(x),
            *[rollout_of(np.zeros((3, 2)), truncated=np.full((3, 2), f), value=np.zeros((3, 2), np.float32)) for f in flags],
        )

    program = jax.make_jaxpr(jax.vmap(update))(stack(False, True))
    assert sorted(places(program, "lgamma")) == [False, True]
    assert sorted(places(program, "scan")) == [False, True]  # the advantages' own, and the one over blocks of truncated steps


# -------------------------------------------------------------------------------------------------------- batches


@struct.dataclass
class AdvantageSpread:
    """A loss term that only looks: spread of the minibatch's advantages."""

    def __call__(self, params, batch, context):
        return jnp.zeros(()), {
            "seen/std": jnp.std(batch.extras["advantage"]),
            "seen/mean": jnp.abs(jnp.mean(batch.extras["advantage"])),
        }


@pytest.mark.slow
@pytest.mark.parametrize("where", ["minibatch", "batch", "none"])
def test_t17_advantages_are_standardised_where_asked(where):
    """Per minibatch (in the loss) or per batch (in the experience), never both, never silently the other."""
    config = replace(PLAIN, standardize_advantage=where, minibatches=1)
    names = [type(t) for t in config.experience().transforms]
    assert (type(standardize_advantage()) in names) == (where == "batch")
    term = config.agent().terms["policy"]
    assert isinstance(term, ClippedPolicy)
    assert term.standardize == (where == "minibatch")
    trainer = config.trainer(Clock(5))
    agent = trainer.agent.replace(
        terms={**trainer.agent.terms, "look": AdvantageSpread()}, weights={**trainer.agent.weights, "look": 0.0}
    )
    trainer = trainer.replace(agent=agent)
    _, metrics = jax.jit(lambda key: trainer.train_step(trainer.init(key, 1000)))(jax.random.key(0))
    assert (abs(float(metrics["seen/std"]) - 1.0) < 1e-3 and float(metrics["seen/mean"]) < 1e-4) == (where == "batch")


def test_t17_a_minibatch_of_one_step_is_refused():
    """Its standard deviation is zero, so its standardised advantage would be zero or infinite."""
    with pytest.raises(RLJaxError, match="--minibatches 16"):
        replace(PLAIN, minibatches=32).trainer(Clock(5))


@struct.dataclass
class RowsTogether:
    """A loss term that only looks: whether the fields of a step are still those of one step (on :class:`Clock`)."""

    def __call__(self, params, batch, context):
        apart = jnp.abs(batch.reward - batch.obs.sum(-1)) + jnp.abs(batch.next_obs[..., 1] - batch.obs[..., 1] - 1.0)
        apart = apart + jnp.abs(
            batch.extras["value"] - context.agent.value(context.agent_state, (), batch.obs[0], batch.first[0])
        )
        apart = apart + jnp.abs(batch.env_state.start - batch.obs[..., 0]) + (batch.info["received"] != batch.action)
        return jnp.zeros(()), {"rows/apart": jnp.max(apart), "rows/seen": jnp.mean(batch.obs[..., 0])}


def test_t30_a_step_s_fields_travel_together():
    """One permutation for all leaves, over all epochs and minibatches, and every step is seen once per epoch."""
    trainer = replace(PLAIN, epochs=3, minibatches=4).trainer(Clock(5))
    agent = trainer.agent.replace(
        terms={**trainer.agent.terms, "rows": RowsTogether()}, weights={**trainer.agent.weights, "rows": 0.0}
    )
    run = compiled(trainer.replace(agent=agent, experience=chain(*trainer.experience.transforms, Spy())))
    for rollout, metrics in rollouts(run, 2):
        assert float(metrics["rows/apart"]) < 1e-5
        np.testing.assert_allclose(metrics["rows/seen"], rollout.obs[..., 0].mean(), rtol=1e-5)


# -------------------------------------------------------------------------------------------------------- counting


def test_t19_only_finished_episodes_are_counted():
    """Returns and lengths are means over the episodes that ended in the rows, counted again here; none ended: NaN, not 0."""
    running_return, running_length = np.zeros(4), np.zeros(4)
    run = spied(Clock(11))
    counts = []
    for rollout, metrics in rollouts(run, 6):
        returns, lengths = [], []
        for t in range(8):
            running_return += rollout.reward[t]
            running_length += 1
            for n in np.nonzero(rollout.terminated[t])[0]:
                returns.append(running_return[n])
                lengths.append(running_length[n])
                running_return[n] = running_length[n] = 0
        counts.append(len(returns))
        if returns:
            np.testing.assert_allclose(metrics["episode/return"], np.mean(returns), rtol=1e-5)
            np.testing.assert_allclose(metrics["episode/length"], np.mean(lengths), rtol=1e-5)
        else:
            assert np.isnan(metrics["episode/return"])
            assert np.isnan(metrics["episode/length"])
        np.testing.assert_allclose(metrics["reward/mean"], rollout.reward.mean(), rtol=1e-5)
    assert 0 in counts
    assert max(counts) > 0


def test_t19_rows_are_weighted_by_episodes():
    """Over several train steps, one with many episode ends counts more than one with few; one without any counts nothing."""
    run = spied(Clock(11))
    state = run.init(run.trainer, jax.random.key(0), 1000)
    _, together = run.advance(run.trainer, state, 6)
    sums = [(r.terminated.sum(), m["episode/return"]) for r, m in rollouts(run, 6)]
    expected = sum(n * float(m) for n, m in sums if n) / sum(n for n, _ in sums)
    np.testing.assert_allclose(together["episode/return"], expected, rtol=1e-5)
    assert int(together["nonfinite_update"]) == -1


def test_t20_evaluation_plays_whole_episodes_and_says_which_did_not_end():
    """One episode per environment, however short; those cut by ``max_steps`` are marked, and count with what they have earned."""
    trainer = PLAIN.trainer(Clock(5))
    state = jax.jit(trainer.init)(jax.random.key(0), 1000)
    result = evaluate(trainer, state, jax.random.key(1), num_episodes=7)
    assert result.returns.shape == (7,)
    np.testing.assert_array_equal(result.lengths, [5] * 7)
    assert result.finished.all()
    # The sum of start + time over five steps, so 5 * start + 10: whole, and from its own beginning.
    assert ((result.returns >= 10) & (result.returns < 15)).all()
    np.testing.assert_allclose(result.mean(), result.returns.mean(), rtol=1e-6)
    cut = evaluate(trainer, state, jax.random.key(1), num_episodes=7, max_steps=4)
    np.testing.assert_array_equal(cut.lengths, [4] * 7)
    assert not cut.finished.any()
    np.testing.assert_allclose(cut.mean(), cut.returns.mean(), rtol=1e-6)
    limited = evaluate(PLAIN.trainer(Clock(5), time_limit=3), state, jax.random.key(1), num_episodes=7)
    np.testing.assert_array_equal(limited.lengths, [3] * 7)
    assert limited.finished.all()


@pytest.mark.slow
def test_t20_short_episodes_do_not_wait_and_long_ones_are_not_cut():
    """With episodes of different lengths each return is its own episode's, nothing is added after its end."""
    run = compiled(PLAIN.trainer(make("CartPole-v1")))
    state = run.init(run.trainer, jax.random.key(0), 1000)
    result = evaluate(run.trainer, state, jax.random.key(1), num_episodes=16, greedy=False)
    assert len(set(result.lengths.tolist())) > 3
    assert result.finished.all()
    # CartPole pays nothing after a fall, so only its lengths say something; these episodes would go on paying.
    env = Uneven(9)
    trainer = PLAIN.trainer(env)
    result = evaluate(trainer, jax.jit(trainer.init)(jax.random.key(0), 1000), jax.random.key(1), num_episodes=16)
    assert len(set(result.lengths.tolist())) > 3
    np.testing.assert_array_equal(result.returns, result.lengths)


def test_t20_greedy_and_sampled_differ():
    """Greedy evaluation draws nothing: the same key twice over, or another, gives the mode's return; a sample does not."""
    run = compiled(PLAIN.trainer(make("probe/action-choice")))
    state = run.init(run.trainer, jax.random.key(0), 1000)
    greedy = evaluate(run.trainer, state, jax.random.key(1), num_episodes=32)
    sampled = evaluate(run.trainer, state, jax.random.key(1), num_episodes=32, greedy=False)
    assert len(set(greedy.returns.tolist())) == 1
    assert len(set(sampled.returns.tolist())) == 2


@pytest.mark.slow
def test_t21_training_reaches_the_steps_asked_and_says_how_many():
    """Never fewer than asked; the axis of the metrics is what was really done."""
    trainer = PLAIN.trainer(Clock(5))
    for asked, updates in ((1, 1), (32, 1), (33, 2), (320, 10), (321, 11)):
        assert trainer.num_updates(asked) == updates
    state, metrics = jax.jit(trainer.train, static_argnums=(1, 2))(jax.random.key(0), 321, 4)
    np.testing.assert_array_equal(metrics["steps"], [32 * round(i * 11 / 4) for i in range(1, 5)])
    assert metrics["steps"][-1] == 352 == trainer.env_steps(state)
    assert float(state.horizon) == 11.0


def test_t21_steps_are_exact_beyond_int32():
    """A run of more than 2^31 train steps, let alone environment steps, is still counted exactly."""
    run = spied(Clock(5))
    state = run.init(run.trainer, jax.random.key(0), 1000)
    state = state.replace(updates=Counter(jnp.uint32(0), jnp.uint32(2**32 - 1)))
    state, _ = run.train_step(run.trainer, state)
    assert run.trainer.env_steps(state) == 32 * 2**32
    state, _ = run.train_step(run.trainer, state)
    assert run.trainer.env_steps(state) == 32 * (2**32 + 1)


# --------------------------------------------------------------------------------------------- dtypes and compiling

X64 = """
import jax, jax.numpy as jnp
from rl_jax.agents.configs import PPOConfig
from rl_jax.envs import make
from rl_jax.loop import Trainer
assert jnp.zeros(()).dtype == jnp.float64
for name, memory in (("CartPole-v1", "none"), ("probe/continuous-action", "gru"), ("probe/multi-discrete", "none")):
    config = PPOConfig(num_envs=4, rollout_length=8, epochs=1, minibatches=2, hidden=(4,), memory=memory, memory_width=4)
    trainer = config.trainer(make(name))
    state = jax.jit(trainer.init)(jax.random.key(0), 1000)
    step = jax.jit(trainer.train_step)
    kinds = jax.tree.map(lambda x: (x.dtype, x.shape, getattr(x, 'weak_type', None)), state)
    for _ in range(2):
        state, metrics = step(state)
    after = jax.tree.map(lambda x: (x.dtype, x.shape, getattr(x, 'weak_type', None)), state)
    assert kinds == after, [(a, b) for a, b in zip(jax.tree.leaves(kinds), jax.tree.leaves(after)) if a != b]
    assert step._cache_size() == 1
    assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(state.agent.params))
    assert all(jnp.isfinite(v) for k, v in metrics.items() if not k.startswith("episode")), metrics
print("fine")
"""


@pytest.mark.slow
def test_t22_a_run_with_64_bits_enabled():
    """A Python float or a bare ``astype(float)`` in a state changes its type under x64, and the loop will not close."""
    env = {**os.environ, "JAX_ENABLE_X64": "1"}
    done = subprocess.run([sys.executable, "-c", X64], capture_output=True, text=True, env=env, check=False)
    assert done.stdout.strip() == "fine", done.stderr[-3000:]


@pytest.mark.slow
def test_t22_nothing_is_compiled_twice():
    """A weak type or a changed dtype in the state would make the second call another program."""
    run = compiled(SMALL.trainer(make("CartPole-v1"), time_limit=19))
    state = run.init(run.trainer, jax.random.key(0), 1000)
    kinds = jax.tree.map(lambda x: (x.dtype, x.shape, getattr(x, "weak_type", None)), state)
    for _ in range(3):
        state, _ = run.train_step(run.trainer, state)
    assert jax.tree.map(lambda x: (x.dtype, x.shape, getattr(x, "weak_type", None)), state) == kinds
    assert run.train_step._cache_size() == 1


@pytest.mark.slow
def test_t27_a_changed_hyperparameter_takes_effect_without_compiling():
    """Numbers are arguments of the program, not constants of its trace."""
    run = compiled(replace(SMALL, anneal=False).trainer(make("CartPole-v1"), time_limit=19))
    state = run.init(run.trainer, jax.random.key(0), 1000)

    def params(**changes):
        trainer = run.trainer.replace(agent=run.trainer.agent.replace(**changes))
        return run.train_step(trainer, state)[0].agent.params

    usual, none, same = params(), params(learning_rate=0.0), params(learning_rate=1e-3)
    assert leaves_equal(none, state.agent.params)
    assert leaves_equal(usual, same)
    assert not leaves_equal(usual, none)
    weights = {**run.trainer.agent.weights, "entropy": 5.0}
    assert not leaves_equal(usual, params(weights=weights))
    assert run.train_step._cache_size() == 1


def test_t28_evaluation_is_compiled_once():
    """Neither new parameters nor another key make another program."""
    trainer = PLAIN.trainer(Clock(5))
    init = jax.jit(trainer.init)
    play = jax.jit(evaluate, static_argnames=("num_episodes", "greedy", "max_steps"))
    for seed in range(3):
        play(trainer, init(jax.random.key(seed), 1000), jax.random.key(seed), num_episodes=4)
    assert play._cache_size() == 1


# --------------------------------------------------------------------------------------------- actions and rewards


@pytest.mark.slow
def test_t24_the_unclipped_action_is_stored_and_the_rescaled_one_played():
    """The log-probability is that of the stored draw; the environment sees it clipped to [-1, 1] and mapped to its bounds."""
    low, high = np.array([-2.0, 0.0], np.float32), np.array([4.0, 0.5], np.float32)
    run = spied(Clock(5, act_space=Box.of(low, high, (2,))), ONE_PASS)
    state = shaken(run.init(run.trainer, jax.random.key(0), 1000))
    params = state.agent.params
    state, _ = run.train_step(run.trainer, state)
    rollout = state.experience[-1]
    action = np.asarray(rollout.action)
    assert (np.abs(action) > 1).any()
    np.testing.assert_allclose(
        rollout.info["received"], low + (np.clip(action, -1, 1) + 1) / 2 * (high - low), rtol=1e-5, atol=1e-6
    )
    policy = run.trainer.agent._apply(params, (), rollout.obs, rollout.first)[1].policy
    np.testing.assert_allclose(rollout.extras["log_prob"], policy.log_prob(rollout.action), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_t25_targets_are_in_the_scale_of_the_values():
    """The bootstrap is added to *scaled* rewards, whose scale the values are learned in; the reported returns stay raw."""
    trainer = ONE_PASS.trainer(Clock(5, "truncated"))
    trainer = trainer.replace(experience=chain(Spy(), normalize_reward(0.9), gae(0.9, 0.0), SpyTargets()))
    state = shaken(jax.jit(trainer.init)(jax.random.key(0), 1000))
    agent = state.agent
    state, metrics = jax.jit(trainer.train_step)(state)
    raw, (reward, _, target, _) = state.experience[0], state.experience[-1]
    np.testing.assert_allclose(reward, raw.reward * metrics["reward/scale"], rtol=1e-5)
    assert abs(float(metrics["reward/scale"]) - 1.0) > 0.1
    value = jax.vmap(lambda obs: trainer.agent.value(agent, (), obs, jnp.zeros(4, bool)))(raw.next_obs)
    np.testing.assert_allclose(target, reward + 0.9 * value, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(metrics["reward/mean"], raw.reward.mean(), rtol=1e-5)


@pytest.mark.slow
def test_t26_every_environment_draws_its_own_task():
    """Tasks vary over environments and over episodes, and each is played with its own parameters."""
    env = Clock(3)
    tasks = jnp.arange(1.0, 6.0)
    run = spied.__wrapped__(env, curriculum=TaskSet(env, tasks))
    seen = [rollout for rollout, _ in rollouts(run, 8)]
    level = np.concatenate([r.level for r in seen])
    first = np.concatenate([r.first for r in seen])
    reward, obs = np.concatenate([r.reward for r in seen]), np.concatenate([r.obs for r in seen])
    np.testing.assert_allclose(reward, tasks[level] * obs.sum(-1), rtol=1e-5)
    assert set(level[first].tolist()) == set(range(5))
    assert all(len(set(level[:, n].tolist())) > 1 for n in range(4))
    assert any(len(set(row.tolist())) > 1 for row in level)
    assert (level[1:] == level[:-1])[~first[1:]].all()


def test_t31_a_donated_state_is_used_in_place():
    """Without donation each train step copies everything that it carries."""
    trainer = PLAIN.trainer(Clock(5))
    step = jax.jit(lambda trainer, state: trainer.train_step(state), donate_argnums=1)
    state = jax.jit(trainer.init)(jax.random.key(0), 1000)
    kept = jax.tree.map(np.array, state.agent.params)  # copies: a view would keep the buffer
    after, _ = step(trainer, state)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.agent.params))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.collector.boundary.env_state))
    assert not leaves_equal(kept, after.agent.params)


# ------------------------------------------------------------------------------------------------------------ replay


@functools.cache
def replayer(ends, **changes):
    """DQN on a clock, 3-step targets, and a program that plays so many train steps and then draws."""
    numbers = {"num_envs": 3, "rollout_length": 2, "buffer_size": 60, "batch_size": 500, "hidden": (4,), "n_step": 3}
    config = DQNConfig(**{**numbers, "gamma": 0.5, "learning_starts": 10**6, **changes})
    trainer = config.trainer(Clock(5, ends))

    def played(key, steps):
        state, _ = trainer.advance(trainer.init(key, 1000), steps)
        return state, trainer.replay.sample(state.replay, context(seed=1))

    return trainer, jax.jit(played)


def replaying(steps, ends="truncated", **changes):
    """The trainer, its state after so many train steps, and many draws."""
    trainer, played = replayer(ends, **changes)
    return trainer, *played(jax.random.key(0), steps)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [4, 11, 40])
@pytest.mark.parametrize("ends", ["terminated", "truncated"])
def test_t15_targets_never_reach_over_the_end_of_an_episode(ends, steps):
    """Through the whole loop, before and after the ring has turned over: the target of every draw, from its clock alone."""
    _, state, sample = replaying(steps, ends)
    batch = jax.tree.map(np.asarray, sample.batch)
    start, time = batch.obs[0].T
    ahead = np.minimum(3, 5 - time).astype(int)  # steps that the episode still has, of the three
    reward = sum(np.where(k < ahead, 0.5**k * (start + time + k), 0.0) for k in range(3))
    np.testing.assert_allclose(batch.reward[0], reward, rtol=1e-5)
    np.testing.assert_allclose(batch.next_obs[0], np.stack([start, time + ahead], -1), rtol=1e-6)
    np.testing.assert_allclose(batch.extras["discount"][0], 0.5**ahead)
    over = time + ahead == 5
    np.testing.assert_array_equal(batch.terminated[0], over & (ends == "terminated"))
    np.testing.assert_array_equal(batch.truncated[0], over & (ends == "truncated"))
    np.testing.assert_array_equal(batch.first[0], time == 0)
    assert over.any()
    assert not over.all()
    # Every step that may be drawn was: all that are whole, over all environments.
    assert len(set(sample.indices.tolist())) == 3 * (int(state.replay.ring.size) - 2)


@pytest.mark.slow
def test_t16_priorities_are_absolute_errors_and_chances_their_power():
    """Not squares: through the agent, into the buffer, to the probability of the next draw."""
    trainer, state, sample = replaying(40, prioritized=True, n_step=1, batch_size=16, double=True)
    agent, batch, alpha = trainer.agent, sample.batch, 0.6
    assert sample.weights.shape == (16,)
    _, _, priorities = jax.jit(agent.learn)(state.agent, sample, context(agent, state.agent))
    q = agent.policy.apply(state.agent.params, (), batch.obs, batch.first, None)[1][0, ..., 0]
    following = agent.policy.apply(state.agent.target, (), batch.next_obs, batch.first, None)[1][0, ..., 0]
    target = batch.reward[0] + 0.5 * following[np.arange(16), np.argmax(following, -1)]
    error = np.abs(np.asarray(q)[np.arange(16), batch.action[0]] - target)
    np.testing.assert_allclose(priorities, error, rtol=1e-4)
    assert error.max() > 3 * error.min()
    before = state.replay.sampler.tree
    tree = trainer.replay.update(state.replay, sample.indices, priorities).sampler.tree
    chances = np.asarray(tree.get(sample.indices))
    np.testing.assert_allclose(chances, (error + 1e-6) ** alpha, rtol=1e-3)
    untouched = np.setdiff1d(np.arange(len(tree.leaves)), sample.indices)
    np.testing.assert_array_equal(tree.leaves[untouched], before.leaves[untouched])


@pytest.mark.slow
def test_t16_importance_weights_hold_the_number_of_steps():
    """``(N P)^-beta`` over the largest of the batch, with the beta of that moment: as written, in 64 bits."""
    trainer, state, _ = replaying(40, prioritized=True, n_step=1)
    leaves = np.asarray(state.replay.sampler.tree.leaves)
    drawable = np.flatnonzero(leaves > 0)
    new = np.random.default_rng(0).lognormal(size=len(drawable)).astype(np.float32)
    replay = trainer.replay.update(state.replay, jnp.asarray(drawable), jnp.asarray(new))
    for progress, beta in ((0.0, 0.4), (0.5, 0.7), (1.0, 1.0)):
        sample = jax.jit(trainer.replay.sample)(replay, context(progress=progress))
        chances = np.zeros(len(leaves))
        chances[drawable] = (new.astype(np.float64) + 1e-6) ** 0.6
        weights = (len(drawable) * (chances / chances.sum())[sample.indices]) ** -beta
        np.testing.assert_allclose(sample.weights, weights / weights.max(), rtol=1e-4)
        assert set(sample.indices.tolist()) <= set(drawable.tolist())
        assert len(set(sample.indices.tolist())) > 0.8 * len(drawable)


@pytest.mark.slow
@pytest.mark.parametrize("prioritized", [False, True])
def test_t31_a_train_step_does_not_copy_the_buffer(prioritized):
    """Collect, add, draw and learn in one donated program: memory for a batch and a network, not for a second buffer."""
    config = DQNConfig(num_envs=3, rollout_length=2, buffer_size=60_000, batch_size=8, hidden=(4,), prioritized=prioritized)
    trainer = config.trainer(Clock(5))
    state = jax.eval_shape(trainer.init, jax.random.key(0), 1000)
    memory = jax.jit(trainer.train_step, donate_argnums=0).lower(state).compile().memory_analysis()
    assert memory.alias_size_in_bytes > trainer.replay.plan(trainer.spec()).bytes
    assert memory.temp_size_in_bytes < 60_000


@pytest.mark.slow
def test_t31_rows_that_were_never_written_are_never_drawn():
    """A ring whose memory holds garbage to begin with, through its first round: no draw ever shows any."""
    trainer = DQNConfig(num_envs=3, rollout_length=2, buffer_size=60, batch_size=64, hidden=(4,), n_step=3).trainer(Clock(5))

    def soiled(x):
        return jnp.full_like(x, jnp.nan if jnp.issubdtype(x.dtype, jnp.floating) else 77)

    state = jax.jit(trainer.init)(jax.random.key(0), 1000)
    ring, clean = state.replay.ring, ("ended", "head", "size")
    arrays = {f.name: getattr(ring, f.name) for f in fields(ring) if f.name not in clean}
    ring = ring.replace(**jax.tree.map(soiled, arrays))
    state = state.replace(replay=state.replay.replace(ring=ring))
    step = jax.jit(trainer.train_step)
    draw = jax.jit(lambda replay: trainer.replay.sample(replay, context()).batch)
    ready = []
    for _ in range(15):
        state, _ = step(state)
        ready.append(bool(trainer.replay.ready(state.replay)))
        if ready[-1]:
            batch = draw(state.replay)
            assert np.isfinite(batch.obs).all()
            assert np.isfinite(batch.next_obs).all()
            assert np.isfinite(batch.reward).all()
            assert (batch.action < 2).all()
    # Trajectories of three steps, two steps at a time.
    assert ready == [False] + [True] * 14


def test_the_spaces_of_these_tests():
    """The helpers must be what the tests above think they are."""
    assert Clock().action_space(1.0) == Discrete(2)
    assert Spec(Clock().observation_space(1.0), Discrete(2), 1, 1).obs_space.shape == (2,)
    assert PPOConfig().check() is None
