"""Groups of episodes that began alike: advantages, weights, problems, and minibatches that keep them together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import Clock, context, rollout_of

import rl_jax as rl
from rl_jax.agents.policy_gradient.minibatches import sweep_minibatches
from rl_jax.curricula.prompts import Prompts
from rl_jax.errors import RLJaxError
from rl_jax.experience.advantage.group import group_advantage
from rl_jax.experience.reference import reference
from rl_jax.experience.selection.good_enough import good_enough
from rl_jax.experience.weights import own_weight
from rl_jax.loop.evaluate import start_episodes
from rl_jax.losses import ClippedPolicy, KLDiagnostic, NegativeEntropy, weighted_sum
from rl_jax.losses.clipped import ClippedTokens
from rl_jax.losses.mirror import RatioPolicy
from rl_jax.losses.proximal import ProximalMix
from rl_jax.losses.reference_kl import ReferenceKL
from rl_jax.networks.actor_critic import Outputs
from rl_jax.networks.distributions import Categorical
from rl_jax.ops.groups import group_alike, group_std, grouped, leave_one_out, ungrouped
from rl_jax.types import Sample

CLOCK = Clock(5)
numbers = st.floats(-100, 100, width=32)


def rewards(draw, groups, size, length=3):
    return np.asarray(draw(st.lists(numbers, min_size=groups * size * length, max_size=groups * size * length)), np.float32)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.data(), st.sampled_from([2, 3, 4]), st.sampled_from(["mean", "leave-one-out"]), st.sampled_from(["std", "none"]))
def test_advantages_are_those_of_a_loop_over_groups(data, size, baseline, scale):
    reward = rewards(data.draw, 2, size).reshape(3, 2 * size)
    rollout = rollout_of(jnp.asarray(reward))
    _, result, _ = group_advantage(size, baseline, scale).update((), rollout, context())
    outcome = reward.astype(np.float64).sum(0)
    for column in range(2 * size):
        group = outcome[column // size * size : (column // size + 1) * size]
        others = np.delete(group, column % size)
        expected = outcome[column] - (group.mean() if baseline == "mean" else others.mean())
        expected /= group.std(ddof=1) + 1e-6 if scale == "std" else 1.0
        got = np.asarray(result.extras["advantage"])[:, column]
        assert (got == got[0]).all()
        if np.ptp(group) > 1e-3 or np.ptp(group) == 0:  # otherwise rounding of the sums decides
            np.testing.assert_allclose(got[0], expected, rtol=2e-3, atol=2e-3)
        np.testing.assert_allclose(result.extras["pass_rate"][0, column], group.mean(), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("baseline", ["mean", "leave-one-out"])
def test_a_group_of_equal_outcomes_has_no_advantage(baseline):
    """Exactly: the mean of eight times 0.3 is not 0.3, and over an epsilon the difference would be an advantage of 0.03."""
    reward = jnp.full((1, 8), 0.3, jnp.float32)
    assert float(jnp.mean(reward) - reward[0, 0]) != 0 or float((jnp.sum(reward) - 0.3) / 7) != 0.3
    _, result, metrics = group_advantage(8, baseline).update((), rollout_of(reward), context())
    assert not result.extras["advantage"].any() and metrics["group/mixed"] == 0


def test_groups_are_neighbours():
    x = jnp.arange(6.0)
    np.testing.assert_array_equal(grouped(x, 3), [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(ungrouped(grouped(x, 2)), x)
    np.testing.assert_array_equal(leave_one_out(x, 3), [1.5, 1, 0.5, 4.5, 4, 3.5])
    np.testing.assert_array_equal(group_alike(jnp.asarray([1.0, 1.0, 1.0, 2.0]), 2), [True, True, False, False])
    with pytest.raises(RLJaxError, match="6 columns are no groups of 4"):
        grouped(x, 4)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=3, max_size=3), st.sampled_from(["token", "sequence"])
)
def test_weights_have_mean_1_and_leave_out_what_is_not_own(own, rule):
    own = np.asarray(own)
    rollout = rollout_of(jnp.zeros((3, 4)), own=jnp.asarray(own))
    _, result, _ = own_weight(rule).update((), rollout, context())
    weight = np.asarray(result.extras["weight"])
    assert not weight[~own].any()
    if own.any():
        assert weight.mean() == pytest.approx(1.0, rel=1e-5)
        sums = weight.sum(0)[own.any(0)]
        alike = weight[own] if rule == "token" else sums
        np.testing.assert_allclose(alike, alike[0], rtol=1e-5)


def test_constant_weights_do_not_know_the_lengths():
    own = jnp.asarray([[True, True], [False, True]])
    _, result, _ = own_weight("constant").update((), rollout_of(jnp.zeros((2, 2)), own=own), context())
    np.testing.assert_array_equal(result.extras["weight"], [[1, 1], [0, 1]])


@pytest.mark.parametrize(("least", "kept"), [(1.0, [1, 2]), (2.5, [2]), (9.0, [])])
def test_only_good_episodes_are_learned_from(least, kept):
    reward = jnp.asarray([[0.5, 1.0, 2.0], [0.0, 0.0, 1.0]])
    rollout = rollout_of(reward, weight=jnp.asarray([[1.0, 1.0, 1.0], [0.0, 2.0, 1.0]]))
    _, result, metrics = good_enough(least).update((), rollout, context())
    expected = np.where(np.isin(np.arange(3), kept), np.asarray(rollout.extras["weight"]), 0.0)
    np.testing.assert_allclose(result.extras["weight"], expected / (expected.mean() or 1.0), rtol=1e-6)
    assert metrics["selection/kept"] == pytest.approx(len(kept) / 3)


def outputs_of(logits):
    return Outputs(Categorical(logits), jnp.zeros(logits.shape[:-1]), logits)


def test_what_has_no_weight_has_no_gradient():
    random = np.random.default_rng(0)
    logits = jnp.asarray(random.normal(size=(3, 4, 5)), jnp.float32)
    weight = jnp.asarray(random.integers(0, 2, (3, 4)), jnp.float32)
    rollout = rollout_of(
        jnp.zeros((3, 4)),
        log_prob=jnp.full((3, 4), -1.5),
        advantage=jnp.asarray(random.normal(size=(3, 4)), jnp.float32),
        weight=weight,
    ).replace(action=jnp.zeros((3, 4), jnp.int32))

    def loss(logits):
        return weighted_sum({"a": ClippedTokens()}, {"a": 1.0}, (), rollout, context(outputs=outputs_of(logits)))

    grads, metrics = jax.grad(loss, has_aux=True)(logits)
    assert not np.asarray(grads)[np.asarray(weight) == 0].any()
    ratio = np.exp(np.asarray(jax.nn.log_softmax(logits))[..., 0] + 1.5)
    advantage = np.asarray(rollout.extras["advantage"])
    each = -np.minimum(ratio * advantage, np.clip(ratio, 0.8, 1.2) * advantage)
    assert metrics["loss/a"] == pytest.approx((each * np.asarray(weight)).mean(), rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.floats(-3, 3, width=32), st.floats(-2, 2, width=32), st.sampled_from([None, 3.0]))
def test_the_clipped_surrogate_has_two_bounds_and_a_third(log_ratio, advantage, dual):
    rollout = rollout_of(
        jnp.zeros((1, 1)), log_prob=jnp.full((1, 1), -log_ratio), advantage=jnp.full((1, 1), advantage)
    ).replace(action=jnp.zeros((1, 1), jnp.int32))
    certain = outputs_of(jnp.zeros((1, 1, 1)))  # log-probability 0
    loss, metrics = ClippedTokens(0.1, 0.3, dual)((), rollout, context(outputs=certain))
    ratio = np.exp(np.float64(log_ratio))
    gain = min(ratio * advantage, min(max(ratio, 0.9), 1.3) * advantage)
    if dual is not None and advantage < 0:
        gain = max(gain, dual * advantage)
    assert float(loss[0, 0]) == pytest.approx(-gain, rel=1e-4, abs=1e-6)
    if abs(ratio - 0.9) > 1e-4 and abs(ratio - 1.3) > 1e-4:
        assert bool(metrics["policy/clip_fraction"][0, 0]) == (ratio < 0.9 or ratio > 1.3)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_the_divergence_from_a_reference(estimator):
    """Its mean over the policy's own draws is the divergence."""
    logits, other = jax.random.normal(jax.random.key(0), (2, 5))
    exact = float(Categorical(logits).kl(Categorical(other)))
    draws = Categorical(jnp.broadcast_to(logits, (1, 20_000, 5)))
    action = draws.sample(jax.random.key(1))
    known = Categorical(jnp.broadcast_to(other, (1, 20_000, 5))).log_prob(action)
    rollout = rollout_of(jnp.zeros((1, 20_000)), reference_log_prob=known).replace(action=action)
    kl, _ = ReferenceKL(estimator)((), rollout, context(outputs=Outputs(draws, known, known)))
    assert float(jnp.mean(kl)) == pytest.approx(exact, abs=5 * float(jnp.std(kl)) / 20_000**0.5)
    assert estimator == "k1" or (np.asarray(kl) >= 0).all()


def groups_trainer(count=None, size=4, num_envs=8, **options):
    agent = rl.agents.grpo(hidden=(4,), memory="none", epochs=1, minibatches=1)
    curriculum = Prompts(CLOCK, size, count, success=5.0, **options)
    chain = rl.chain(group_advantage(size), own_weight())
    return rl.Trainer.create(
        CLOCK, agent, chain, curriculum=curriculum, num_envs=num_envs, rollout_length=6, time_limit=6, whole=True
    )


@pytest.mark.slow
def test_columns_of_a_group_share_a_problem_and_groups_do_not():
    trainer = groups_trainer()
    state, seen = trainer.init(jax.random.key(0), 1000), []
    step = jax.jit(trainer.collect)
    for _ in range(3):
        state, rollout, _ = step(state)
        starts = np.asarray(rollout.env_state.start[0]).reshape(2, 4)
        assert (starts == starts[:, :1]).all()
        seen += starts[:, 0].tolist()
        np.testing.assert_array_equal(rollout.level.group[0], [0] * 4 + [1] * 4)
        state = state.replace(updates=state.updates.next())
    assert len(set(seen)) == 6


@pytest.mark.slow
def test_a_fixed_set_of_problems_is_drawn_and_remembered():
    trainer = groups_trainer(count=3)
    state = trainer.init(jax.random.key(0), 1000)
    step, tries, solved, starts, last = jax.jit(trainer.collect), [0] * 3, [0] * 3, {}, {}
    for update in range(4):
        state, rollout, metrics = step(state)
        problems = np.asarray(rollout.level.problem[0])
        assert len(set(problems.tolist())) == 2  # no problem twice, where there are enough
        outcome = np.asarray(rollout.reward).sum(0)
        for column, problem in enumerate(problems):
            tries[problem] += 1
            solved[problem] += int(outcome[column] >= 5.0)
            last[problem] = (outcome[column], update)
            start = float(rollout.env_state.start[0, column])
            assert starts.setdefault(problem, start) == start
        state = state.replace(updates=state.updates.next())
    record = state.curriculum.record
    np.testing.assert_array_equal(record.tries, tries)
    np.testing.assert_array_equal(record.solved, solved)
    for problem, (outcome, update) in last.items():
        np.testing.assert_allclose([record.mean[problem], record.least[problem]], outcome, rtol=1e-6)
        assert record.drawn[problem] == update
    assert len(starts) == 3 and metrics["prompts/seen"] == 1.0


def test_more_columns_than_in_training_have_more_problems():
    """An evaluation of 16 columns on groups of 4, where training has 8."""
    trainer = groups_trainer()
    state = trainer.init(jax.random.key(0), 1000)
    rollout = rl.play(trainer, state, jax.random.key(1), 16, 6)
    starts = np.asarray(rollout.env_state.start[0]).reshape(4, 4)
    assert (starts == starts[:, :1]).all() and len(set(starts[:, 0].tolist())) == 4
    playing = start_episodes(trainer, state, jax.random.key(1), 16)  # an evaluation gives each problem to one
    assert len(set(np.asarray(playing.boundary.env_state.start).tolist())) == 16
    assert set(starts[:2, 0].tolist()) < set(np.asarray(playing.boundary.env_state.start).tolist())


def test_minibatches_keep_blocks_together():
    columns = jnp.broadcast_to(jnp.arange(12), (3, 12))
    rollout = rollout_of(jnp.zeros((3, 12)), number=columns)

    def step(seen, batch, key):
        numbers = batch.extras["number"]
        return seen.at[numbers[0]].add(1), {"apart": jnp.mean((numbers[0].reshape(-1, 3) // 3).std(axis=1))}

    seen, metrics = sweep_minibatches(step, jnp.zeros((12,), jnp.int32), rollout, jax.random.key(0), 2, 2, False, 3)
    np.testing.assert_array_equal(seen, np.full(12, 2))
    assert metrics["apart"] == 0


def test_blocks_that_do_not_come_out_even_are_refused():
    agent = rl.agents.grpo(hidden=(4,), memory="none", minibatches=1)
    for together, minibatches, words in (
        (3, 1, "8 environments are no blocks of 3"),
        (4, 4, "2 blocks of 4 environments cannot"),
    ):
        changed = agent.replace(together=together, minibatches=minibatches)
        with pytest.raises(RLJaxError, match=words):
            rl.Trainer.create(CLOCK, changed, num_envs=8, rollout_length=6)


@pytest.mark.slow
def test_the_temperature_is_that_of_acting_and_of_learning():
    """Ratios are 1 before the first step, and the logits are divided by it."""
    trainer = groups_trainer()
    plain, warm = (trainer.replace(agent=trainer.agent.replace(temperature=t)) for t in (None, 2.5))
    state = trainer.init(jax.random.key(0), 1000)
    state = state.replace(agent=jax.tree.map(lambda x: x + 0.3, state.agent))
    _, rollout, _ = warm.collect(state)
    params = trainer.params(state)
    logits, divided = (each.agent.outputs(params, rollout).policy.logits for each in (plain, warm))
    np.testing.assert_allclose(divided * 2.5, logits, rtol=1e-5)
    log_prob = Categorical(divided).log_prob(rollout.action)
    np.testing.assert_allclose(rollout.extras["log_prob"], log_prob, rtol=1e-5, atol=1e-6)


def test_a_run_begins_with_the_parameters_that_it_is_given():
    trainer = groups_trainer()
    params = jax.tree.map(lambda x: x + 1.0, trainer.params(trainer.init(jax.random.key(7), 1)))
    started = trainer.replace(agent=trainer.agent.replace(initial_params=params))
    got = started.params(started.init(jax.random.key(0), 1))
    jax.tree.map(np.testing.assert_array_equal, got, params)
    other = trainer.replace(agent=trainer.agent.replace(initial_params={"params": {"x": jnp.zeros(3)}}))
    with pytest.raises(RLJaxError, match="GRPO's initial_params"):
        other.init(jax.random.key(0), 1)


@pytest.mark.slow
def test_a_reference_stays_and_may_move():
    trainer = groups_trainer()
    state = trainer.init(jax.random.key(0), 1000)
    params = jax.tree.map(lambda x: x + 0.1, trainer.params(state))
    for every in (None, 2):
        with_it = trainer.replace(experience=rl.chain(*trainer.experience.transforms, reference(params, every)))
        now = with_it.init(jax.random.key(0), 1000)
        for update in range(4):
            before = now
            now, rollout, _ = with_it.collect(now)
            now = now.replace(updates=now.updates.next())
            expected = params
            if every and update >= every:
                expected = with_it.params(before)
            policy = trainer.agent.outputs(expected, rollout).policy
            np.testing.assert_allclose(rollout.extras["reference_log_prob"], policy.log_prob(rollout.action), rtol=1e-5)
    with pytest.raises(RLJaxError, match="reference has no parameters"):
        trainer.replace(experience=reference(None)).init(jax.random.key(0), 1)


def test_grpo_of_identical_answers_has_no_gradient():
    trainer = groups_trainer()
    state = trainer.init(jax.random.key(0), 1000)
    _, rollout, _ = trainer.collect(state)  # the clock pays whatever is done
    learned, metrics, _ = trainer.agent.learn(state.agent, Sample(rollout, None, None), context(trainer.agent, state.agent))
    assert metrics["policy/grad_norm"] == 0
    jax.tree.map(np.testing.assert_array_equal, learned.params, state.agent.params)


def items(weight, log_prob, own=None, **extras):
    """A minibatch ``[T, B]`` with zero actions and an advantage of -1."""
    weight = jnp.asarray(weight, jnp.float32)
    known = {"log_prob": jnp.asarray(log_prob, jnp.float32), "advantage": -jnp.ones_like(weight)}
    known |= {} if own is None else {"own": jnp.asarray(own)}
    return rollout_of(jnp.zeros(weight.shape), weight=weight, **known, **extras).replace(
        action=jnp.zeros(weight.shape, jnp.int32)
    )


@pytest.mark.parametrize(
    ("weight", "counts"), [([1, 1, 0, 0], [1, 1, 0, 0]), ([3, 1, 0, 0], [3, 1, 0, 0]), ([0, 0, 0, 0], [1, 1, 1, 0])]
)
def test_metrics_are_weighted_means_whatever_the_weights_mean(weight, counts):
    """Of weights that are all zero, over own steps. Losses are multiplied alone."""
    logits = jax.random.normal(jax.random.key(0), (1, 4, 3))
    rollout = items([weight], [[0.0] * 4], own=[[True, True, True, False]])
    _, metrics = weighted_sum({"a": NegativeEntropy()}, {"a": 1.0}, (), rollout, context(outputs=outputs_of(logits)))
    chances = np.exp(np.asarray(jax.nn.log_softmax(logits)))[0]
    entropy = -(chances * np.log(chances)).sum(-1)
    assert metrics["policy/entropy"] == pytest.approx(np.average(entropy, weights=counts), rel=1e-5)
    assert metrics["loss/a"] == pytest.approx(-(entropy * weight).mean(), rel=1e-5)


@pytest.mark.parametrize(
    "term",
    [
        ClippedTokens(),
        ClippedPolicy(standardize=False),
        KLDiagnostic(),
        RatioPolicy(False),
        ProximalMix(),
        ReferenceKL(),
    ],
)
def test_a_ratio_that_overflows_without_weight_is_nothing(term):
    """``e^200 * 0`` would be NaN, in the loss and in its gradient."""
    far, near = jnp.asarray([[-200.0, -1.0]]), jnp.asarray([[-1.0, -1.0]])
    rollout = items([[0, 1]], far, proximal_log_prob=near, reference_log_prob=-far)
    also = items([[0, 1]], near, proximal_log_prob=near, reference_log_prob=-far)

    def loss(logits, rollout):
        return weighted_sum({"a": term}, {"a": 1.0}, (), rollout, context(outputs=outputs_of(logits)))

    run = jax.grad(loss, has_aux=True)
    (grads, metrics), (expected, same) = (run(jnp.zeros((1, 2, 3)), x) for x in (rollout, also))
    np.testing.assert_array_equal(grads, expected)
    assert np.isfinite(grads).all() and metrics == same


def test_an_infinite_loss_without_weight_is_nothing():
    def infinite(params, batch, context):
        return jnp.asarray([[jnp.inf, 2.0]]), {"odd": jnp.asarray([[jnp.nan, 3.0]])}

    total, metrics = weighted_sum({"a": infinite}, {"a": 1.0}, (), items([[0, 1]], [[0, 0]]), context())
    assert total == 1.0 and metrics["odd"] == 3.0


@pytest.mark.parametrize(
    ("extras", "words"),
    [
        ({"weight": jnp.ones((3, 4, 1))}, r"weight must be \[T, N\].*here \[3, 4\], and it is \[3, 4, 1\]"),
        ({"weight": jnp.ones((4,))}, r"weight must be \[T, N\]"),
        ({"weight": jnp.ones((3, 4)), "advantage": jnp.ones((3, 1))}, r"advantage must be \[T, N\]"),
        ({"weight": jnp.ones((3, 4)), "mine": jnp.ones((4,))}, r"mine must be \[T, N, ...\]"),
        ({"own": jnp.ones((3, 4), bool)}, r"put rl_jax.experience.weights.own_weight\(\) into the experience chain"),
    ],
)
def test_extras_that_cannot_be_cut_are_refused(extras, words):
    with pytest.raises(RLJaxError, match=words):
        sweep_minibatches(lambda *x: (x, {}), (), rollout_of(jnp.zeros((3, 4)), **extras), jax.random.key(0), 1, 1, True)
    if extras.get("weight", jnp.ones((3, 4))).shape != (3, 4):
        with pytest.raises(RLJaxError, match=words):
            weighted_sum({}, {}, (), rollout_of(jnp.zeros((3, 4)), **extras), context())


@pytest.mark.parametrize("size", [1, 0, 1.5])
def test_who_is_alone_has_no_others(size):
    for measure in (leave_one_out, group_std):
        with pytest.raises(RLJaxError, match="group's size must be an integer from 2"):
            measure(jnp.zeros(4), size)


@pytest.mark.parametrize(("size", "fits"), [(16, False), (3, False), (4, True), (8, True)])
def test_groups_that_are_compared_began_alike(size, fits):
    trainer = rl.Trainer.create(
        CLOCK,
        rl.agents.ppo(minibatches=2),
        rl.chain(group_advantage(size), own_weight()),
        curriculum=Prompts(CLOCK, 8),
        num_envs=48,
        rollout_length=5,
        time_limit=5,
        whole=True,
    )
    if fits:
        jax.eval_shape(lambda key: trainer.init(key, 1), jax.random.key(0))
    else:
        with pytest.raises(RLJaxError, match=rf"group_advantage compares {size} columns, and Prompts begins 8 alike"):
            jax.eval_shape(lambda key: trainer.init(key, 1), jax.random.key(0))
