"""Statistics for few runs: interquartile mean, bootstrap intervals, probability of improvement.

All follow Agarwal, Schwarzer, Castro, Courville and Bellemare, "Deep Reinforcement Learning at the Edge of the
Statistical Precipice", NeurIPS 2021 (https://arxiv.org/abs/2108.13264). Scores are ``[runs]`` for one task or
``[runs, tasks]``; a run is one seed. A score that is NaN or infinite is refused, never silently dropped: leaving out
the runs that failed would flatter the method.
"""

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl_jax.errors import RLJaxError

Array = NDArray[np.float64]


class Statistic(Protocol):
    """A summary over the last axis of ``[..., n]``, so that all bootstrap samples are summarised in one call."""

    def __call__(self, x: Array, axis: int = -1) -> Array: ...


def iqm(x: ArrayLike, axis: int | None = None) -> Array:
    """Interquartile mean: the mean of the middle half of ``x`` (Agarwal et al. 2021, section 4.3).

    ``floor(n / 4)`` values are cut from either end, as the paper's 25% trimmed mean does, without fractional weights.
    So when ``n`` is not a multiple of 4 a little more than half remains, and for ``n < 4`` this is the plain mean.

    Args:
        x: scores of any shape; with ``axis=None`` those of all runs and tasks are pooled.
        axis: the axis to summarise.

    Returns:
        The interquartile mean, with ``axis`` removed (a 0-d array for ``None``).
    """
    values = np.asarray(x, np.float64)
    if axis is None:
        values, axis = values.reshape(-1), -1
    values = np.moveaxis(values, axis, -1)
    count = values.shape[-1]
    if count == 0:
        raise RLJaxError("there are no scores to summarise: give at least one run")
    cut = count // 4
    return np.asarray(np.sort(values, axis=-1)[..., cut : count - cut].mean(axis=-1))


def mean(x: ArrayLike, axis: int | None = None) -> Array:
    """Arithmetic mean; ``axis=None`` pools all runs and tasks."""
    values = np.asarray(x, np.float64)
    if values.size == 0:
        raise RLJaxError("there are no scores to summarise: give at least one run")
    return np.asarray(values.mean(axis=axis))


STATISTICS: dict[str, Statistic] = {"iqm": iqm, "mean": mean}


def bootstrap_interval(
    scores: ArrayLike, statistic: Statistic = iqm, level: float = 0.95, samples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of ``statistic`` over runs (Agarwal et al. 2021, section 4.1).

    With several tasks the bootstrap is stratified: the runs of each task are resampled by themselves, and the statistic
    is taken over the pooled result.

    Args:
        scores: ``[runs]`` or ``[runs, tasks]``.
        statistic: a summary over the last axis, :func:`iqm` or :func:`mean`.
        level: probability mass of the interval.
        samples: number of bootstrap samples.
        seed: of the resampling; equal arguments give equal intervals.

    Returns:
        ``(low, high)``; ``(nan, nan)`` for a single run, which says nothing about the spread between runs.

    Raises:
        RLJaxError: if scores are missing (the message names the runs), or arguments are out of range.
    """
    table = _table(scores)
    _check(level, samples)
    if len(table) == 1:
        return float("nan"), float("nan")
    return _quantiles(_resampled(table, statistic, samples, np.random.default_rng(seed)), level)


def bootstrap_band(
    curves: ArrayLike, statistic: Statistic = iqm, level: float = 0.95, samples: int = 1000, seed: int = 0
) -> tuple[Array, Array]:
    """Pointwise percentile bootstrap interval of curves. Whole runs are resampled: neighbouring points move together.

    Args:
        curves: ``[runs, points]``. At a point where some runs have no value yet (NaN) the others are resampled.
        statistic, level, samples, seed: as in :func:`bootstrap_interval`.

    Returns:
        ``low`` and ``high``, each ``[points]``; NaN where fewer than two runs have a value.
    """
    table = np.asarray(curves, np.float64)
    if table.ndim != 2:
        raise RLJaxError(f"curves must be [runs, points], not of shape {table.shape}")
    _check(level, samples)
    low, high = np.full(table.shape[1], np.nan), np.full(table.shape[1], np.nan)
    known = np.isfinite(table)
    if table.shape[1] == 0:
        return low, high
    patterns, which = np.unique(known, axis=1, return_inverse=True)
    for pattern, present in enumerate(patterns.T):
        if (runs := int(present.sum())) < 2:
            continue
        columns = np.flatnonzero(which.reshape(-1) == pattern)
        draws = np.random.default_rng(seed).integers(runs, size=(samples, runs))
        # Blocks of points keep the resampled table [points, samples, runs] at some tens of megabytes.
        for block in np.array_split(columns, max(1, len(columns) * samples * runs // 4_000_000)):
            values = statistic(table[present][:, block].T[:, draws], axis=-1)
            low[block], high[block] = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=-1)
    return low, high


def probability_of_improvement(x: ArrayLike, y: ArrayLike) -> float:
    """Probability that a random run of ``x`` beats a random run of ``y``, a tie counting one half.

    This is the Mann-Whitney U statistic divided by the number of pairs, averaged over tasks (Agarwal et al. 2021,
    section 4.3). 0.5 means no difference; it says nothing about how large an improvement is.

    Args:
        x, y: ``[runs_x]`` and ``[runs_y]``, or ``[runs_x, tasks]`` and ``[runs_y, tasks]``.

    Raises:
        RLJaxError: if scores are missing or the numbers of tasks differ.
    """
    return float(_wins(x, y).mean())


def improvement_interval(
    x: ArrayLike, y: ArrayLike, level: float = 0.95, samples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Stratified percentile bootstrap interval of :func:`probability_of_improvement`; both methods' runs are resampled.

    Returns:
        ``(low, high)``; ``(nan, nan)`` if either method has a single run.
    """
    wins = _wins(x, y)
    _check(level, samples)
    runs_x, runs_y, tasks = wins.shape
    if min(runs_x, runs_y) == 1:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    # How often each run was drawn [samples, runs]; the mean over drawn pairs is then a bilinear form per task.
    total = np.zeros(samples)
    for task in range(tasks):
        drawn_x = rng.multinomial(runs_x, np.full(runs_x, 1 / runs_x), size=samples)
        drawn_y = rng.multinomial(runs_y, np.full(runs_y, 1 / runs_y), size=samples)
        total += np.einsum("si,ij,sj->s", drawn_x, wins[:, :, task], drawn_y, optimize=True) / (runs_x * runs_y)
    return _quantiles(total / tasks, level)


def difference_interval(
    x: ArrayLike, y: ArrayLike, statistic: Statistic = iqm, level: float = 0.95, samples: int = 100_000, seed: int = 0
) -> tuple[float, float]:
    """Stratified percentile bootstrap interval of ``statistic(x) - statistic(y)``; both methods' runs are resampled.

    Arguments and refusals are those of :func:`difference_samples` and :func:`bootstrap_interval`. The edges have an error of
    their own, since samples are finitely many; :func:`rl_jax.run.report.binomial.edge` bounds it.
    """
    _check(level, samples)
    return _quantiles(difference_samples(x, y, statistic, samples, seed), level)


def difference_samples(x: ArrayLike, y: ArrayLike, statistic: Statistic = iqm, samples: int = 100_000, seed: int = 0) -> Array:
    """Bootstrap samples ``[samples]`` of ``statistic(x) - statistic(y)``, sorted; runs are resampled within each task.

    Args:
        x, y: ``[runs_x]`` and ``[runs_y]``, or with the same number of tasks as a second axis. A single run stands for a known
            number and is not resampled; if both are single all samples are their difference.
        statistic, samples, seed: as in :func:`bootstrap_interval`.

    Raises:
        RLJaxError: if scores are missing or the numbers of tasks differ.
    """
    first, second = _tables(x, y)
    rng, parts = np.random.default_rng(seed), []
    # A few million scores at a time: many tasks take no more memory than one.
    for part in np.array_split(np.empty(samples), max(1, samples * first.size // 4_000_000)):
        parts.append(_resampled(first, statistic, len(part), rng) - _resampled(second, statistic, len(part), rng))
    return np.sort(np.concatenate(parts))


def performance_profile(scores: ArrayLike, thresholds: ArrayLike) -> Array:
    """Share of runs (over all tasks) whose score is above each threshold (Agarwal et al. 2021, section 4.2).

    Args:
        scores: ``[runs]`` or ``[runs, tasks]``.
        thresholds: ``[points]``, of the scores' unit.

    Returns:
        ``[points]``, falling from 1 to 0.
    """
    table, at = _table(scores), np.asarray(thresholds, np.float64)
    if at.ndim != 1:
        raise RLJaxError(f"thresholds must be a list of scores, not of shape {at.shape}")
    return np.asarray((table.reshape(-1)[:, None] > at).mean(axis=0))


def _wins(x: ArrayLike, y: ArrayLike) -> Array:
    """``[runs_x, runs_y, tasks]``: 1 where ``x`` beats ``y``, one half for a tie."""
    first, second = _tables(x, y)
    left, right = first[:, None], second[None]
    return np.asarray((left > right) + 0.5 * (left == right), np.float64)


def _resampled(table: Array, statistic: Statistic, samples: int, rng: np.random.Generator) -> Array:
    """The statistic of ``samples`` tables whose runs are drawn from those of ``[runs, tasks]``, each task by itself."""
    runs, tasks = table.shape
    draws = rng.integers(runs, size=(samples, runs, tasks))
    return statistic(table[draws, np.arange(tasks)].reshape(samples, runs * tasks), axis=-1)


def _tables(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """Two methods' scores as ``[runs, tasks]``, of the same number of tasks."""
    first, second = _table(x), _table(y)
    if first.shape[1] != second.shape[1]:
        raise RLJaxError(f"there are {first.shape[1]} and {second.shape[1]} tasks: compare on the same ones")
    return first, second


def _table(scores: ArrayLike) -> Array:
    """Scores as ``[runs, tasks]``, checked to be complete."""
    table = np.asarray(scores, np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or table.size == 0:
        raise RLJaxError(f"scores must be [runs] or [runs, tasks] with at least one run, not of shape {table.shape}")
    missing = np.flatnonzero(~np.isfinite(table).all(axis=1))
    if missing.size:
        names = ", ".join(str(run) for run in missing)
        raise RLJaxError(f"no finite score for run(s) {names} of {len(table)}: train them longer or rerun those seeds")
    return table


def _check(level: float, samples: int) -> None:
    if not 0 < level < 1:
        raise RLJaxError(f"level is the mass of the interval, in (0, 1): 0.95, not {level}")
    if samples < 1:
        raise RLJaxError(f"samples must be at least 1, not {samples}")


def _quantiles(values: Array, level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
