"""What is learned from, against slow models: subsets of columns, steps, and buffers of columns."""

import itertools
from collections import deque
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from whole_columns import Fixed, G, N, T, columns, names_of, spec_of, updated

import rl_jax as rl
from rl_jax.errors import RLJaxError
from rl_jax.experience.selection import advantage_buffer as buffers
from rl_jax.experience.selection.max_variance import max_variance, most_spread
from rl_jax.experience.selection.subsets import count_used, drop_uniform, random_subset
from rl_jax.experience.selection.success_replay import success_replay
from rl_jax.ideas.group_policy.d3s_dual_level_downsampling import TopTokens, d3s
from rl_jax.ideas.group_policy.skywork_r1v2_ssb import fill_idle
from rl_jax.ideas.group_policy.vl_rethinker_ssr import selective_replay
from rl_jax.types import Spec

push = jax.jit(buffers.push)
few = settings(max_examples=25, deadline=None)
grid = st.integers(-3, 3).map(float)


@few
@given(st.lists(grid, min_size=7, max_size=7), st.integers(1, 7))
def test_no_subset_of_this_size_has_a_larger_variance(values, number):
    mask = np.asarray(jax.jit(most_spread)(jnp.asarray(values), jnp.int32(number)))
    best = max(np.var(subset) for subset in itertools.combinations(values, number))
    assert mask.sum() == number
    np.testing.assert_allclose(np.var(np.asarray(values)[mask]), best, atol=1e-5)


def test_across_groups_advantages_stay_and_within_groups_they_are_standardised_anew():
    advantage = [3.0, -1, -1, -1, 0.1, 0, 0, -0.1]
    rollout = columns(advantage, advantage)
    _, across, _ = updated(max_variance(0.5, 0.5), rollout)
    np.testing.assert_array_equal(across.extras["weight"][0] > 0, [1, 1, 1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(across.extras["advantage"], rollout.extras["advantage"])
    np.testing.assert_allclose(across.extras["weight"].mean(), 1.0, rtol=1e-6)
    _, within, _ = updated(max_variance(0.5, 0.5, group=G, renormalize=True), rollout)
    np.testing.assert_array_equal(within.extras["weight"][0] > 0, [1, 0, 0, 1, 1, 0, 0, 1])
    np.testing.assert_allclose(np.asarray(within.extras["advantage"])[:, [0, 3, 4, 7]], [[1, -1, 1, -1]] * T, atol=1e-4)


def test_the_share_goes_from_the_first_to_the_last_over_training():
    for part in (max_variance(0.25, 1.0), random_subset(0.25, 1.0)):
        for progress, number in ((0.0, 2), (0.5, 5), (1.0, 8)):
            _, rollout, _ = updated(part, columns(np.arange(N)), progress=progress)
            assert int((rollout.extras["weight"][0] > 0).sum()) == number
    own = np.ones((T, N), bool)
    own[0] = False
    _, rollout, _ = updated(random_subset(0.25, 0.25, steps=True), columns(np.arange(N), own=own))
    used = np.asarray(rollout.extras["weight"] > 0)
    assert used.sum() == 4 and not used[0].any()


def test_groups_whose_outcomes_agree_are_dropped():
    _, rollout, _ = updated(drop_uniform(G), columns([1, 1, 1, 1, 0, 1, 0, 0]))
    np.testing.assert_array_equal(rollout.extras["weight"], np.broadcast_to([0, 0, 0, 0, 2, 2, 2, 2], (T, N)))
    _, rollout, _ = updated(drop_uniform(G), columns([1, 1, 1, 1, 0, 0, 0, 0]))
    assert not rollout.extras["weight"].any(), "nothing to learn from, and nothing divided by zero"


@few
@given(
    st.lists(grid, min_size=T * N, max_size=T * N), st.lists(st.booleans(), min_size=T * N, max_size=T * N), st.floats(0.05, 1)
)
def test_top_tokens_are_those_of_the_largest_advantage_times_entropy(advantage, own, share):
    own = np.asarray(own).reshape(T, N)
    own[0, 0] = True
    entropy = np.linspace(0.1, 2, T * N).reshape(T, N)[::-1]
    rollout = columns(np.zeros(N), own=own)
    rollout = rollout.with_extras(advantage=jnp.asarray(np.reshape(advantage, (T, N)), jnp.float32))
    _, chosen, _ = updated(TopTokens(share, share), rollout, agent=Fixed(), agent_state=(jnp.asarray(entropy), 0.0))
    used = np.asarray(chosen.extras["weight"] > 0)
    assert used.sum() == max(1, round(np.float32(share) * own.sum())) and not (used & ~own).any()
    score = np.abs(np.reshape(advantage, (T, N))) * entropy
    if (own & ~used).any():
        assert score[used].min() >= score[own & ~used].max() - 1e-6
    np.testing.assert_allclose(chosen.extras["weight"].mean(), 1.0, rtol=1e-5)


def test_d3s_counts_what_is_learned_from():
    """Half of the columns, and a third of their steps."""
    part = rl.chain(d3s((0.5, 0.5), (1 / 3, 1 / 3)), count_used())
    rollout = columns([3.0, -3, 2, -2, 0, 0, 0, 0])
    _, rollout, metrics = updated(part, rollout, agent=Fixed(), agent_state=(jnp.asarray([[1.0], [2.0], [4.0]]), 0.0))
    np.testing.assert_array_equal(rollout.extras["weight"][2] > 0, [1, 1, 1, 1, 0, 0, 0, 0])
    assert metrics["used/steps"] == 4 and metrics["used/columns"] == 0.5


@few
@given(st.lists(st.lists(st.integers(0, 2), min_size=N, max_size=N), min_size=1, max_size=4), st.sampled_from([1, 5, 11]))
def test_the_buffer_keeps_the_newest_columns_that_had_an_advantage(rounds, slots):
    state, model = buffers.empty_buffer(spec_of(columns(np.zeros(N))).rollout, slots), deque(maxlen=slots)
    for number, outcome in enumerate(rounds):
        rollout = columns(outcome, mark=100.0 * number)
        state = push(state, rollout, buffers.strength_of(rollout))
        model.extend((100.0 * number + i, x) for i, x in enumerate(outcome) if x)
    held = [(name, x) for name, x in zip(state.columns.obs[0, :, 0].tolist(), state.strength.tolist(), strict=True) if x]
    assert sorted(held) == sorted(model)


def test_columns_are_drawn_in_proportion_to_a_power_of_their_advantage():
    strength = jnp.asarray([0.0, 1.0, 2.0, 0.0, 4.0])
    for alpha, expected in ((0.0, [0, 1 / 3, 1 / 3, 0, 1 / 3]), (1.0, [0, 1 / 7, 2 / 7, 0, 4 / 7])):
        index = buffers.draw_index(jax.random.key(1), strength, alpha, 20_000)
        np.testing.assert_allclose(np.bincount(index, minlength=5) / 20_000, expected, atol=0.015)


def test_selective_replay_fills_half_the_rollout_from_the_present_and_then_from_the_past():
    part = selective_replay()
    first = columns([1, -1, 0, 0, 2, 0, 0, 0])
    state, rollout, metrics = updated(part, first)
    assert set(names_of(rollout)[:3]) <= {0, 1, 4} and names_of(rollout)[3] in {0, 1, 4}
    np.testing.assert_allclose(metrics["replay/share"], 0.25)
    np.testing.assert_array_equal(rollout.extras["weight"][0], [2, 2, 2, 2, 0, 0, 0, 0])
    second = columns([0, 0, 0, 0, 0, 0, 0, 3], mark=100.0)
    state, rollout, metrics = updated(part, second, state)
    assert names_of(rollout)[0] == 107 and set(names_of(rollout)[1:4]) <= {0, 1, 4, 107}
    np.testing.assert_array_equal(rollout.extras["log_prob"][0, :4], -names_of(rollout)[:4])  # the old ones, for the ratio
    np.testing.assert_allclose(metrics["replay/share"], 0.75)
    _, rollout, _ = updated(part, columns(np.zeros(N)))
    assert not rollout.extras["weight"].any()


def test_the_sample_buffer_replaces_columns_without_an_advantage_by_earlier_ones():
    part = fill_idle(slots=4)
    state, rollout, metrics = updated(part, columns([1, -1, 0, 0, 0, 0, 0, 0]))
    np.testing.assert_array_equal(names_of(rollout), np.arange(N))
    assert metrics["replay/share"] == 0.0
    state, rollout, metrics = updated(part, columns([0, 0, 5, 0, 0, 0, 0, 0], mark=100.0), state)
    assert names_of(rollout)[2] == 102 and set(np.delete(names_of(rollout), 2)) <= {0, 1}
    np.testing.assert_allclose(metrics["replay/share"], 7 / 8)
    np.testing.assert_allclose(rollout.extras["weight"].mean(), 1.0, rtol=1e-6)


@pytest.mark.slow
@few
@given(
    st.lists(st.tuples(st.permutations(range(3)), st.integers(0, 2**N - 1)), min_size=1, max_size=5), st.sampled_from([1, 3])
)
def test_failed_groups_get_one_success_of_their_prompt(rounds, slots):
    part, model = success_replay(prompts=3, size=G, slots=slots), {prompt: deque(maxlen=slots) for prompt in range(3)}
    state = part.init(jax.random.key(0), spec_of(columns(np.zeros(N))))
    for number, (prompts, bits) in enumerate(rounds):
        outcome = np.asarray([bits >> i & 1 for i in range(N)], float)
        rollout = columns(outcome, prompt=np.asarray(prompts[: N // G]), mark=100.0 * number)
        state, mixed, _ = updated(part, rollout, state, agent=Fixed(), agent_state=(0.0, 7.0), seed=number)
        names, expected = names_of(mixed), names_of(rollout).copy()
        for group in range(N // G):
            stored, at = model[prompts[group]], group * G
            if stored and not outcome[at : at + G].any():
                assert names[at] in stored and mixed.reward[-1, at] == 1.0
                np.testing.assert_array_equal(mixed.extras["log_prob"][:, at], 7.0)  # the present policy's
                expected[at] = names[at]
        np.testing.assert_array_equal(names, expected)
        for i in np.flatnonzero(outcome):
            model[prompts[i // G]].append(100.0 * number + i)


def test_parts_refuse_rollouts_that_are_no_whole_episodes():
    rollout = columns(np.zeros(N))
    spec = spec_of(rollout)
    cut = Spec(spec.obs_space, spec.action_space, N, T, spec.rollout)
    for part in (
        max_variance(),
        random_subset(),
        drop_uniform(G),
        TopTokens(),
        selective_replay(),
        fill_idle(),
        success_replay(3, G),
    ):
        with pytest.raises(RLJaxError, match="whole=True"):
            part.init(jax.random.key(0), cut)
    with pytest.raises(RLJaxError, match="by problem"):
        success_replay(3, G).init(jax.random.key(0), replace(spec, rollout=rollout.replace(level=())))
    with pytest.raises(RLJaxError, match="no groups of 3"):
        drop_uniform(3).init(jax.random.key(0), spec)
