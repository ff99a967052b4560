"""Intrinsic bonuses against brute force: counts, ellipses, networks' errors, and how they are combined and added."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import context, leaves_equal, rollout_of, unchecked

import rl_jax as rl
from rl_jax.agents.configs import PPOConfig
from rl_jax.errors import RLJaxError
from rl_jax.experience import E3B, ICM, RND, EpisodicCount, IntrinsicReturn, LifetimeCount, NovelD, Product, Sum, intrinsic
from rl_jax.experience.bonus.counts import hashed, reported
from rl_jax.experience.bonus.e3b import elliptical
from rl_jax.experience.bonus.inverse_dynamics import InverseDynamics
from rl_jax.experience.scaling.normalize import RunningMoments
from rl_jax.spaces import Box, Discrete
from rl_jax.types import Spec

T, N = 6, 3
OBS = Box.of(-9.0, 9.0, (2,))
SPEC = Spec(OBS, Discrete(3), N, T)
few = settings(max_examples=25, deadline=None)


def visits(cells, first=None, seed=0):
    """A rollout that comes to these cells ``[T, N]``; observations are their numbers."""
    cells = np.asarray(cells).reshape(T, N)
    first = np.zeros((T, N), bool) if first is None else np.asarray(first).reshape(T, N)
    obs = jnp.asarray(np.stack([cells, -cells], axis=-1), jnp.float32)
    before = jnp.concatenate([jnp.zeros((1, N, 2)), obs[:-1]])
    rng = np.random.default_rng(seed)
    rollout = rollout_of(rng.normal(size=(T, N)), obs=before, next_obs=obs, first=first)
    return rollout.replace(
        info={"cell": jnp.asarray(cells, jnp.int32)}, action=jnp.asarray(rng.integers(0, 3, (T, N)), jnp.int32)
    )


def seen(part):
    """The bonus of a part, compiled."""
    return jax.jit(lambda state, rollout: part.bonus(state, rollout, context())[:2])


FORMS = ("first visit", "inverse sqrt")
LIFETIME = {form: LifetimeCount(reported("cell"), form, slots=4096) for form in FORMS}
EPISODIC = {form: EpisodicCount(reported("cell"), form, slots=4096) for form in FORMS}
count_ever, count_here = ({form: seen(part) for form, part in kind.items()} for kind in (LIFETIME, EPISODIC))
cells = st.lists(st.integers(0, 4), min_size=T * N, max_size=T * N)
flags = st.lists(st.booleans(), min_size=T * N, max_size=T * N)


@pytest.mark.slow
@few
@given(cells, cells)
def test_lifetime_counts(one, two):
    """Step after step, and within a step one environment after the other."""
    for form in FORMS:
        state, count = LIFETIME[form].init(jax.random.key(0), SPEC), {}
        for rows in (one, two):
            state, bonus = count_ever[form](state, visits(rows))
            for t, n in np.ndindex(T, N):
                cell = np.asarray(rows).reshape(T, N)[t, n]
                c = count[cell] = count.get(cell, 0) + 1
                np.testing.assert_allclose(bonus[t, n], float(c == 1) if form == "first visit" else c**-0.5, rtol=1e-6)


def test_environments_that_come_to_a_new_place_together_are_paid_one_after_the_other():
    """As the worked example of a count: the first visit 1, then 1/sqrt(2), 1/sqrt(3), 1/2; the next step goes on from there."""
    rollout = rollout_of(np.zeros((2, 4))).replace(info={"cell": jnp.full((2, 4), 7, jnp.int32)})
    for form, expected in (
        ("inverse sqrt", [[1.0, 0.7071, 0.5774, 0.5], [0.4472, 0.4082, 0.3780, 0.3536]]),
        ("first visit", [[1, 0, 0, 0], [0, 0, 0, 0]]),
    ):
        table, bonus = count_ever[form](jnp.zeros(4096, jnp.int32), rollout)
        np.testing.assert_allclose(bonus, expected, atol=1e-4)
        assert int(table.sum()) == int(table.max()) == 8


@pytest.mark.slow
@few
@given(cells, flags, cells, flags)
def test_episodic_counts(one, first, two, second):
    for form in FORMS:
        state, count = EPISODIC[form].init(jax.random.key(0), SPEC), [{} for _ in range(N)]
        for rows, begins in ((one, first), (two, second)):
            state, bonus = count_here[form](state, visits(rows, begins))
            for t, n in np.ndindex(T, N):
                if np.asarray(begins).reshape(T, N)[t, n]:
                    count[n] = {}
                cell = np.asarray(rows).reshape(T, N)[t, n]
                count[n][cell] = count[n].get(cell, 0) + 1
                c = count[n][cell]
                np.testing.assert_allclose(bonus[t, n], float(c == 1) if form == "first visit" else c**-0.5, rtol=1e-6)


@pytest.mark.slow
def test_hashes_tell_items_apart_and_spread():
    rng = np.random.default_rng(0)
    for items in (
        rng.normal(size=(50, 40, 5)).astype(np.float32),
        rng.integers(0, 9, (50, 40, 4, 4)),
        np.arange(2000).reshape(50, 40),
    ):
        slots = np.asarray(hashed(jnp.asarray(items), 2**16)).reshape(-1)
        assert slots.min() >= 0
        assert slots.max() < 2**16
        distinct = len(np.unique(np.asarray(items).reshape(2000, -1), axis=0))
        assert len(np.unique(slots)) > 0.95 * distinct  # 2000 balls into 65536 slots: about 30 collisions
        np.testing.assert_array_equal(slots, np.asarray(hashed(jnp.asarray(items), 2**16)).reshape(-1))
    permuted = jnp.asarray([[[1.0, 2.0]], [[2.0, 1.0]]])
    assert len(np.unique(hashed(permuted, 2**16))) == 2


ellipses = jax.jit(elliptical)


def inverses(phi, first, ridge):
    """Bonuses ``[T]`` of one environment by the definition, in float64, and the last ``C``."""
    bonus, c = [], ridge * np.eye(phi.shape[1])
    for x, begins in zip(phi.astype(np.float64), first, strict=True):
        c = ridge * np.eye(phi.shape[1]) if begins else c
        bonus.append(0.0 if begins else x @ np.linalg.solve(c, x))
        c = c + np.outer(x, x)
    return np.array(bonus), c


@few
@given(flags, st.integers(0, 99))
def test_ellipses_against_inverses(first, seed):
    rng, dim, ridge = np.random.default_rng(seed), 4, 0.1
    phi, first = rng.normal(size=(T, N, dim)).astype(np.float32), np.asarray(first).reshape(T, N)
    empty = jnp.eye(dim) / np.sqrt(ridge)
    root, bonus = ellipses(jnp.broadcast_to(empty, (N, dim, dim)), jnp.asarray(phi), jnp.asarray(first), empty)
    for n in range(N):
        expected, c = inverses(phi[:, n], first[:, n], ridge)
        np.testing.assert_allclose(bonus[:, n], expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(root[n] @ root[n].T @ c, np.eye(dim), atol=1e-3)


@pytest.mark.parametrize(("centre", "scatter"), [(100.0, 1.0), (100.0, 0.1), (1000.0, 1.0)])
def test_ellipses_of_large_features_with_a_common_mean(centre, scatter):
    dim, steps = 32, 200
    phi = (centre + scatter * np.random.default_rng(0).normal(size=(steps, 1, dim))).astype(np.float32)
    first, empty = np.zeros((steps, 1), bool), jnp.eye(dim) / np.sqrt(0.1)
    bonus = ellipses(empty[None], jnp.asarray(phi), jnp.asarray(first), empty)[1]
    np.testing.assert_allclose(bonus[:, 0], inverses(phi[:, 0], first[:, 0], 0.1)[0], rtol=5e-3)


def test_one_hot_ellipses_are_counts():
    keys = np.asarray([0, 1, 0, 0, 1, 0])
    phi = jnp.asarray(np.eye(2)[keys][:, None], jnp.float32)
    empty = jnp.eye(2) / np.sqrt(0.5)
    _, bonus = ellipses(empty[None], phi, jnp.zeros((T, 1), bool), empty)
    np.testing.assert_allclose(bonus[:, 0], [1 / (0.5 + n) for n in (0, 0, 1, 2, 1, 3)], rtol=1e-5)


@dataclass(frozen=True)
class Place:
    """An encoder that has nothing to learn: the place, one-hot."""

    features: int = 3

    def init(self, key):
        return ()

    def phi(self, model, obs):
        return jax.nn.one_hot(obs[..., 0].astype(jnp.int32), self.features)

    def learn(self, model, rollout, key):
        return model, jnp.float32(0.0)


@dataclass(frozen=True)
class Paid:
    """A bonus as large as the reward."""

    def init(self, key, spec):
        return ()

    def bonus(self, state, rollout, context):
        return state, rollout.reward, {}


def test_a_path_earns_what_the_authors_code_pays_for_it():
    """Places 0 1 0 1 2 0, five steps: facebookresearch/e3b pays for where a step begins, nothing for the first, 1/(ridge + N) then."""
    path = jnp.asarray([0, 1, 0, 1, 2, 0], jnp.float32)[:, None, None]
    first = np.zeros((5, 1), bool)
    first[0] = True
    rollout = rollout_of(np.zeros((5, 1)), obs=path[:-1], next_obs=path[1:], first=first)
    part, spec = E3B(Place()), Spec(Box.of(0.0, 2.0, (1,)), Discrete(2), 1, 5)
    state, bonus, _ = part.bonus(part.init(jax.random.key(0), spec), rollout, context())
    np.testing.assert_allclose(bonus[:, 0], [0.0, 10.0, 1 / 1.1, 1 / 1.1, 10.0], rtol=1e-5)
    # The episode goes on in the next rollout, and begins anew after that.
    _, bonus, _ = part.bonus(state, rollout.replace(first=jnp.roll(rollout.first, 3, axis=0)), context())
    np.testing.assert_allclose(bonus[:, 0], [1 / 2.1, 1 / 2.1, 1 / 3.1, 0.0, 10.0], rtol=1e-5)


@pytest.mark.slow
def test_rnd_falls_where_it_was_and_not_elsewhere():
    part = RND(OBS, learning_rate=1e-3, minibatches=3)
    state = part.init(jax.random.key(0), SPEC)
    here, there = visits([1, 2, 3] * T), visits([-4, -5, -6] * T)

    @jax.jit
    def see(state, i):
        return part.bonus(state, here, context().replace(key=jax.random.fold_in(jax.random.key(1), i)))

    state, first, _ = see(state, 0)
    for i in range(1, 200):
        state, bonus, metrics = see(state, i)
    assert bonus.shape == (T, N)
    assert float(bonus.mean()) < 0.05 * float(first.mean())
    assert float(part.error(state, there.next_obs).mean()) > 20 * float(bonus.mean())
    assert float(metrics["bonus/rnd_loss"]) < 0.05 * float(first.mean())


def test_the_target_of_rnd_stays_and_the_bonus_is_from_before_learning():
    part = RND(OBS, minibatches=1)
    state = part.init(jax.random.key(0), SPEC)
    rollout = visits([1, 2, 3] * T)
    after, bonus, _ = part.bonus(state, rollout, context())
    jax.tree.map(np.testing.assert_array_equal, after.target, state.target)
    np.testing.assert_allclose(bonus, part.error(state, rollout.next_obs), rtol=1e-6)
    assert float(after.moments.count) == T * N


@pytest.mark.slow
def test_the_predictor_of_rnd_learns_from_a_share_and_its_statistics_can_begin_elsewhere():
    rollout = visits([1, 2, 3] * T)
    with unchecked():
        start = RND(OBS).init(jax.random.key(0), SPEC)
        none, all_of_them, whole = (
            RND(OBS, minibatches=1, share=share).bonus(start, rollout, context())[0].predictor.params
            for share in (0.0, 1.0, None)
        )
    assert leaves_equal(none, start.predictor.params)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), all_of_them, whole)
    seen = np.random.default_rng(0).normal(3.0, 2.0, (500, 2)).astype(np.float32)
    part = RND(OBS, statistics=RunningMoments.zero((2,)).merge(jnp.asarray(seen)))
    state = part.init(jax.random.key(0), SPEC)
    np.testing.assert_allclose(state.moments.mean, seen.mean(0), rtol=1e-5)
    assert not np.allclose(part.error(state, rollout.next_obs), part.error(start, rollout.next_obs))


@pytest.mark.slow
def test_an_intrinsic_return_goes_on_where_episodes_end():
    """Advantages by loops: values of the stream's next observation, no cut; bonuses in units of their discounted sum's deviation."""
    gamma, lam = 0.9, 0.8
    rng = np.random.default_rng(3)
    ends = rng.random((T, N)) < 0.3
    one, two = (visits(rng.integers(0, 4, (T, N)), seed=seed) for seed in (1, 2))
    part = IntrinsicReturn(EPISODIC["inverse sqrt"], OBS, 0.5, 3.0, gamma, lam, minibatches=3)
    state, running, passed = part.init(jax.random.key(0), SPEC), np.zeros(N), []
    update = jax.jit(part.update)
    for rollout in (one, two):
        extrinsic = jnp.asarray(rng.normal(size=(T, N)), jnp.float32)
        rollout = rollout.replace(terminated=jnp.asarray(ends)).with_extras(advantage=extrinsic)  # noqa: PLW2901
        bonus = np.asarray(part.source.bonus(state.source, rollout, context())[1])
        for row in bonus:
            running = gamma * running + row
            passed.append(running)
        reward = bonus / np.std(passed)
        value = np.asarray(part._value(state.value.params, jnp.concatenate([rollout.obs, rollout.last.obs[None]])))
        advantage, expected = np.zeros(N), np.zeros((T, N))
        for t in reversed(range(T)):
            advantage = reward[t] + gamma * value[t + 1] - value[t] + gamma * lam * advantage
            expected[t] = 3.0 * extrinsic[t] + 0.5 * advantage
        state, out, _ = update(state, rollout, context())
        np.testing.assert_allclose(out.extras["advantage"], expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(out.reward, rollout.reward)
    with pytest.raises(RLJaxError, match="gae"):
        part.update(state, one, context())


def test_the_value_of_an_intrinsic_return_learns_it():
    """One place and one-step targets: the mean of the scaled bonuses over ``1 - gamma``."""
    part = IntrinsicReturn(Paid(), OBS, gamma=0.5, lam=0.0, learning_rate=1e-2, minibatches=1)
    rollout = visits(np.zeros((T, N))).with_extras(advantage=jnp.zeros((T, N)))
    state, keys = part.init(jax.random.key(0), SPEC), jax.random.split(jax.random.key(1), 400)

    @jax.jit
    def learn(state):
        return jax.lax.scan(lambda state, key: part.update(state, rollout, context().replace(key=key))[::2], state, keys)

    with unchecked():
        _, metrics = learn(state)
    assert float(metrics["intrinsic/value"][-1]) == pytest.approx(float(metrics["intrinsic/reward"][-1]) / 0.5, rel=0.02)


def test_noveld_pays_the_rise_alone():
    part = NovelD(RND(OBS, minibatches=1), scale=0.5)
    state = part.init(jax.random.key(0), SPEC)
    rollout = visits([1, 2, 3] * T)
    _, bonus, _ = part.bonus(state, rollout, context())
    error = lambda obs: np.sqrt(part.novelty.features * np.asarray(part.novelty.error(state, obs)))  # noqa: E731
    np.testing.assert_allclose(bonus, np.maximum(error(rollout.next_obs) - 0.5 * error(rollout.obs), 0), rtol=1e-5, atol=1e-6)
    assert (np.asarray(NovelD(part.novelty, 50.0).bonus(state, rollout, context())[1]) == 0).any()


@pytest.mark.slow
@pytest.mark.parametrize("space", [Discrete(3), Box.of(-1.0, 1.0, (2,))])
def test_inverse_dynamics_learns_the_action_and_icm_the_future(space):
    """The action moves the first number; the second is noise, which no action explains."""
    part = ICM(InverseDynamics(OBS, space, minibatches=3))
    spec = Spec(OBS, space, N, T)

    def moves(seed):
        rng = np.random.default_rng(seed)
        action = rng.integers(0, 3, (T, N)) if isinstance(space, Discrete) else rng.uniform(-1, 1, (T, N, 2))
        obs = rng.normal(size=(T, N, 2))
        step = action - 1 if isinstance(space, Discrete) else action[..., 0]
        after = np.stack([obs[..., 0] + 2 * step, rng.normal(size=(T, N))], axis=-1)
        rollout = rollout_of(
            rng.normal(size=(T, N)), obs=jnp.asarray(obs, jnp.float32), next_obs=jnp.asarray(after, jnp.float32)
        )
        return rollout.replace(action=jnp.asarray(action, space.dtype))

    step = jax.jit(lambda state, rollout, key: part.bonus(state, rollout, context().replace(key=key)))
    state = part.init(jax.random.key(0), spec)
    losses = []
    for i in range(300):
        state, bonus, metrics = step(state, moves(i), jax.random.fold_in(jax.random.key(2), i))
        losses.append(float(metrics["bonus/inverse_loss"]))
    assert bonus.shape == (T, N)
    assert np.mean(losses[-20:]) < 0.7 * np.mean(losses[:5])


def test_products_and_sums():
    one, two = LifetimeCount(reported("cell"), slots=4096), EpisodicCount(reported("cell"), slots=4096)
    rollout = visits([0, 1, 2, 0, 0, 1] * N)
    single = [part.bonus(part.init(jax.random.key(0), SPEC), rollout, context())[1] for part in (one, two)]
    for part, expected in (
        (Product((one, two)), single[0] * single[1]),
        (Sum((one, two), (2.0, 0.5)), 2 * single[0] + 0.5 * single[1]),
    ):
        _, bonus, _ = part.bonus(part.init(jax.random.key(0), SPEC), rollout, context())
        np.testing.assert_allclose(bonus, expected, rtol=1e-6)


def test_intrinsic_adds_the_scaled_bonus_and_keeps_the_reward():
    source = LifetimeCount(reported("cell"), slots=4096)
    rollout = visits([0, 1, 2, 0, 0, 1] * N)
    _, plain, _ = source.bonus(source.init(jax.random.key(0), SPEC), rollout, context())
    moments = RunningMoments.zero().merge(plain.reshape(-1))
    for scale, expected in ((False, plain), (True, plain / np.sqrt(moments.var + 1e-8))):
        part = intrinsic(source, 0.5, scale)
        _, out, metrics = part.update(part.init(jax.random.key(0), SPEC), rollout, context())
        np.testing.assert_allclose(out.reward, rollout.reward + 0.5 * expected, rtol=1e-5)
        np.testing.assert_array_equal(out.extras["extrinsic_reward"], rollout.reward)
        np.testing.assert_allclose(metrics["bonus/mean"], plain.mean(), rtol=1e-5)


def test_two_bonuses_of_a_chain_add_up_and_each_has_a_name():
    one, two = LifetimeCount(reported("cell"), slots=4096), EpisodicCount(reported("cell"), slots=4096)
    rollout = visits([0, 1, 2, 0, 0, 1] * N)
    plain = [part.bonus(part.init(jax.random.key(0), SPEC), rollout, context())[1] for part in (one, two)]
    both = rl.chain(intrinsic(one, 0.5, scale=False), intrinsic(two, 2.0, scale=False, name="episodic"))
    _, out, metrics = both.update(both.init(jax.random.key(0), SPEC), rollout, context())
    np.testing.assert_allclose(out.reward, rollout.reward + 0.5 * plain[0] + 2.0 * plain[1], rtol=1e-6)
    np.testing.assert_array_equal(out.extras["extrinsic_reward"], rollout.reward)
    for name, bonus in zip(("bonus", "episodic"), plain, strict=True):
        np.testing.assert_array_equal(out.extras[name], bonus)
        np.testing.assert_allclose(metrics[f"{name}/mean"], np.mean(bonus), rtol=1e-6)
    assert "bonus/lifetime_slots" in metrics
    twice = rl.chain(intrinsic(one), intrinsic(two))
    with pytest.raises(RLJaxError, match=r"has 'bonus' already: name this bonus, such as intrinsic\(source, name='bonus_2'\)"):
        twice.update(twice.init(jax.random.key(0), SPEC), rollout, context())


def test_two_parts_of_one_kind_in_a_sum_are_told_apart_by_a_number():
    count = LifetimeCount(reported("cell"), slots=4096)
    part = Sum((count, EpisodicCount(reported("cell"), slots=4096), count))
    _, _, metrics = part.bonus(part.init(jax.random.key(0), SPEC), visits([0, 1, 2] * T), context())
    assert metrics.keys() == {"bonus/lifetime_slots_1", "bonus/lifetime_slots_3"}


@pytest.mark.slow
def test_a_run_with_every_bonus_trains_and_reports_the_environments_return():
    env = rl.make("CartPole-v1")
    space, actions = env.observation_space(env.default_params), env.action_space(env.default_params)
    encoder = InverseDynamics(space, actions, features=4, hidden=(8,))
    rnd = RND(space, features=4, hidden=(8,))
    every = Sum((Product((E3B(encoder), NovelD(rnd))), ICM(encoder), LifetimeCount(), EpisodicCount(slots=64)))
    config = PPOConfig(num_envs=4, rollout_length=8, hidden=(8,))
    trainer = config.trainer(env)
    trainer = trainer.replace(experience=rl.chain(intrinsic(every, 0.1), trainer.experience))
    state = trainer.init(jax.random.key(0), 320)
    state, metrics = jax.jit(trainer.advance)(state, 10)
    assert np.isfinite([float(v) for v in metrics.values() if not np.isnan(v)]).all()
    assert float(metrics["reward/mean"]) == 1.0
    assert float(metrics["bonus/scaled"]) > 0
