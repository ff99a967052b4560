"""Plots are written as images with something on them, whatever the data looks like."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rl_jax.errors import RLJaxError
from rl_jax.run.report.curves import empty_curve, fill_gaps, over_seeds
from rl_jax.run.report.plots import Curve, compare_curves, curve_from_rows, learning_curve
from rl_jax.run.report.sweep_plot import sweep_plot


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def curve(seeds: int, points: int = 60, total: float = 1e6) -> Curve:
    rng = np.random.default_rng(seeds)
    steps = np.linspace(total / points, total, points)
    return Curve(steps, 400 * steps / total + rng.normal(0, 20, (seeds, points)))


def check(path: Path) -> None:
    with Image.open(path) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB"))
    assert min(pixels.shape[:2]) > 300
    assert 0.001 < (pixels < 200).any(axis=-1).mean() < 0.9


@pytest.mark.parametrize(("seeds", "points"), [(1, 1), (1, 8), (1, 200), (2, 30), (16, 60)])
def test_learning_curve(tmp_path: Path, seeds: int, points: int) -> None:
    path = tmp_path / "new" / "curve.png"
    data = curve(seeds, points)
    evaluation = Curve(data.steps[::5], data.returns[:, ::5])
    assert learning_curve(path, data, "ppo on CartPole-v1", evaluation) == path
    check(path)


@pytest.mark.parametrize("seeds", [1, 4])
def test_learning_curve_before_episodes_finish(tmp_path: Path, seeds: int) -> None:
    data = curve(seeds)
    data.returns[:, :5] = np.nan
    data.returns[0, :20] = np.nan
    data.returns[-1, 40:44] = np.inf
    learning_curve(tmp_path / "a.png", data, "gaps")
    check(tmp_path / "a.png")
    data.returns[:] = np.nan
    learning_curve(tmp_path / "b.png", data, "nothing", evaluation=data)
    check(tmp_path / "b.png")
    learning_curve(tmp_path / "c.png", Curve(np.zeros(0), np.zeros((seeds, 0))), "empty")
    check(tmp_path / "c.png")


def test_compare_curves(tmp_path: Path) -> None:
    runs = {"ppo": curve(8), "a rather long name of an arm": curve(3, total=2e6), "dqn": curve(1)}
    for statistic in ("iqm", "mean"):
        check(compare_curves(tmp_path / "c.png", runs, statistic, title="CartPole-v1"))
    check(compare_curves(tmp_path / "many.png", {str(index): curve(2) for index in range(12)}))


def test_gaps_are_filled_within_a_seed_only() -> None:
    nan = np.nan
    returns = np.array([[nan, 1, nan, 3, nan], [nan, nan, 4, 4, 4]])
    np.testing.assert_array_equal(fill_gaps(returns), [[nan, 1, 2, 3, nan], [nan, nan, 4, 4, 4]])
    np.testing.assert_array_equal(over_seeds(returns, "mean"), [nan, 1, 3, 3.5, 4])


def test_curve_from_rows() -> None:
    rows = [
        {"steps": 20, "seed": 1, "episode/return": 4.0},
        {"steps": 10, "seed": 0, "episode/return": 1.0},
        {"steps": 20, "seed": 0, "episode/return": 2.0},
        {"steps": 30, "seed": 0, "loss": 2.0},
        {"steps": 25, "seed": 1, "failed": "NaN in loss"},
    ]
    steps, returns, failed = curve_from_rows(rows)
    assert failed == (1,)
    np.testing.assert_array_equal(steps, [10, 20])
    np.testing.assert_array_equal(returns, [[1, 2], [np.nan, 4]])
    with pytest.raises(RLJaxError, match="episode/return, loss"):
        curve_from_rows(rows, "eval/return")


def test_a_run_that_failed_before_a_metric_was_measured_is_one_of_the_runs(tmp_path: Path) -> None:
    rows = [
        {"steps": 10, "seed": 0, "eval/return": 1.0},
        {"steps": 10, "seed": 1, "eval/return": 3.0},
        {"steps": 5, "seed": 2, "episode/return": 9.0},
        {"steps": 7, "seed": 2, "failed": "NaN in loss"},
        {"steps": 0, "seed": 3, "failed": "NaN in loss"},
    ]
    curve = curve_from_rows(rows, "eval/return")
    assert curve.failed == (2, 3)
    np.testing.assert_array_equal(curve.returns, [[1], [3], [np.nan], [np.nan]])
    assert over_seeds(curve.returns, "mean") == [2]
    check(learning_curve(tmp_path / "c.png", curve, "two failed"))
    assert empty_curve(rows[3:]).failed == (0, 1) and empty_curve(rows[3:]).returns.shape == (2, 1)


RATES = (1e-4, 3e-4, 1e-3, 1e-2)
AXES: dict[str, tuple[list[str], list[tuple[Any, ...]]]] = {
    "log": (["learning_rate"], [(rate,) for rate in RATES]),
    "zero": (["weight"], [(weight,) for weight in (0, 0.01, 0.1, 1.0)]),
    "linear": (["gamma"], [(gamma,) for gamma in (0.9, 0.95, 0.99)]),
    "words": (["activation"], [("tanh",), ("relu",)]),
    "single": (["gamma"], [(0.9,)]),
    "grid": (["learning_rate", "gamma"], [(rate, gamma) for rate in RATES for gamma in (0.9, 0.99)]),
    "three": (["learning_rate", "gamma", "act"], [(rate, g, a) for rate in RATES for g in (0.9, 0.99) for a in "abcd"]),
}


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("failed", [False, True])
def test_sweep_plot(tmp_path: Path, axes: str, failed: bool) -> None:
    names, values = AXES[axes]
    scores = np.random.default_rng(0).normal(100, 10, (len(values), 5))
    if failed:
        scores[-1, 2] = np.nan
    check(sweep_plot(tmp_path / "s.png", names, values, scores, title="a sweep"))


def test_sweep_of_one_seed_and_missing_cells(tmp_path: Path) -> None:
    names, values = AXES["grid"]
    check(sweep_plot(tmp_path / "s.png", names, values[:-1], np.ones((len(values) - 1, 1))))
    check(sweep_plot(tmp_path / "t.png", names[:1], [(rate,) for rate in RATES], np.arange(4.0)[:, None]))


def test_errors(tmp_path: Path) -> None:
    for call in (
        lambda: learning_curve(tmp_path / "x.png", Curve(np.arange(3), np.zeros((2, 4))), ""),
        lambda: learning_curve(tmp_path / "x.png", curve(2), "", statistic="median"),
        lambda: compare_curves(tmp_path / "x.png", {}),
        lambda: compare_curves(tmp_path / "x.png", {"a": curve(2)}, statistic="median"),
        lambda: sweep_plot(tmp_path / "x.png", ["a"], [(1,), (2,)], np.zeros((3, 2))),
        lambda: sweep_plot(tmp_path / "x.png", ["a", "b"], [(1,)], np.zeros((1, 2))),
        lambda: sweep_plot(tmp_path / "x.png", [], [], np.zeros((0, 2))),
    ):
        with pytest.raises(RLJaxError):
            call()
    assert not list(tmp_path.iterdir())
