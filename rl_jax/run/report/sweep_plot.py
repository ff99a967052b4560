"""Plots of sweeps: a line for one hyperparameter, a heat map for two, a ranking for more."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from rl_jax.errors import RLJaxError
from rl_jax.run.report.curves import Array, check_statistic
from rl_jax.run.report.plots import COLOURS, STATISTIC_NAMES, figure_in_style, seed_count
from rl_jax.run.report.stats import STATISTICS, bootstrap_interval

RANKED = 25  # configurations shown of a sweep over more than two hyperparameters


def sweep_plot(
    path: str | os.PathLike[str],
    names: Sequence[str],
    values: Sequence[Sequence[Any]],
    scores: Any,
    *,
    statistic: str = "iqm",
    title: str = "",
    ylabel: str = "return",
) -> Path:
    """Draw the scores of a sweep.

    One hyperparameter: a line with the 95% bootstrap interval and every seed as a dot, on a logarithmic axis if the
    values span more than a decade. Two: a heat map whose cells are annotated with the statistic. More: the best
    configurations, sorted, with their intervals.

    Args:
        path: of the image; its folder is created.
        names: the ``A`` hyperparameters.
        values: ``[P][A]``, what each of ``P`` configurations sets them to: numbers, or anything with a short ``str``.
        scores: ``[P, K]`` over ``K`` seeds; a configuration in which a seed has no finite score is shown as failed.
        statistic: ``iqm`` or ``mean``.
        title, ylabel: what was run, and what was measured.

    Returns:
        ``path``.

    Raises:
        RLJaxError: if shapes do not fit or nothing was swept.
    """
    table = np.asarray(scores, np.float64)
    points = [tuple(point) for point in values]
    if table.ndim != 2 or len(points) != len(table) or any(len(point) != len(names) for point in points):
        raise RLJaxError(
            f"a sweep is {len(names)} values for each configuration and scores [configurations, seeds], "
            f"not {len(points)} configurations and scores of shape {table.shape}"
        )
    if not names or not table.size:
        raise RLJaxError("nothing was swept: give at least one hyperparameter several values")
    check_statistic(statistic)
    complete = np.isfinite(table).all(axis=1)
    centre = np.where(complete, STATISTICS[statistic](table, axis=1), np.nan)
    sweep = _Sweep(tuple(names), points, table, centre, statistic)
    label = f"{ylabel} ({STATISTIC_NAMES[statistic]}, {seed_count(table.shape[1])})"
    if len(names) == 1:
        with figure_in_style(path, title) as (_, axes):
            _line(axes, sweep)
            axes.set_ylabel(label)
    elif len(names) == 2:
        size = 3.2 + 0.95 * len(_levels(points, 1)), 1.9 + 0.62 * len(_levels(points, 0))
        with figure_in_style(path, title, width=max(5.5, size[0]), height=max(3.6, size[1])) as (figure, axes):
            _heat_map(figure, axes, sweep, label)
    else:
        shown = min(len(points), RANKED)
        with figure_in_style(path, title, width=9.5, height=1.6 + 0.3 * shown) as (_, axes):
            _ranking(axes, sweep)
            axes.set_xlabel(label)
    return Path(path)


class _Sweep(NamedTuple):
    """A checked sweep: ``P`` configurations of ``A`` hyperparameters over ``K`` seeds."""

    names: tuple[str, ...]
    points: list[tuple[Any, ...]]
    table: Array  # [P, K]
    centre: Array  # [P], NaN where a seed failed
    statistic: str


def _line(axes: Axes, sweep: _Sweep) -> None:
    """Score against one hyperparameter."""
    name, values = sweep.names[0], [point[0] for point in sweep.points]
    levels = _levels(sweep.points, 0)
    numeric = all(_is_number(value) for value in levels)
    where = np.array([float(v) if numeric else float(levels.index(v)) for v in values])
    order = np.argsort(where, kind="stable")
    raw = np.array(values, dtype=object)[order]
    where, table, centre = where[order], sweep.table[order], sweep.centre[order]
    complete = np.isfinite(centre)
    low, high = np.array([_interval(row, sweep.statistic) for row in table]).T
    for column in table.T:
        axes.plot(where, column, "o", color=COLOURS[0], alpha=0.25, ms=4, mew=0)
    if numeric:
        axes.fill_between(where, low, high, where=complete, color=COLOURS[0], alpha=0.18, lw=0)
    else:  # nothing lies between two words: no line joins them
        axes.vlines(where, low, high, color=COLOURS[0], lw=2.2, alpha=0.8)
        axes.margins(x=0.15)
    line = "-o" if numeric else "o"
    axes.plot(where[complete], centre[complete], line, color=COLOURS[0], lw=2.2, ms=7, mec="white", mew=1.2)
    axes.set_xlabel(name)
    if numeric and where[0] > 0 and where[-1] / where[0] > 10:
        axes.set_xscale("log")
    elif numeric and where[0] == 0 and len(set(where)) > 2 and where[-1] / where[where > 0][0] > 10:
        # Zero ("off") beside values over decades: linear up to the smallest, logarithmic beyond.
        axes.set_xscale("symlog", linthresh=where[where > 0][0])
    if len(levels) <= 12:
        axes.xaxis.set_major_locator(FixedLocator(sorted(set(where))))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([_short(value) for value in levels])
    if not complete.all():
        failed = ", ".join(_short(level) for level in levels if level in set(raw[~complete]))
        axes.set_xlabel(f"{name}\n(a seed has no score at {failed})")


def _heat_map(figure: Figure, axes: Axes, sweep: _Sweep, label: str) -> None:
    """The second hyperparameter across, the first upwards; configurations of equal values are averaged."""
    rows, columns = _levels(sweep.points, 0), _levels(sweep.points, 1)
    cells: dict[tuple[int, int], list[float]] = {}
    for point, value in zip(sweep.points, sweep.centre, strict=True):
        cells.setdefault((rows.index(point[0]), columns.index(point[1])), []).append(float(value))
    grid = np.full((len(rows), len(columns)), np.nan)
    for cell, found in cells.items():
        grid[cell] = np.mean(found)
    finite = grid[np.isfinite(grid)]
    norm = Normalize(finite.min(), finite.max()) if finite.size else Normalize(0, 1)
    image = axes.imshow(np.ma.masked_invalid(grid), cmap="cividis", norm=norm, origin="lower", aspect="auto")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set_xticks(range(len(columns)), [_short(value) for value in columns])
    axes.set_yticks(range(len(rows)), [_short(value) for value in rows])
    axes.set_xlabel(sweep.names[1])
    axes.set_ylabel(sweep.names[0])
    # White lines between cells.
    axes.set_xticks(np.arange(len(columns) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="minor", length=0)
    for (row, column), value in np.ndenumerate(grid):
        missing = "failed" if (row, column) in cells else "not run"
        text = _score(float(value)) if np.isfinite(value) else missing
        dark = np.isfinite(value) and float(norm(value)) < 0.55
        best = np.isfinite(value) and value == finite.max()
        colour = "white" if dark else "#222222" if np.isfinite(value) else "#999999"
        axes.text(column, row, text, ha="center", va="center", color=colour, weight="bold" if best else "normal")
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_label(label)
    bar.outline.set_visible(False)


def _ranking(axes: Axes, sweep: _Sweep) -> None:
    """The best configurations from the top down; those that failed are named as such at the bottom."""
    names, points, table, centre, statistic = sweep
    order = np.argsort(-np.where(np.isfinite(centre), centre, -np.inf), kind="stable")
    shown = order[:RANKED]
    for place, index in enumerate(shown):
        colour = COLOURS[1] if place == 0 else COLOURS[0]
        if not np.isfinite(centre[index]):
            axes.text(0.01, place, "failed", transform=axes.get_yaxis_transform(), va="center", color="#999999")
            continue
        low, high = _interval(table[index], statistic)
        axes.plot(table[index], [place] * table.shape[1], "o", color=colour, alpha=0.22, ms=4, mew=0)
        axes.plot([low, high], [place, place], "-", color=colour, lw=2.2, alpha=0.8)
        axes.plot(centre[index], place, "o", color=colour, ms=7, mec="white", mew=1.2)
    # A table as tick labels: equal widths in a fixed-width font, and one more line on top for the names.
    cells = [list(names), *([_short(value) for value in points[index]] for index in shown)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    axes.set_yticks(range(-1, len(shown)), lines, family="monospace", fontsize=9.5)
    axes.get_yticklabels()[0].set_fontweight("bold")
    axes.set_ylim(len(shown) - 0.4, -1.6)
    axes.grid(axis="y", visible=False)
    if len(points) > RANKED:
        axes.text(1, -1, f"best {RANKED} of {len(points)}", transform=axes.get_yaxis_transform(), ha="right", va="center")


def _interval(row: Array, statistic: str) -> tuple[float, float]:
    """The interval of one configuration; NaN if a seed has no score."""
    return bootstrap_interval(row, STATISTICS[statistic]) if np.isfinite(row).all() else (np.nan, np.nan)


def _levels(points: Sequence[tuple[Any, ...]], axis: int) -> list[Any]:
    """The different values of a hyperparameter: numbers sorted, others in order of appearance."""
    levels = list(dict.fromkeys(point[axis] for point in points))
    return sorted(levels) if all(_is_number(value) for value in levels) else levels


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _short(value: Any) -> str:
    return f"{value:.4g}" if _is_number(value) else str(value)


def _score(value: float) -> str:
    """Three significant digits at most, whole numbers from 100 on."""
    return f"{value:.0f}" if 100 <= abs(value) < 1e5 else f"{value:.3g}"
