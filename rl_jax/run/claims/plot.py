"""The plot of a claim: its curves, and each measure with its interval, arm by arm."""

import textwrap
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from rl_jax.run.claims.table import beside_verdict, silent_arms
from rl_jax.run.report.plots import COLOURS, DASHES, STYLE
from rl_jax.run.report.progress import human_count

#: What the verdict's word is written in.
VERDICT_COLOURS = {"holds": "#009E73", "does not hold": "#D55E00", "undecided": "#8A6D00", "not judged": "#777777"}
#: How a mean is drawn.
MEAN: dict[str, Any] = {"marker": "D", "linestyle": "", "markersize": 6, "markerfacecolor": "white", "zorder": 5}


def draw(result: dict[str, Any], path: Path) -> Path:
    """Draw a result of :func:`rl_jax.run.claims.command.run`: one panel for each curve, one for each judged measure."""
    judged = list(dict.fromkeys(row["measure"] for row in result["predictions"])) or list(result["measures"])
    panels = [(name, True) for name in result["curves"]] + [(name, False) for name in judged]
    columns = 2 if len(panels) == 4 else min(3, len(panels))
    rows = -(-len(panels) // columns)
    look: dict[str, tuple[str, Any]] = {
        name: (COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)]) for i, name in enumerate(result["arms"])
    }
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6 * columns + 0.6, 3.7 * rows + 1.1), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes, (name, curve) in zip(grid.flat, panels, strict=False):
            if curve:
                _curve(axes, result["curves"][name], look)
            else:
                _measure(axes, result, name, look)
        for axes in list(grid.flat)[len(panels) :]:
            axes.set_visible(False)
        title = f"{result['title']}: {result['verdict']}{beside_verdict(result)}"
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
        handles = [Line2D([], [], color=c, linestyle=d, lw=2.2, label=name) for name, (c, d) in look.items()]
        if any("summary" in arm for arm in result["arms"].values()):
            handles.append(Line2D([], [], label="mean", color="#444444", **MEAN))
        figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)))
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=120)
    return path


def _floats(column: list[float | None]) -> Any:
    return np.asarray([np.nan if v is None else v for v in column], np.float64)


def _curve(axes: Axes, curve: dict[str, Any], look: dict[str, tuple[str, Any]]) -> None:
    for name, band in curve["arms"].items():
        colour, dash = look[name]
        x, middle, low, high = (_floats(band[key]) for key in ("x", "iqm", "low", "high"))
        axes.fill_between(x, low, high, color=colour, alpha=0.18, lw=0)
        known = np.isfinite(middle)
        axes.plot(x[known], middle[known], color=colour, linestyle=dash, lw=2.0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: human_count(value)))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.set_xlabel(curve["x_label"])
    axes.set_ylabel(curve["y_label"])


def _measure(axes: Axes, result: dict[str, Any], measure: str, look: dict[str, tuple[str, Any]]) -> None:
    """Every run a dot, the interquartile mean a bar with its interval, the mean a diamond; arms without spread are marked."""
    names = [name for name, arm in result["arms"].items() if measure in arm["values"]]
    for at, name in enumerate(names):
        arm, colour = result["arms"][name], look[name][0]
        values = np.asarray(arm["values"][measure])
        axes.plot(values, at + np.linspace(-0.18, 0.18, len(values)), "o", color=colour, alpha=0.35, markersize=4, mew=0)
        if "summary" in arm:
            low, high = arm["summary"][measure]["ci95"]
            axes.plot([low, high], [at, at], color=colour, lw=6, alpha=0.5, solid_capstyle="butt")
            axes.plot(arm["summary"][measure]["iqm"], at, "|", color=colour, markersize=18, mew=2.5)
            axes.plot(arm["summary"][measure]["mean"], at, **MEAN, color=colour)
    silent = silent_arms(result, measure)
    axes.set_yticks(range(len(names)), [f"{name} *" if name in silent else name for name in names])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(textwrap.fill(f"{measure}: {result['measures'][measure]}", 38))
    if silent:
        words = " or\n  ".join(dict.fromkeys(silent.values()))
        axes.set_title(f"* {words}", loc="left", fontsize=9, fontweight="normal")
