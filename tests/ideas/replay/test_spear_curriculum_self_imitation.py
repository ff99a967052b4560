"""SPEAR: what is stored and replayed, with which advantage and weight, and its two schedules."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import Clock, context, rollout_of

import rl_jax as rl
from rl_jax.experience.advantage.group import group_advantage
from rl_jax.experience.weights import own_weight
from rl_jax.ideas.replay.spear_curriculum_self_imitation import LengthReward, SelfImitation, median, self_imitation_buffer
from rl_jax.losses.clipped import ClippedTokens
from rl_jax.networks import actor_critic
from rl_jax.types import Spec

LENGTH, COLUMNS = 3, 4


def rollout(outcome, stamp):
    """Groups of two; what is observed is ``stamp`` plus the column's number."""
    outcome = jnp.asarray(outcome, jnp.float32)
    wide = jnp.broadcast_to(outcome, (LENGTH, COLUMNS))
    mean = jnp.repeat(outcome.reshape(2, 2).mean(1), 2)
    obs = jnp.broadcast_to(stamp + jnp.arange(COLUMNS, dtype=jnp.float32)[:, None], (LENGTH, COLUMNS, 1))
    own = jnp.arange(LENGTH)[:, None] < jnp.array([1, 2, 3, 2])
    extras = {"own": own, "advantage": wide - mean, "outcome": wide, "log_prob": jnp.zeros((LENGTH, COLUMNS))}
    return rollout_of(jnp.zeros((LENGTH, COLUMNS)), obs=obs, **extras)


def played(outcomes, progress=1.0, **options):
    """What is replayed in each train step."""
    transform = self_imitation_buffer(2, **{"capacity": 3, "baseline": 4, "tolerate": 1, "up": 1.0} | options)
    shapes = jax.eval_shape(lambda: rollout([0, 0, 0, 0], 0.0))
    state = transform.init(jax.random.key(0), Spec(rl.spaces.Box.of(-9, 99, (1,)), Clock().act_space, 4, 3, shapes, whole=True))
    for number, outcome in enumerate(outcomes):
        now = rollout(outcome, 10.0 * number)
        asked = context(seed=number, progress=progress).replace(update=jnp.int32(number), collected=now)
        state, after, metrics = transform.update(state, now, asked)
        yield after.extras, metrics


@pytest.mark.slow
def test_good_episodes_come_back_while_they_are_young():
    seen = list(played([[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 1, 0], [0, 0, 0, 0]]))
    weights = [float(extras["replay_weight"].sum()) for extras, _ in seen]
    assert weights[0] == 0 and weights[2] == 0  # nothing was stored, and what was is two train steps old
    stamps = [set(np.unique(extras["replay"]["obs"]).tolist()) for extras, _ in seen]
    assert stamps[1] == {0.0} and stamps[3] == {23.0} and stamps[4] <= {31.0, 32.0}
    extras = seen[1][0]
    np.testing.assert_array_equal(extras["replay_weight"][:, 0] > 0, [True, False, False])  # column 0 had one own step
    assert float(extras["replay_weight"].mean()) == pytest.approx(1.0)


def test_advantages_are_taken_from_the_median_of_groups_of_late():
    """After groups of mean 1/2, 0, 0, 1/2 that of a success is 1 - 1/4; as stored it is 1/2."""
    outcomes = [[1, 0, 0, 0], [0, 0, 0, 1]]
    assert float(list(played(outcomes))[1][0]["replay_advantage"].mean()) == pytest.approx(0.75)
    assert float(list(played(outcomes, recalibrate=False))[1][0]["replay_advantage"].mean()) == pytest.approx(0.5)


def test_an_episode_that_has_become_ordinary_is_dropped():
    """Half a success was good; all groups have done better since."""
    outcomes = [[0.5, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]]
    options = {"tolerate": 5, "baseline": 2}
    assert float(list(played(outcomes, **options))[2][0]["replay_weight"].sum()) == 0
    assert float(list(played(outcomes, recalibrate=False, **options))[2][0]["replay_weight"].sum()) > 0


@pytest.mark.parametrize(
    ("progress", "up", "strength"), [(0.0, 0.5, 0.0), (0.25, 0.5, 0.5), (0.5, 0.5, 1.0), (0.9, 0.5, 1.0), (0.0, 0.0, 1.0)]
)
def test_imitation_fades_in(progress, up, strength):
    metrics = list(played([[1, 0, 0, 0], [0, 0, 0, 0]], progress, up=up))[1][1]
    assert float(metrics["spear/strength"]) == pytest.approx(strength, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=9))
def test_the_median_of_a_ring_that_is_not_full(values):
    ring = np.full(9, np.inf, np.float32)
    ring[: len(values)] = values
    assert float(median(jnp.asarray(ring), jnp.int32(len(values)))) == pytest.approx(
        float(np.median(np.float32(values))), abs=1e-6
    )


def test_length_is_paid_less_and_less():
    own, done = jnp.arange(4)[:, None] < jnp.array([2, 4]), jnp.array([[False] * 2, [True, False], [False] * 2, [False, True]])
    for progress, expected in ((0.0, 1.0), (0.25, (1 + math.cos(math.pi / 2)) / 2), (0.6, 0.0)):
        after = LengthReward(0.3, 0.5).update((), rollout_of(jnp.zeros((4, 2)), done, own=own), context(progress=progress))[1]
        np.testing.assert_allclose(after.reward, np.where(done, expected * np.array([0.6, 1.0]), 0.0), atol=1e-6)


@pytest.mark.slow
def test_the_replayed_objective_has_the_gradient_of_imitation():
    """With ratios at 1 it is that of ``-weight * A * log pi``; the term is a number of its own, which no other weight multiplies."""
    agent = rl.agents.PolicyGradient(
        terms={"policy": ClippedTokens(), "imitation": SelfImitation()},
        weights={"policy": 1.0, "imitation": 1.0},
        learning_rate=0.01,
        max_grad_norm=1.0,
        network=lambda spec: actor_critic(spec, hidden=(4,)),
        epochs=1,
        minibatches=2,
        anneal=False,
    )
    chain = rl.chain(group_advantage(2, "mean", "none"), self_imitation_buffer(2, capacity=8, baseline=8, up=0.0), own_weight())
    trainer = rl.Trainer.create(Clock(3), agent, chain, num_envs=4, rollout_length=3, whole=True, time_limit=3)
    state = trainer.init(jax.random.key(0), 1000)
    state, metrics = jax.jit(trainer.advance)(state, 4)
    assert np.isfinite(metrics["loss/imitation"]) and metrics["spear/usable"] > 0

    obs = jax.random.normal(jax.random.key(1), (1, 6, 2))
    action, weight = jnp.array([[0, 1, 0, 1, 1, 0]]), jnp.array([[0.0, 1.0, 2.0, 1.0, 0.5, 1.5]])
    advantage = jnp.array([[1.0, 0.5, 0.2, 0.3, 0.7, 0.1]])
    learner = trainer.init(jax.random.key(0), 10).agent

    def log_prob(params):
        return trainer.agent.outputs(params, rollout_of(jnp.zeros((1, 6)), obs=obs)).policy.log_prob(action)

    stored = {"obs": obs, "action": action, "log_prob": log_prob(learner.params)}
    batch = rollout_of(jnp.zeros((1, 6)), obs=obs * 0 + 7, replay_advantage=advantage, replay_weight=weight)
    batch = batch.with_extras(replay=stored)
    grads = jax.grad(lambda p: SelfImitation()(p, batch, context(trainer.agent, learner))[0])(learner.params)
    expected = jax.grad(lambda p: -jnp.mean(weight * advantage * log_prob(p)))(learner.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), grads, expected)
