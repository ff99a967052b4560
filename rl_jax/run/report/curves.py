"""Learning curves as numbers: taken from the rows of a metrics file, and summarised over seeds."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rl_jax.errors import RLJaxError
from rl_jax.run.report.stats import STATISTICS, bootstrap_band
from rl_jax.run.storage.identity import COORDINATES
from rl_jax.run.storage.metrics import whose
from rl_jax.values import short

Array = NDArray[np.float64]


class Curve(NamedTuple):
    """A quantity measured along training: ``steps`` ``[R]`` environment steps, ``returns`` ``[K, R]`` of ``K`` seeds.

    ``failed`` are those among them that met NaN and ended there.

    NaN is a point without a value, such as one before the first finished episode.
    """

    steps: Any
    returns: Any
    failed: tuple[int, ...] = ()


def curve_from_rows(rows: Sequence[dict[str, Any]], key: str = "episode/return") -> Curve:
    """The curve of one quantity out of the rows of a metrics file, whatever their order.

    Args:
        rows: with ``steps``, ``seed`` and ``key``. A run none of whose rows has ``key`` is there, without a value.
        key: the quantity.

    Raises:
        RLJaxError: if ``key`` is no number of any row; the message lists what there is.
    """
    numbers = {name for row in rows for name, value in row.items() if isinstance(value, int | float)} - {*COORDINATES}
    rows = [row for row in rows if "steps" in row]
    chosen = [row for row in rows if key in numbers and key in row]
    if not chosen:
        names = sorted(numbers)
        raise RLJaxError(f"no metric {short(key)} in this run: choose one of {', '.join(names) or '(there are none yet)'}")
    steps, column = np.unique([row["steps"] for row in chosen], return_inverse=True)
    runs, failed = _runs(rows)
    returns = np.full((len(runs), len(steps)), np.nan)
    returns[[runs[whose(row)] for row in chosen], column] = [float(row[key]) for row in chosen]
    return Curve(steps, returns, failed)


def measured(rows: Sequence[dict[str, Any]], key: str) -> bool:
    """Whether any row has a finite value of a quantity."""
    return any(isinstance(value := row.get(key), int | float) and np.isfinite(value) for row in rows)


def empty_curve(rows: Sequence[dict[str, Any]]) -> Curve:
    """The curve of runs of which nothing was measured: one point without a value, at step 0."""
    runs, failed = _runs(rows)
    return Curve(np.zeros(1), np.full((max(1, len(runs)), 1), np.nan), failed)


def _runs(rows: Sequence[dict[str, Any]]) -> tuple[dict[tuple[Any, Any], int], tuple[int, ...]]:
    """The runs that any row is of, numbered, whatever was measured of them; and which of them failed."""
    rows = [row for row in rows if "steps" in row]
    runs = {each: i for i, each in enumerate(sorted({whose(row) for row in rows}, key=str))}
    return runs, tuple(sorted({runs[whose(row)] for row in rows if "failed" in row}))


def check_statistic(name: str) -> None:
    """Refuse a statistic that does not exist."""
    if name not in STATISTICS:
        raise RLJaxError(f"unknown statistic '{name}': choose one of {', '.join(STATISTICS)}")


def over_seeds(returns: Array, statistic: str) -> Array:
    """The statistic ``[R]`` of the seeds that have a value at each point; NaN where none has."""
    filled = fill_gaps(returns)
    result = np.full(filled.shape[1], np.nan)
    for column in np.flatnonzero(np.isfinite(filled).any(axis=0)):
        values = filled[:, column]
        result[column] = STATISTICS[statistic](values[np.isfinite(values)])
    return result


def fill_gaps(returns: Array) -> Array:
    """Gaps within a seed's values interpolated, so that a point in which it finished no episode does not make the
    statistic jump to the other seeds'; what lies before its first value and after its last stays NaN.
    """
    filled = returns.copy()
    for line in filled:
        known = np.flatnonzero(np.isfinite(line))
        if known.size:
            inside = np.arange(known[0], known[-1] + 1)
            line[inside] = np.interp(inside, known, line[known])
    return filled


def checked(curve: Curve | tuple[Any, ...]) -> tuple[Array, Array]:
    """``steps`` ``[R]`` and ``returns`` ``[K, R]``, infinite values as missing ones."""
    steps, returns = np.asarray(curve[0], np.float64), np.atleast_2d(np.asarray(curve[1], np.float64))
    if steps.ndim != 1 or returns.ndim != 2 or returns.shape[1] != len(steps):
        raise RLJaxError(f"a curve is steps [R] and returns [seeds, R], not {steps.shape} and {returns.shape}")
    return steps, np.where(np.isfinite(returns), returns, np.nan)


#: Seeds from which on an interval says something; fewer have a range.
ENOUGH = 5


def spread(returns: Array, statistic: str) -> tuple[Array, Array]:
    """Where runs ``[K, R]`` lie around their statistic at each point: its 95% bootstrap interval; of fewer than five, their range."""
    if len(returns) >= ENOUGH:
        return bootstrap_band(returns, STATISTICS[statistic])
    known = np.isfinite(returns)
    low, high = (np.where(known, returns, other) for other in (np.inf, -np.inf))
    any_known = known.any(axis=0)
    return np.where(any_known, low.min(axis=0), np.nan), np.where(any_known, high.max(axis=0), np.nan)


def spread_name(runs: int) -> str:
    """What :func:`spread` is of so many runs."""
    return "95% interval" if runs >= ENOUGH else "range"
