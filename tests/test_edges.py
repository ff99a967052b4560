"""Numbers at the edge: bounds, masks, deviations near zero, observations that are not numbers, shapes of every rank."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import rollout_of

import rl_jax as rl
from rl_jax import replay
from rl_jax.errors import RLJaxError, UnsupportedSpace
from rl_jax.experience.bonus.inverse_dynamics import InverseDynamics
from rl_jax.experience.scaling import online
from rl_jax.experience.scaling.normalize import RunningMoments
from rl_jax.loop.collect import usable_end
from rl_jax.losses.c51 import Categorical51
from rl_jax.losses.quantile import Quantiles
from rl_jax.losses.td import ExpectedValue, td_target
from rl_jax.networks.actor_critic import actor_critic
from rl_jax.networks.critics import critics
from rl_jax.networks.distributions import LOG_STD, Categorical, DiagonalGaussian, MultiCategorical
from rl_jax.networks.q_network import q_network
from rl_jax.networks.squashed import TanhGaussian
from rl_jax.networks.streaming import stream_q_network
from rl_jax.networks.torsos import Conv, LayerNorm, to_float
from rl_jax.ops import within
from rl_jax.ops.sum_tree import SumTree
from rl_jax.replay import Prioritized, RankBased
from rl_jax.replay.prioritized import Priorities, update_priorities
from rl_jax.spaces import Box, Discrete, MultiDiscrete, to_env_action, to_unit_action
from rl_jax.types import Spec

INF, NAN = math.inf, math.nan


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [jnp.int8, jnp.uint8, jnp.int16, jnp.int32, jnp.uint32])
@pytest.mark.parametrize(("low", "high"), [(0, 3), (-3, 3), (7, 7), (0, 100)])
def test_a_box_of_whole_numbers_plays_each_as_often(dtype, low, high):
    if low < 0 and jnp.issubdtype(dtype, jnp.unsignedinteger):
        low, high = low + 3, high + 3
    space = Box.of(low, high, (), dtype)
    number = high - low + 1
    grid = (np.arange(40 * number) + 0.5) / (20 * number) - 1.0
    played = np.asarray(to_env_action(space, jnp.asarray(grid, jnp.float32)))
    assert played.dtype == dtype
    values, counts = np.unique(played, return_counts=True)
    np.testing.assert_array_equal(values, np.arange(low, high + 1))
    assert counts.min() >= 39 and counts.max() <= 41
    assert to_env_action(space, jnp.float32(5.0)) == high and to_env_action(space, jnp.float32(-5.0)) == low
    every = jnp.arange(low, high + 1).astype(dtype)
    np.testing.assert_array_equal(to_env_action(space, to_unit_action(space, every)), every)


#: Subnormal numbers are zero where the processor is told to flush them.
BOUND = st.floats(-(2.0**127), 2.0**127, width=32, allow_subnormal=False)


@given(BOUND, BOUND, st.floats(-2, 2, width=32))
@settings(max_examples=100, deadline=None)
def test_no_action_leaves_its_box(a, b, unit):
    """Neither by rounding, nor where both bounds are one number or the box is as wide as float32."""
    low, high = min(a, b), max(a, b)
    space = Box.of(low, high, ())
    with jax.disable_jit():
        played = np.asarray([to_env_action(space, jnp.float32(u)) for u in (unit, -1.0, 1.0)], np.float64)
    assert np.isfinite(played).all() and (played >= low).all() and (played <= high).all()
    assert played[1] == low and played[2] == high


def test_bounds_count_element_by_element():
    space = Box.of([0.0, -INF, -1.0, -INF], [INF, 2.0, 3.0, INF], (4,))
    unit = jnp.asarray([[-30.0] * 4, [0.0] * 4, [1.0] * 4, [30.0] * 4])
    played = np.asarray(to_env_action(space, unit), np.float64)
    soft = np.log1p(np.exp(np.asarray(unit, np.float64)))
    expected = np.stack([soft[:, 0], 2.0 - soft[:, 1], np.clip(unit[:, 2], -1, 1) * 2.0 + 1.0, unit[:, 3]], axis=1)
    np.testing.assert_allclose(played, expected, rtol=1e-5, atol=1e-6)
    back = to_unit_action(space, jnp.asarray(played[1:3], jnp.float32))
    np.testing.assert_allclose(back, np.asarray(unit[1:3]), atol=1e-5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Discrete(0), "whole number of choices"),
        (lambda: Discrete(2.5), "whole number of choices"),
        (lambda: MultiDiscrete(()), "at least one part"),
        (lambda: MultiDiscrete((3, 0)), "whole number of choices"),
        (lambda: Box.of(0, 1, (0,)), "at least one element"),
        (lambda: Box.of(1, 0, (2,)), "swap them"),
        (lambda: Box.of([0, math.nan], 1, (2,)), "not NaN"),
        (lambda: Box.of(0, 300, (), jnp.uint8), "another dtype"),
        (lambda: Box.of(0.2, 0.8, (), jnp.int32), "widen them"),
        (lambda: Box((0.0,), (1.0,), (2,)), "needs 2 bounds"),
        (lambda: Box.of(0, 1, (), "foo"), "dtype is one of real numbers .*, not 'foo'"),
        (lambda: Box.of(0, 1, (), None), "dtype is one of real numbers .*, not None"),
        (lambda: Box.of(0, 1, (), jnp.complex64), "dtype is one of real numbers"),
        (lambda: Box((0.0,), (1.0,), (1,), np.dtype("U1")), "dtype is one of real numbers"),
        (lambda: Box.of(0, 1, 3), "shape is a tuple of sizes"),
        (lambda: Box.of(0, 1, (-1,)), "shape is a tuple of sizes"),
        (lambda: Box((0.0,), (1.0,), 1), "shape is a tuple of sizes"),
        (lambda: Box.of([0, 1, 2], 1, (2,)), r"one number, or numbers of shape \(2,\)"),
        (lambda: Box.of("a", 1, (2,)), "one number, or numbers of shape"),
        (lambda: Box(("a",), (1.0,), (1,)), "must be numbers, not"),
        (lambda: Box.of(INF, INF, (2,)), "infinite on one side"),
        (lambda: Box.of(-INF, -INF, ()), "infinite on one side"),
        (lambda: MultiDiscrete(3), "a list with a number of choices"),
        (lambda: MultiDiscrete("ab"), "a list with a number of choices"),
    ],
)
def test_a_space_that_nothing_fits_in_is_refused(make, words):
    with pytest.raises(UnsupportedSpace, match=words):
        make()


def test_a_box_of_arrays_is_hashable():
    space = Box(np.zeros(2), np.ones(2), [2])
    assert hash(space) == hash(Box.of(0, 1, (2,))) and space == Box.of(0, 1, (2,))


def test_what_is_no_choice_has_no_probability():
    actions = jnp.asarray([-1, 0, 1, 2])
    np.testing.assert_allclose(
        Categorical(jnp.zeros((4, 2))).log_prob(actions), [-INF, -np.log(2), -np.log(2), -INF], rtol=1e-6
    )
    two = MultiCategorical(jnp.zeros((4, 5)), (2, 3))
    log_p = two.log_prob(jnp.asarray([[0, 2], [1, 3], [2, 0], [-1, 0]]))
    np.testing.assert_allclose(log_p, [-np.log(6), -INF, -INF, -INF], rtol=1e-6)


#: Always as many: one program for all examples.
LOGITS = st.lists(st.sampled_from([-INF, -1e4, -1.0, 0.0, 0.5, 88.0, 1e4]), min_size=4, max_size=4)


def _probabilities(logits):
    """In double precision; all are allowed where none is."""
    logits = np.asarray(logits, np.float64)
    if np.isneginf(logits).all():
        logits = np.zeros_like(logits)
    p = np.exp(logits - logits.max())
    return p / p.sum()


@jax.jit
def _categorical(logits):
    """What a categorical says: log probabilities of all actions, entropy, distance to itself, a gradient, 64 draws."""
    policy = Categorical(logits)

    def statistics(x):
        policy, other = Categorical(x), Categorical(jnp.zeros_like(x))
        return policy.entropy() + policy.kl(other) + policy.log_prob(policy.mode())

    log_p = jax.vmap(policy.log_prob)(jnp.arange(len(logits)))
    drawn = jax.vmap(policy.sample)(jax.random.split(jax.random.key(0), 64))
    return log_p, policy.entropy(), policy.kl(policy), jax.grad(statistics)(policy.logits), drawn


@given(LOGITS)
@settings(max_examples=60, deadline=None)
def test_categoricals_are_right_where_choices_are_forbidden(logits):
    p = _probabilities(logits)
    log_p, entropy, distance, slope, drawn = _categorical(jnp.asarray(logits, jnp.float32))
    with np.errstate(divide="ignore"):
        expected = np.log(p)
    for action in range(len(logits)):
        got = float(log_p[action])
        assert got == pytest.approx(expected[action], rel=1e-5, abs=1e-5) or (expected[action] < -700 and got < -700)
    inside = p > 0
    assert float(entropy) == pytest.approx(-np.sum(p[inside] * np.log(p[inside])), abs=1e-5)
    assert float(distance) == pytest.approx(0.0, abs=1e-6)
    assert np.isfinite(slope).all()
    assert p[np.asarray(drawn)].min() > 0


@pytest.mark.slow
def test_one_batch_of_categoricals_is_as_many_by_themselves():
    nvec = (3, 1, 4)
    logits = jax.random.normal(jax.random.key(0), (2, 5, sum(nvec))).at[0, 0, 0].set(-INF)
    many, others = MultiCategorical(logits, nvec), MultiCategorical(jnp.zeros_like(logits), nvec)
    action = many.sample(jax.random.key(1))
    assert action.shape == (2, 5, 3) and (action < np.asarray(nvec)).all() and (action >= 0).all()
    cuts = [(0, 3), (3, 4), (4, 8)]
    parts = [Categorical(logits[..., a:b]) for a, b in cuts]
    np.testing.assert_allclose(many.log_prob(action), sum(p.log_prob(action[..., i]) for i, p in enumerate(parts)), rtol=1e-5)
    np.testing.assert_allclose(many.entropies(), jnp.stack([p.entropy() for p in parts], -1), atol=1e-6)
    np.testing.assert_allclose(
        many.kl(others), sum(p.kl(Categorical(jnp.zeros_like(p.logits))) for p in parts), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_array_equal(many.mode(), jnp.stack([p.mode() for p in parts], -1))
    size = [len(jax.make_jaxpr(lambda x, n=n: MultiCategorical(x, (3,) * n).entropy())(jnp.zeros(3 * n)).eqns) for n in (2, 64)]
    assert size[0] == size[1]  # what is compiled does not grow with the parts


@pytest.mark.slow
@pytest.mark.parametrize("std", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("kind", [DiagonalGaussian, TanhGaussian])
def test_gaussians_are_right_at_deviations_near_nothing_and_beyond_all(kind, std):
    mean, log_std = jnp.asarray([0.0, 0.5]), jnp.full(2, math.log(std))
    bound = 1.0 if kind is TanhGaussian else 3.0
    for action in (mean, jnp.asarray([-bound, bound])):

        def density(mean, log_std, action=action):
            return kind(mean, log_std).log_prob(action)

        value, grads = jax.value_and_grad(density, argnums=(0, 1))(mean, log_std)
        assert np.isfinite(value) and all(np.isfinite(g).all() for g in grads)
        if kind is DiagonalGaussian:
            z = (np.asarray(action, np.float64) - np.asarray(mean, np.float64)) / std
            assert float(value) == pytest.approx(
                float(np.sum(-0.5 * z**2 - math.log(std) - 0.5 * math.log(2 * math.pi))), rel=1e-4
            )
    sample = kind(mean, log_std).sample(jax.random.key(0))
    assert np.isfinite(sample).all()
    if kind is DiagonalGaussian:
        other = DiagonalGaussian(mean, jnp.zeros(2))
        expected = 2 * (-math.log(std) + (std**2 - 1) / 2)
        assert float(kind(mean, log_std).kl(other)) == pytest.approx(float(expected), rel=1e-4)
        assert np.isfinite(jax.grad(lambda s: kind(mean, s).kl(other) + kind(mean, s).entropy())(log_std)).all()


@pytest.mark.slow
def test_a_bound_on_a_learned_number_lets_it_come_back():
    x = jnp.asarray([-1e6, -3.0, -2.0, -1.5, 0.0, 1.9, 2.0, 3.0, 5.0, 1e6])
    value, slope = jax.vmap(jax.value_and_grad(lambda x: within(x, -3.0, 3.0)))(x)
    np.testing.assert_array_equal(value[2:7], x[2:7])
    np.testing.assert_allclose(value[jnp.asarray([1, 7, 8])], [-2.5, 2.5, 2.75])
    assert (jnp.abs(value) <= 3.0).all() and (slope > 0).all()
    np.testing.assert_allclose(slope[2:7], 1.0)
    np.testing.assert_allclose(slope[7:9], [1 / 4, 1 / 16])
    assert jax.jvp(lambda x: within(x, -3.0, 3.0), (x,), (jnp.ones_like(x),))[1].shape == x.shape  # in either direction


def test_the_deviation_of_an_action_that_does_nothing_stays_bounded():
    """Ascending the entropy alone, which is all that such an action gets."""
    spec = Spec(Box.of(-1, 1, (2,)), Box.of(-1, 1, (3,)), 1, 1)
    network = actor_critic(spec)
    obs, first = jnp.zeros((1, 1, 2)), jnp.zeros((1, 1), bool)
    params = network.init(jax.random.key(0), (), obs, first)

    def loss(params):
        return -jnp.sum(network.apply(params, (), obs, first)[1].policy.entropy())

    rise = jax.jit(lambda params: jax.tree.map(lambda p, g: p - 0.1 * g, params, jax.grad(loss)(params)))
    for _ in range(600):
        params = rise(params)
    policy = network.apply(params, (), obs, first)[1].policy
    assert (policy.log_std < LOG_STD[1]).all() and (policy.log_std > LOG_STD[1] - 0.5).all()


SHAPES = [(), (1,), (5,), (2, 3), (1, 1, 1), (2, 9, 1), (3, 3, 2), (10, 10, 4), (2, 2, 2, 2)]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_an_observation_is_served(shape):
    """By every builder of a network: traced, not compiled."""
    for dtype, high in ((jnp.float32, INF), (jnp.uint8, 255)):
        space = Box.of(-INF if high is INF else 0, high, shape, dtype)
        obs, first = jnp.zeros((2, 3, *shape), dtype), jnp.zeros((2, 3), bool)
        discrete, box = Spec(space, Discrete(3), 3, 2), Spec(space, Box.of(-1, 1, (2,)), 3, 2)

        def whole(network, spec, obs=obs, first=first):
            return jax.eval_shape(
                lambda key: network.init_with_output(key, network.initial_carry(3), obs, first), jax.random.key(0)
            )[0][1]

        assert whole(actor_critic(discrete), discrete).policy.logits.shape == (2, 3, 3)
        assert whole(actor_critic(box, memory="gru"), box).policy.mean.shape == (2, 3, 2)
        assert whole(q_network(discrete), discrete).raw.shape == (2, 3, 3, 1)
        assert whole(stream_q_network(discrete), discrete).raw.shape == (2, 3, 3, 1)
        both = critics(box)
        values = jax.eval_shape(partial(both.init_with_output, jax.random.key(0)), obs[0], jnp.zeros((3, 2)))[0]
        assert values.shape == (2, 3)


def test_a_convolution_larger_than_its_image_says_so():
    with pytest.raises(UnsupportedSpace, match="a kernel of 3 has no place on 2 x 9"):
        jax.eval_shape(Conv(4).init, jax.random.key(0), jnp.zeros((1, 2, 9, 1)))


def test_small_whole_numbers_are_scaled_by_their_bounds():
    x = jnp.asarray([[0, 7, 3]], jnp.uint8)
    np.testing.assert_allclose(to_float(x, Box.of(0, 7, (3,), jnp.uint8)), np.asarray(x) / 7.0, rtol=1e-6)
    np.testing.assert_allclose(to_float(x, Box.of(0, 255, (3,), jnp.uint8)), np.asarray(x) / 255.0, rtol=1e-6)
    np.testing.assert_allclose(to_float(x, Box.of(0, [1, 7, 14], (3,), jnp.uint8)), [[0, 1, 3 / 14]], rtol=1e-6)


def test_layer_normalisation_keeps_its_scale_far_from_zero():
    x = 3000.0 + jax.random.normal(jax.random.key(0), (64, 128))
    y = LayerNorm(affine=False).apply({}, x)
    np.testing.assert_allclose(jnp.std(y, axis=-1), 1.0, atol=0.01)


@jax.jit
def _merged(batches):
    """The moments of all batches, merged one after the other."""
    return jax.lax.scan(lambda moments, batch: (moments.merge(batch), None), RunningMoments.zero((3,)), batches)[0]


@pytest.mark.parametrize("bad", [math.nan, INF, -INF, 3e38])
def test_one_bad_observation_leaves_running_moments_alone(bad):
    good = np.random.default_rng(0).normal(5.0, 2.0, (50, 8, 3)).astype(np.float32)
    shown = good.copy()
    shown[25, 2, 1] = bad
    moments = _merged(shown)
    np.testing.assert_allclose(moments.mean, good.mean((0, 1)), atol=0.05)
    np.testing.assert_allclose(moments.var, good.var((0, 1)), rtol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("bad", [math.nan, INF, -INF])
def test_one_bad_priority_leaves_a_buffer_alone(bad):
    state = Priorities(SumTree.of(jnp.asarray([1.0, 2.0, 3.0, 0.0])), (), jnp.ones(()))
    after = update_priorities(state, jnp.asarray([0, 1, 3]), jnp.asarray([bad, 5.0, 5.0]))
    np.testing.assert_array_equal(after.tree.leaves[:4], [1.0, 5.0, 3.0, 0.0])
    assert float(after.largest) == 5.0 and float(after.tree.total) == 9.0
    wide = update_priorities(state, jnp.asarray([0, 1, 2]), jnp.full(3, 3.4e38))
    assert np.isfinite(wide.tree.total) and len(set(np.asarray(wide.tree.sample(jax.random.key(0), 64)).tolist())) == 3


@pytest.mark.slow
def test_what_follows_a_termination_is_never_looked_at():
    nothing = jnp.asarray([math.nan, 2.0])
    discount, reward = jnp.asarray([0.0, 0.9]), jnp.asarray([1.0, 1.0])
    batch = rollout_of(reward[None], terminated=jnp.asarray([[True, False]]), discount=jnp.full((1, 2), 0.9))
    target = td_target(batch, nothing[None])
    assert target[0, 0] == 1.0 and np.isfinite(target).all()
    for loss, atoms in ((ExpectedValue(), 1), (Quantiles(atoms=5), 5), (Categorical51(-2.0, 2.0, 5), 5)):
        following = jnp.broadcast_to(nothing[:, None], (2, atoms))

        def total(chosen, loss=loss, following=following):
            return jnp.sum(loss.loss(chosen, following, reward, discount)[0])

        value, grad = jax.value_and_grad(total)(jnp.zeros((2, atoms)))
        assert np.isfinite(value) and np.isfinite(grad).all()


def test_the_last_observation_of_an_episode_may_be_no_number():
    obs = jnp.asarray([[math.nan, 1.0], [math.nan, 2.0], [3.0, INF]])
    got = np.asarray(usable_end(obs, jnp.asarray([True, False, True])))
    np.testing.assert_array_equal(got, [[0.0, 1.0], [math.nan, 2.0], [3.0, 0.0]])
    whole = jnp.asarray([[7]], jnp.uint8)
    assert usable_end(whole, jnp.asarray([True])) is whole


class _Drifting:
    """Declares observations in ``[0, 1]``, and shows its time."""

    name, default_params, time_limit = "drifting", (), None

    def observation_space(self, params):
        return Box.of(0, 1, (2,))

    def action_space(self, params):
        return Discrete(2)

    def reset(self, key, params):
        return jnp.zeros((), jnp.int32), jnp.zeros(2)

    def step(self, key, state, action, params):
        obs = jnp.stack([jnp.ones(()), state * 0.5])
        return rl.types.Step(state + 1, obs, jnp.where(state == 3, jnp.nan, 0.0), state > 6, jnp.zeros((), bool), {})


def test_an_environment_that_leaves_its_space_is_told_where():
    rl.envs.check_env(_Drifting())
    with pytest.raises(rl.errors.ProtocolError, match=r"element \[1\] goes from 0 to 3.5 in 20 random") as error:
        rl.envs.check_env(_Drifting(), steps=20)
    assert "reward is NaN or infinite in 3 of 20" in str(error.value)
    rl.envs.check_env(rl.make("CartPole-v1"), steps=50)


# -------------------------------------------------------------------------------------------------------- chances of draws


@pytest.mark.slow
@pytest.mark.parametrize(
    "sampler", [Prioritized(alpha=8.0), Prioritized(epsilon=0.0), Prioritized(alpha=8.0, score=lambda r: r), RankBased()]
)
@pytest.mark.parametrize("report", [0.0, 1e-6, 1e-40])
def test_no_report_makes_a_step_undrawable(sampler, report):
    """The power of a small error is below float32, and zero is the sign of what may not be drawn."""
    chances = jnp.asarray([1.0] * 9 + [0.0])
    state = Priorities(SumTree.of(chances), (), jnp.ones(()))
    steps = jnp.arange(10)
    state = sampler.update(state, steps, jnp.full(10, report, jnp.float32))
    leaves = np.asarray(state.tree.leaves[:10])
    assert np.all(leaves[:9] > 0)
    assert np.all(leaves[:9] == leaves[0])
    assert leaves[9] == 0
    assert set(np.asarray(state.tree.sample(jax.random.key(0), 200))) == set(range(9))
    leaves = np.asarray(sampler.update(state, steps, jnp.ones(10)).tree.leaves[:10])
    np.testing.assert_allclose(leaves, chances, rtol=1e-4)


INVERSE = InverseDynamics(Box.of(0, 1, (2,)), Discrete(2))
OUT_OF_RANGE = {
    "decay": (replay.Recent, (0.0, -1.0, NAN, 2.0)),
    "alpha": (Prioritized, (-1.0, NAN, INF, "x")),
    "beta": (Prioritized, (-0.1, NAN)),
    "beta_end": (RankBased, (NAN, None)),
    "epsilon": (Prioritized, (-1e-6, NAN)),
    "num_tasks": (replay.StratifiedByTask, (0, 2.5, True)),
    "n": (partial(replay.NStep, 0.9), (0, 1.5, "3")),
    "k": (partial(replay.hindsight, None, None, None), (-1.0, NAN)),
    "gamma": (rl.experience.GAE, (-0.1, 1.1, NAN, "x")),
    "lam": (rl.experience.TrialGAE, (2.0,)),
    "clip": (rl.experience.NormalizeObs, (0.0, -1.0, NAN)),
    "low": (rl.experience.ClipReward, (NAN, "x")),
    "weight": (partial(rl.experience.Intrinsic, None), (NAN, INF)),
    "learning_rate": (partial(rl.experience.RND, Discrete(3)), (-1.0, NAN, "1e-3")),
    "ridge": (partial(rl.experience.E3B, INVERSE), (0.0, -1.0)),
}


@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_numbers_out_of_range_are_refused_where_a_part_is_bound(name):
    part, wrong = OUT_OF_RANGE[name]
    for value in wrong:
        made = part(**{name: value})
        args = (None, None) if (hasattr(made, "update") and not hasattr(made, "draw")) or hasattr(made, "bonus") else (None,)
        with pytest.raises(RLJaxError, match=rf"{name} must be .*, not '?{value}"):
            made.init(*args)


def test_infinite_bounds_and_traced_numbers_pass():
    spec = Spec(Box.of(0, 1, (2,)), Discrete(2), 2, 4)
    rl.experience.NormalizeObs(clip=INF).init(None, spec)
    rl.experience.ClipReward(low=-INF).init(None, spec)
    jax.eval_shape(lambda gamma: rl.experience.GAE(gamma).init(None, spec), jnp.float32(2.0))


@pytest.mark.parametrize("bad", [NAN, INF, 3e38])
def test_what_is_left_out_of_running_moments_does_not_count(bad):
    """Half of an element's items, all of another's, none of a third's."""
    shown = np.random.default_rng(0).normal(5.0, 2.0, (64, 3)).astype(np.float32)
    shown[::2, 0] = shown[:, 1] = bad
    moments = RunningMoments.zero((3,)).merge(jnp.asarray(shown))
    np.testing.assert_allclose(moments.mean, [shown[1::2, 0].mean(), 0.0, shown[:, 2].mean()], rtol=1e-5)
    np.testing.assert_allclose(moments.var, [shown[1::2, 0].var(), 1.0, shown[:, 2].var()], rtol=1e-5)
    for nothing in (jnp.full((64, 3), bad), jnp.zeros((0, 3))):
        jax.tree.map(np.testing.assert_array_equal, moments.merge(nothing), moments)


def test_what_is_left_out_of_a_stream_does_not_count():
    moments = RunningMoments.zero((2,))
    jax.tree.map(np.testing.assert_array_equal, online.push(moments, jnp.full(2, NAN)), moments)
    for item in ([1.0, 1.0], [3.0, 3.0], [NAN, 5.0]):
        moments = online.push(moments, jnp.asarray(item))
    np.testing.assert_allclose(moments.mean, [2.0, 3.0])
    np.testing.assert_allclose(moments.var, [1.0, 8 / 3], rtol=1e-6)


class _Odd(_Drifting):
    """Right, but for what it is told."""

    def __init__(self, **what):
        self.__dict__.update({"name": "odd", "bad": 0.0, "at_reset": 0.0, **what})

    def observation_space(self, params):
        return Box.of(-INF, INF, (2,))

    def reset(self, key, params):
        return jnp.zeros((), jnp.int32), jnp.full(2, self.at_reset)

    def step(self, key, state, action, params):
        no = jnp.zeros((), bool)
        return rl.types.Step(state + 1, jnp.full(2, self.bad), jnp.zeros(()), no, no, {})


@pytest.mark.parametrize(
    ("env", "steps", "message"),
    [
        *((_Odd(time_limit=limit), 0, "time_limit must be an integer from 1") for limit in (0, -1, "5", 5.5, NAN, True)),
        *((_Odd(name=name), 0, "name is .*, expected a text") for name in (None, 5, "")),
        (_Odd(bad=INF), 5, "NaN or infinite after 5 of 5 random steps and 0 of 6 resets"),
        (_Odd(at_reset=NAN), 5, "NaN or infinite after 0 of 5 random steps and 6 of 6 resets"),
        *((_Odd(), steps, "steps must be an integer from 0") for steps in (2.5, "5", NAN, -1)),
        (_Odd, 0, "_Odd is a class; pass an object of it"),
    ],
)
def test_what_no_environment_may_be(env, steps, message):
    with pytest.raises(RLJaxError, match=message):
        rl.envs.check_env(env, steps=steps)


def test_limits_that_are_none_are_refused():
    for limit in ("9", 0, -1, 1.5, NAN, True, 2**40):
        for make in (
            lambda limit: rl.envs.adapt(_Odd(), time_limit=limit),
            lambda limit: rl.make("CartPole-v1", time_limit=limit),
        ):
            with pytest.raises(RLJaxError, match=r"time_limit must be an integer from 1 .*; leave it out"):
                make(limit)
    assert rl.envs.adapt(_Odd(), time_limit=np.int64(9)).time_limit == 9


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("trial/darkroom", {"episodes": 1.5}, "a trial's episodes must be an integer from 1 to 2147483647 or none, not 1.5"),
        ("trial/darkroom", {"episodes": NAN}, "episodes must be an integer from 1"),
        ("trial/bandit", {"episodes": 1e12}, "episodes must be an integer from 1"),
        ("trial/bandit", {"steps": 2**40}, "steps must be an integer from 1"),
        ("trial/bandit", {"redraw": 5}, "redraw must be a number from 0 to 1, not 5"),
        ("trial/bandit", {"redraw": NAN}, "redraw must be a number from 0 to 1, not nan"),
        ("trial/bandit", {"feedback": "maybe"}, "feedback must be true or false, not 'maybe'"),
        ("trial/bandit", {"arms": 1_000_000_000}, "arms must be an integer from 2 to 100000, not 1000000000"),
        ("trial/bandit", {"arms": 2.5}, "arms must be an integer"),
        ("trial/bandit", {"good": "x"}, "good must be a number .* or none, not 'x'"),
        ("trial/bandit", {"reward": "beta"}, "reward must be 'bernoulli' or 'gaussian', not 'beta'"),
        ("grid/darkroom", {"size": 100_000_000}, "size must be an integer from 2 to 1000"),
        ("grid/darkroom", {"one_hot": 3}, "one_hot must be true or false"),
        ("grid/darkroom-hard", {"time_limit": 0}, "time_limit must be an integer"),
        ("grid/dark-key-door", {"size": 2.5}, "size must be an integer"),
        ("grid/dark-key-door", {"terminate": "no"}, "terminate must be true or false"),
        ("grid/multi-room", {"rooms": 3.5}, "rooms must be an integer from 2 to 16"),
        ("grid/multi-room", {"size": 10**6}, "size .* must be an integer from 4 to 100"),
        ("grid/multi-room", {"view": NAN}, "view must be an integer from 3 to 99"),
        ("grid/multi-room", {"seed": 0.5}, "seed must be an integer from 0"),
        ("grid/key-corridor", {"rows": 10**6}, "rows must be an integer from 1 to 100"),
        ("grid/key-maze", {"side": 10**6}, "side must be an integer from 2 to 100"),
        ("grid/key-maze", {"sticky": 2.0}, "sticky must be a number from 0 to 1"),
        ("grid/objects", {"size": 10**6}, "size must be an integer from 2 to 1000"),
        ("grid/objects", {"objects": 1.5}, "objects must be an integer"),
        ("grid/noisy-tv", {"action": 1.5}, "action must be an integer from 0 to 3 or none"),
        ("grid/noisy-tv", {"size": 10**6}, "size must be an integer from 1 to 1000 or none"),
        ("probe/memory", {"delay": -1}, "delay must be an integer from 0"),
        ("probe/memory", {"delay": NAN}, "delay must be an integer from 0"),
    ],
)
def test_options_of_our_own_environments_have_ranges(name, options, message):
    with pytest.raises(RLJaxError, match=message) as error:
        rl.make(name, **options)
    assert "\n" not in str(error.value)
