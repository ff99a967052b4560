"""Plots of runs: learning curves, comparisons and sweeps, written as image files without a display.

The lines over seeds are the interquartile mean with a 95% bootstrap band (:mod:`rl_jax.run.report.stats`); of fewer than five seeds,
with their range.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from rl_jax.errors import RLJaxError
from rl_jax.run.report.curves import (
    Array,
    Curve,
    check_statistic,
    checked,
    curve_from_rows,
    fill_gaps,
    over_seeds,
    spread,
    spread_name,
)
from rl_jax.run.report.progress import human_count

__all__ = ["Curve", "compare_curves", "curve_from_rows", "learning_curve"]

# Okabe and Ito's colours, told apart with any colour vision; their yellow is left out, as it vanishes on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5A5A5A")
DASHES = ("-", "--", ":", "-.")  # tell runs apart beyond the number of colours
STATISTIC_NAMES = {"iqm": "interquartile mean", "mean": "mean"}
STYLE: dict[Any, Any] = {
    "font.size": 11,
    "font.sans-serif": ["DejaVu Sans"],
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.labelsize": 11,
    "axes.labelcolor": "#333333",
    "axes.edgecolor": "#999999",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.8,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "lines.solid_capstyle": "round",
}


def learning_curve(
    path: str | os.PathLike[str],
    curve: Curve,
    title: str,
    evaluation: Curve | None = None,
    *,
    statistic: str = "iqm",
    ylabel: str = "return",
    xlabel: str = "environment steps",
) -> Path:
    """Draw one run: for several seeds each as a thin line, their statistic bold with its 95% bootstrap band; for one
    seed the raw values faint and a moving average bold.

    Args:
        path: of the image; its folder is created. The suffix decides the format.
        curve: returns while training.
        title: what was run.
        evaluation: returns of evaluations, drawn as markers (their statistic over seeds).
        statistic: ``iqm`` or ``mean``.
        ylabel: what is measured.
        xlabel: what is counted.

    Returns:
        ``path``.

    Raises:
        RLJaxError: if shapes do not fit or the statistic is unknown.
    """
    check_statistic(statistic)
    steps, returns = checked(curve)
    with figure_in_style(path, title) as (figure, axes):
        if len(returns) == 1:
            _one_seed(axes, steps, returns[0])
        else:
            for index, line in enumerate(returns):
                label = f"each of {len(returns)} seeds" if index == 0 else None
                axes.plot(steps, line, color=COLOURS[0], alpha=min(0.35, 2.5 / len(returns)), lw=0.9, label=label)
            _with_band(
                axes,
                steps,
                returns,
                statistic,
                color=COLOURS[0],
                label=f"{STATISTIC_NAMES[statistic]} and {spread_name(len(returns))}",
            )
            _failed_runs(axes, curve, COLOURS[6], f"{len(curve.failed)} of {len(returns)} runs failed")
        if evaluation is not None:
            at, values = checked(evaluation)
            low, high = spread(values, statistic)
            axes.vlines(at, low, high, color=COLOURS[1], lw=1.8, alpha=0.7, zorder=4)
            style = {"markersize": 6.5, "markeredgecolor": "white", "markeredgewidth": 1.0, "zorder": 5}
            axes.plot(at, over_seeds(values, statistic), "D", color=COLOURS[1], label="evaluation", clip_on=False, **style)
        _finish(axes, [steps], ylabel, bool(np.isfinite(returns).any()), xlabel)
        _legend_below(figure, axes)
    return Path(path)


def compare_curves(
    path: str | os.PathLike[str],
    runs: dict[str, Curve],
    statistic: str = "iqm",
    title: str = "",
    ylabel: str = "return",
    xlabel: str = "environment steps",
) -> Path:
    """Draw several runs, each as the statistic over its seeds with a 95% bootstrap band; their number is named.

    Args:
        path: of the image; its folder is created.
        runs: label to curve; the runs may have different steps and numbers of seeds.
        statistic: ``iqm`` or ``mean``.
        title, ylabel, xlabel: as in :func:`learning_curve`.

    Returns:
        ``path``.
    """
    check_statistic(statistic)
    if not runs:
        raise RLJaxError("there are no runs to compare: name at least one run folder")
    curves = {label: checked(curve) for label, curve in runs.items()}
    counts = {len(returns) for _, returns in curves.values()}
    few = max(counts)
    measured = STATISTIC_NAMES[statistic] + (f" and {spread_name(few)}" if few > 1 else "")
    measured += f", {seed_count(counts.pop())}" if len(counts) == 1 else ""
    # A legend within the data hides some of it; beside the axes it needs width of its own.
    widest = max(len(label) for label in runs)
    with figure_in_style(path, title, width=8.0 + min(3.5, 0.075 * widest + 0.9)) as (_, axes):
        for index, (label, (steps, returns)) in enumerate(curves.items()):
            colour, dash = COLOURS[index % len(COLOURS)], DASHES[index // len(COLOURS) % len(DASHES)]
            failed = runs[label].failed
            lost = f", {len(failed)} failed" if failed else ""
            name = f"{label}\n({seed_count(len(returns))}{lost})" if counts or failed else label
            _with_band(axes, steps, returns, statistic, color=colour, linestyle=dash, label=name)
            _failed_runs(axes, runs[label], colour)
        has_data = any(np.isfinite(returns).any() for _, returns in curves.values())
        _finish(axes, [steps for steps, _ in curves.values()], f"{ylabel} ({measured})", has_data, xlabel)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), labelspacing=0.9)
    return Path(path)


def _one_seed(axes: Axes, steps: Array, values: Array) -> None:
    """Raw values faint; bold a centred moving average over about a twentieth of the run, if there are enough points."""
    known = np.isfinite(values)
    steps, values = steps[known], values[known]
    window = len(values) // 20
    if window < 2:
        axes.plot(steps, values, color=COLOURS[0], lw=2.0, label="training")
        return
    axes.plot(steps, values, color=COLOURS[0], alpha=0.28, lw=1.0, label="training")
    # Sums over a window that shrinks at the ends: no value there is invented or shifted.
    sums = np.concatenate([[0.0], np.cumsum(values)])
    left = np.maximum(np.arange(len(values)) - window // 2, 0)
    right = np.minimum(np.arange(len(values)) + (window + 1) // 2, len(values))
    smooth = (sums[right] - sums[left]) / (right - left)
    axes.plot(steps, smooth, color=COLOURS[0], lw=2.2, label=f"moving average of {window} points")


def _with_band(axes: Axes, steps: Array, returns: Array, statistic: str, **style: Any) -> None:
    """The statistic over seeds as a bold line with its band (no band for one seed)."""
    centre = over_seeds(returns, statistic)
    low, high = spread(fill_gaps(returns), statistic)
    axes.fill_between(steps, low, high, color=style["color"], alpha=0.2, lw=0, zorder=2)
    known = np.isfinite(centre)
    axes.plot(steps[known], centre[known], lw=2.2, zorder=3, **style)


def _failed_runs(axes: Axes, curve: Curve, color: str, label: str | None = None) -> None:
    """A cross where each failed run had its last value; in the lower left corner if it had none."""
    steps, returns = checked(curve)
    for number, run in enumerate(curve.failed):
        known = np.flatnonzero(np.isfinite(returns[run]))
        style: dict[str, Any] = {"markersize": 8, "mew": 2, "zorder": 6, "clip_on": False, "label": None if number else label}
        if known.size:
            axes.plot(steps[known[-1]], returns[run, known[-1]], "x", color=color, **style)
        else:
            axes.plot(0, 0, "x", color=color, transform=axes.transAxes, **style)


@contextmanager
def figure_in_style(path: str | os.PathLike[str], title: str, width: float = 8.0, height: float = 4.8) -> Iterator[Any]:
    """A figure in the house style with one set of axes, saved at the end. No global state of matplotlib is touched."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(title)
        yield figure, axes
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)


def seed_count(count: int) -> str:
    """``1 seed``, ``2 seeds``."""
    return f"{count} seed{'' if count == 1 else 's'}"


def _finish(axes: Axes, steps: Sequence[Array], ylabel: str, has_data: bool, xlabel: str = "environment steps") -> None:
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: human_count(value)))
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 2.5, 5, 10]))
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    last = max((float(each.max()) for each in steps if each.size), default=0.0)
    axes.set_xlim(0, last * 1.01 or 1)
    if not has_data:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no finished episode yet", transform=axes.transAxes, ha="center", color="#777777")


def _legend_below(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles and axes.has_data():
        shown = figure.legend(handles, labels, loc="outside lower center", ncols=len(handles))
        for handle in shown.get_lines():
            handle.set_alpha(max(handle.get_alpha() or 1.0, 0.5))  # the thin lines of many seeds are too faint for a key
