"""Model-based transfer learning: the process, the acquisition, the strategies on matrices made by hand, and the matrix itself."""

from dataclasses import dataclass, replace
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import SMALL
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import Clock

from rl_jax.errors import RLJaxError
from rl_jax.ideas.meta_rl.mbtl import (
    GaussianProcess,
    acquisition,
    coverage,
    equidistant,
    greedy_oracle,
    independent,
    log_beta,
    mbtl,
    normalized,
    random_order,
    transfer_matrix,
)
from rl_jax.loop import evaluate
from rl_jax.meta import in_task


def linear(own, slope):
    """Returns that fall exactly linearly with distance from the task trained on."""
    index = np.arange(len(own))
    return np.asarray(own)[:, None] - slope * np.abs(index[:, None] - index[None, :])


def matrix(seed, size=6):
    return np.random.default_rng(seed).uniform(size=(size, size))


# ------------------------------------------------------------------------------------------------------ the process


def test_posterior_and_likelihood_are_those_of_the_textbook():
    x, y, at = np.array([0.0, 2.0, 5.0]), np.array([0.3, 0.9, 0.1]), np.array([0.0, 1.0, 4.0, 50.0])
    process = GaussianProcess(constant=0.7, length=1.5, noise=0.2)

    def kernel(a, b):
        return np.array([[0.7 * np.exp(-((p - q) ** 2) / (2 * 1.5**2)) for q in b] for p in a])

    gram = kernel(x, x) + 0.04 * np.eye(3)
    inverse = np.linalg.inv(gram)
    mean, deviation = process.posterior(x, y, at)
    np.testing.assert_allclose(mean, kernel(at, x) @ inverse @ y, atol=1e-12)
    variance = 0.7 - np.diag(kernel(at, x) @ inverse @ kernel(x, at))
    np.testing.assert_allclose(deviation, np.sqrt(variance), atol=1e-10)
    assert mean[-1] == pytest.approx(0.0, abs=1e-9)  # far away the prior is back
    assert deviation[-1] == pytest.approx(np.sqrt(0.7))
    density = -0.5 * y @ inverse @ y - 0.5 * np.log(np.linalg.det(2 * np.pi * gram))
    assert process.log_likelihood(x, y) == pytest.approx(density)


def test_fitting_finds_the_length_that_the_data_has():
    x = np.arange(40.0)
    rng = np.random.default_rng(0)
    truth = GaussianProcess(1.0, 5.0, 0.1)
    y = np.linalg.cholesky(truth.covariance(x, x) + 0.01 * np.eye(40)) @ rng.normal(size=40)
    found = GaussianProcess(noise=0.1).fitted(x, y)
    assert 2.5 < found.length < 10.0
    assert found.noise == 0.1
    assert found.log_likelihood(x, y) > GaussianProcess(1.0, 0.5).log_likelihood(x, y)


# --------------------------------------------------------------------------------------------------- the acquisition


def test_acquisition_by_hand():
    mean, deviation = np.array([0.5, 1.0, 0.2]), np.array([0.0, 0.1, 1.0])
    gain = acquisition(mean, deviation, np.array([0.4, 0.8, 0.0]), np.array([0.0, 1.0, 3.0]), slope=0.1, beta=0.5)
    # task 0: 0.5, 0.4, 0.2 less 0.4, 0.8, 0; task 1: 0.95, 1.05, 0.85; task 2: 0.4, 0.5, 0.7
    np.testing.assert_allclose(gain, [(0.1 + 0 + 0.2) / 3, (0.55 + 0.25 + 0.85) / 3, (0 + 0 + 0.7) / 3])


@given(st.integers(0, 1000), st.integers(0, 4))
@settings(max_examples=20, deadline=None)
def test_acquisition_is_the_gain_where_generalisation_is_linear_and_returns_are_known(seed, first):
    own = np.random.default_rng(seed).uniform(0.5, 1.0, 5)
    table = linear(own, 0.1)
    gain = acquisition(own, np.ones(5), table[first], np.arange(5.0), 0.1, 0.0)
    brute = [np.maximum(table[first], table[i]).mean() - table[first].mean() for i in range(5)]
    np.testing.assert_allclose(gain, brute, atol=1e-12)
    assert np.argmax(gain) == greedy_oracle(np.maximum(table, table[first]), 1).chosen[0]


def test_tasks_chosen_on_a_family_that_is_flat_and_linear():
    """Equal returns: what is gained depends on distance alone, so the ends of the range are served before the middle's neighbours."""
    found = mbtl(linear(np.ones(21), 0.04), 3, slope=0.04)
    assert found.chosen[0] == 10
    assert found.chosen[1] <= 5 or found.chosen[1] >= 15
    assert (found.chosen[1] - 10) * (found.chosen[2] - 10) < 0
    assert found.score[2] > random_order(linear(np.ones(21), 0.04), 3).score[2]


def test_only_the_rows_of_chosen_tasks_are_read():
    table = matrix(3, 8)
    found = mbtl(table, 4, 0.05)
    hidden = table.copy()
    hidden[[i for i in range(8) if i not in found.chosen]] = 0.123
    assert mbtl(hidden, 4, 0.05).chosen.tolist() == found.chosen.tolist()


def by_loops(table, rounds, slope):
    """The reference's loop (jhoon-cho/MBTL, MBTL/utils.py, ``new_ucb_beta_log``), with its ``J_transfer[task, step]``."""
    size = len(table)
    tasks, best = [(size - 1) // 2], np.zeros((size, rounds))
    best[:, 0] = table[tasks[0]]
    for k in range(1, rounds):
        x, y = np.array(tasks, float), np.array([best[task, step] for step, task in enumerate(tasks)])
        mean, deviation = GaussianProcess().fitted(x, y).posterior(x, y, np.arange(float(size)))
        hope = mean + np.sqrt(np.log(k + 1)) * deviation
        gain = [np.mean([max(hope[i] - slope * abs(i - j) - best[j, k - 1], 0) for j in range(size)]) for i in range(size)]
        tasks.append(max((i for i in range(size) if i not in tasks), key=lambda i: gain[i]))
        best[:, k] = np.maximum(best[:, k - 1], table[tasks[-1]])
    return tasks


def test_the_process_is_fitted_to_the_best_return_on_each_chosen_task():
    """Random matrices, where a policy of another task is often better than a task's own."""
    for seed in range(4):
        assert mbtl(matrix(seed, 9), 6, 0.05).chosen.tolist() == by_loops(matrix(seed, 9), 6, 0.05)


def test_uncertainty_weighs_more_with_every_round():
    assert [log_beta(k) ** 2 for k in (1, 2, 3)] == pytest.approx([0.0, np.log(2), np.log(3)])
    seen = []
    mbtl(matrix(0), 4, beta=lambda k: seen.append(k) or 1.0)
    assert seen == [2, 3, 4]


# ----------------------------------------------------------------------------------------------------- the strategies


@given(st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_coverage_never_falls_and_no_task_is_chosen_twice(seed):
    table = matrix(seed)
    for strategy in (mbtl, random_order, equidistant, greedy_oracle):
        found = strategy(table, 6)
        assert (np.diff(found.score) >= 0).all()
        assert sorted(found.chosen.tolist()) == list(range(6))
        np.testing.assert_array_equal(found.transfer, table[found.chosen])
        assert found.score[-1] == pytest.approx(table.max(0).mean())
        for k in range(6):
            assert found.score[k] == pytest.approx(np.mean([max(table[i, j] for i in found.chosen[: k + 1]) for j in range(6)]))


@given(st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_the_oracle_is_best_in_one_round_and_greedy_after(seed):
    table = matrix(seed)
    found = greedy_oracle(table, 3)
    assert found.score[0] == pytest.approx(table.mean(1).max())
    assert all(strategy(table, 1).score[0] <= found.score[0] for strategy in (mbtl, random_order, equidistant))
    for k in (1, 2):
        others = [coverage(table, [*found.chosen[:k], i]).score[-1] for i in range(6)]
        assert found.score[k] == pytest.approx(max(others))
        best = max(coverage(table, list(which)).score[-1] for which in combinations(range(6), k + 1))
        assert best >= found.score[k] >= (1 - 1 / np.e) * best


def test_equidistant_takes_the_middles_of_equal_pieces():
    table = matrix(0, 12)
    assert equidistant(table, 1).chosen.tolist() == [5]
    assert equidistant(table, 3).chosen.tolist() == [1, 5, 9]
    assert equidistant(table, 12).chosen.tolist() == list(range(12))


def test_normalisation_and_the_diagonal():
    assert normalized([[0.0, 250.0], [100.0, 500.0]], 0, 500).tolist() == [[0.0, 0.5], [0.2, 1.0]]
    assert normalized([[1.0, 2.0], [3.0, 5.0]]).tolist() == [[0.0, 0.25], [0.5, 1.0]]
    assert independent([[1.0, 9.0], [9.0, 2.0]]) == 1.5


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mbtl(np.ones((2, 3)), 1), "one seed at a time"),
        (lambda: mbtl(np.ones((3, 3)), 4), "from 1 to the number of tasks 3"),
        (lambda: mbtl(np.full((2, 2), np.nan), 1), "max_steps"),
        (lambda: mbtl(np.ones((2, 2)), 1, contexts=[1.0]), "one number for each"),
        (lambda: normalized(np.ones((2, 2))), "give low and high"),
    ],
)
def test_errors_name_the_fix(call, words):
    with pytest.raises(RLJaxError, match=words):
        call()


# --------------------------------------------------------------------------------------------------------- the matrix


@pytest.mark.slow
def test_the_matrix_holds_every_policy_on_every_task():
    """Rows are the runs as they would be alone; a clock pays in proportion to its task, so columns are proportional."""
    trainer = SMALL.trainer(Clock(4))
    tasks, keys = jnp.array([1.0, 2.0, -3.0], jnp.float32), jax.random.split(jax.random.key(0), 3)
    with jax.debug_key_reuse(False):  # the checker takes the transposed keys of a scan under vmap for used ones
        table = jax.jit(lambda tasks, keys: transfer_matrix(trainer, tasks, keys, 64, 5, group=2))(tasks, keys)
    assert table.shape == (3, 3)
    assert table.dtype == jnp.float32
    np.testing.assert_allclose(table / tasks, jnp.broadcast_to(table[:, :1], (3, 3)), rtol=1e-5)
    assert len(np.unique(np.round(table[:, 0], 4))) == 3  # each run has starts of its own

    def alone(task, key):
        here = in_task(trainer, task)
        state = here.train(key, 64, 1)[0]
        return evaluate(here, state, key, 5).mean()

    for i, task in enumerate((1.0, 2.0, -3.0)):
        with jax.debug_key_reuse(False):  # each key was used above
            np.testing.assert_allclose(table[i, i], jax.jit(alone)(jnp.float32(task), keys[i]), rtol=1e-5)


@dataclass(frozen=True)
class Sided(Clock):
    """One step; the task says how much the second action earns, and the first one loses."""

    length: int = 1

    def step(self, key, state, action, params):
        return super().step(key, state, action, params)._replace(reward=params * (2.0 * action - 1.0))


@pytest.mark.slow
def test_training_is_in_the_row_and_evaluation_in_the_column():
    trainer = replace(SMALL, num_envs=16, normalize_obs=False, learning_rate=1e-2).trainer(Sided())
    tasks, keys = jnp.array([2.0, -1.0], jnp.float32), jax.random.split(jax.random.key(0), 2)
    with jax.debug_key_reuse(False):
        table = jax.jit(lambda tasks, keys: transfer_matrix(trainer, tasks, keys, 4096, 4))(tasks, keys)
    assert table.tolist() == [[2.0, -1.0], [-2.0, 1.0]]


def test_tasks_and_keys_must_agree():
    trainer = SMALL.trainer(Clock(4))
    with pytest.raises(RLJaxError, match="leading axis"):
        transfer_matrix(trainer, jnp.ones((3,)), jax.random.split(jax.random.key(0), 2), 64)
    with pytest.raises(RLJaxError, match="leading axis"):
        transfer_matrix(trainer, jnp.float32(1.0), jax.random.split(jax.random.key(0), 2), 64)
