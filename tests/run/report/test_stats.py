"""Statistics over few runs: closed forms, definitions by brute force, ties, missing scores, coverage."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rl_jax.errors import RLJaxError
from rl_jax.run.report.stats import bootstrap_band, bootstrap_interval, improvement_interval, iqm, mean
from rl_jax.run.report.stats import probability_of_improvement as improvement

numbers = st.floats(-1e6, 1e6, width=32)
few = hnp.arrays(np.float64, st.integers(1, 12), elements=st.integers(-3, 3).map(float))


def test_iqm_closed_forms() -> None:
    assert iqm([1, 2, 3, 4]) == 2.5
    assert iqm([100, 2, 3, -100]) == 2.5
    assert iqm(np.arange(8)) == 3.5
    assert iqm([7]) == 7
    # floor(n / 4) from either end: nothing below four, one of five to seven.
    assert iqm([0, 0, 9]) == 3
    assert iqm([-50, 1, 2, 6, 90]) == 3
    assert iqm([-50, 1, 2, 3, 4, 5, 90]) == 3


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=1, max_dims=2, max_side=9), elements=numbers))
def test_iqm_is_the_trimmed_mean_of_the_pooled_scores(scores: np.ndarray) -> None:
    pooled = sorted(scores.reshape(-1).tolist())
    cut = int(0.25 * len(pooled))
    np.testing.assert_allclose(iqm(scores), np.mean(pooled[cut : len(pooled) - cut]), rtol=1e-9, atol=1e-6)
    for axis in range(scores.ndim):
        np.testing.assert_allclose(iqm(scores, axis=axis), np.apply_along_axis(iqm, axis, scores))


def test_iqm_agrees_with_scipy() -> None:
    scipy_stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    for count in range(1, 30):
        scores = rng.normal(size=count)
        np.testing.assert_allclose(iqm(scores), scipy_stats.trim_mean(scores, 0.25), rtol=1e-12)


def test_mean() -> None:
    assert mean([1, 2, 6]) == 3
    np.testing.assert_allclose(mean([[1, 2], [3, 4]], axis=0), [2, 3])


@settings(max_examples=60, deadline=None)
@given(few, few)
def test_probability_of_improvement_counts_pairs(x: np.ndarray, y: np.ndarray) -> None:
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in itertools.product(x, y)]
    assert improvement(x, y) == pytest.approx(np.mean(pairs))
    assert improvement(x, y) + improvement(y, x) == pytest.approx(1)


def test_probability_of_improvement_ties_and_tasks() -> None:
    assert improvement([3, 3, 3], [3, 3]) == 0.5
    assert improvement([4, 5], [1, 2, 3]) == 1
    x, y = np.array([[1, 9], [2, 9]]), np.array([[0, 9], [0, 9], [0, 9]])
    assert improvement(x, y) == pytest.approx((1 + 0.5) / 2)


def test_interval_is_seeded_and_contains_the_statistic() -> None:
    scores = np.random.default_rng(1).normal(size=20)
    low, high = bootstrap_interval(scores)
    assert (low, high) == bootstrap_interval(scores)
    assert (low, high) != bootstrap_interval(scores, seed=1)
    assert low < iqm(scores) < high
    narrow = bootstrap_interval(scores, level=0.5)
    assert low < narrow[0] < narrow[1] < high
    assert bootstrap_interval([2.0] * 5) == (2, 2)


def test_interval_of_two_runs_by_enumeration() -> None:
    # Four equally likely samples of {0, 1}: means 0, 1/2, 1/2, 1. So 50% lies within [0.5, 0.5] +- the quartiles.
    assert bootstrap_interval([0.0, 1.0], mean, level=0.4, samples=4000) == (0.5, 0.5)
    assert bootstrap_interval([0.0, 1.0], mean, level=0.95, samples=4000) == (0, 1)


def test_interval_is_stratified_by_task() -> None:
    # Tasks differ a lot, runs within a task not at all: only a bootstrap that keeps tasks apart sees no spread.
    scores = np.tile([0.0, 100.0, 1000.0], (6, 1))
    assert bootstrap_interval(scores, mean) == pytest.approx((1100 / 3, 1100 / 3))
    # Whole rows are not resampled together: independent draws per task average out, so the interval is narrower.
    rows = np.tile(np.arange(10.0)[:, None], (1, 25))
    low, high = bootstrap_interval(rows, mean)
    single_low, single_high = bootstrap_interval(rows[:, 0], mean)
    assert (high - low) * 3 < single_high - single_low


def test_coverage_of_the_mean_of_normal_runs() -> None:
    rng = np.random.default_rng(2)
    inside = [low < 0 < high for low, high in (bootstrap_interval(rng.normal(size=30), mean, samples=500) for _ in range(300))]
    # The percentile bootstrap of 30 runs is slightly too narrow; the binomial error of 300 trials is 1.3%.
    assert 0.88 < np.mean(inside) < 0.98


def test_improvement_interval() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(1.0, 1, 20), rng.normal(0.0, 1, 25)
    low, high = improvement_interval(x, y)
    assert low < improvement(x, y) < high
    assert low > 0.5
    assert improvement_interval(np.full(5, 2.0), np.full(5, 1.0)) == (1, 1)
    # Against the definition: draw both sets of runs, count pairs.
    drawn = [improvement(rng.choice(x, 20), rng.choice(y, 25)) for _ in range(2000)]
    np.testing.assert_allclose((low, high), np.quantile(drawn, [0.025, 0.975]), atol=0.02)


def test_one_run_has_no_interval() -> None:
    assert np.isnan(bootstrap_interval([3.0])).all()
    assert np.isnan(improvement_interval([3.0], [1.0, 2.0])).all()


def test_band_is_the_interval_of_each_point() -> None:
    curves = np.random.default_rng(4).normal(size=(6, 5))
    low, high = bootstrap_band(curves, samples=2000)
    for point in range(5):
        np.testing.assert_allclose((low[point], high[point]), bootstrap_interval(curves[:, point]), atol=0.25)
    curves[1, 0] = curves[:, 1] = np.nan
    curves[1:, 2] = np.nan
    low, high = bootstrap_band(curves)
    assert np.isfinite(low).tolist() == [True, False, False, True, True]
    without = bootstrap_band(np.delete(curves, 1, axis=0)[:, :1])
    assert (low[0], high[0]) == (without[0][0], without[1][0])


def test_missing_scores_name_their_runs() -> None:
    scores = [1.0, np.nan, 2.0, np.inf]
    for call in (bootstrap_interval, lambda x: improvement(x, [1.0]), lambda x: improvement([1.0], x)):
        with pytest.raises(RLJaxError, match="1, 3 of 4"):
            call(scores)


@pytest.mark.parametrize(
    "call",
    [
        lambda: iqm([]),
        lambda: mean([]),
        lambda: bootstrap_interval([]),
        lambda: bootstrap_interval([1.0, 2.0], level=95),
        lambda: bootstrap_interval([1.0, 2.0], samples=0),
        lambda: bootstrap_interval(np.zeros((2, 2, 2))),
        lambda: bootstrap_band([1.0, 2.0]),
        lambda: improvement(np.zeros((3, 2)), np.zeros((3, 4))),
    ],
)
def test_refuses_what_makes_no_sense(call: object) -> None:
    with pytest.raises(RLJaxError):
        call()  # type: ignore[operator]
