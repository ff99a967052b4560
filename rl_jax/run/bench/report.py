"""Benchmarks as a table, a file and plots."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rl_jax.run.bench.row import Row
from rl_jax.run.devices.device_memory import human_bytes
from rl_jax.run.report.plots import COLOURS, figure_in_style
from rl_jax.run.report.progress import human_count

HEADINGS = (
    *("suite", "case", "env", "envs", "seeds", "width", "compile s", "run s", "steps/s", "slowest", "memory"),
    *("GFLOP/s", "of peak", "return"),
)
#: What a scaling suite varies, as a field of a row and in words.
VARIED = {
    "scale-envs": ("envs", "environments"),
    "scale-length": ("length", "steps of a rollout"),
    "scale-seeds": ("seeds", "runs side by side"),
    "scale-width": ("width", "units of a hidden layer"),
    "scale-replay": ("capacity", "transitions that the buffer holds"),
}


def cells(row: Row) -> list[str]:
    """A row as text, under :data:`HEADINGS`."""
    return [
        row.suite,
        row.case,
        row.env,
        str(row.envs or ""),
        str(row.seeds),
        str(row.width or ""),
        f"{row.seconds_compile:.2f}",
        f"{row.seconds_run:.4g}",
        human_count(row.steps_per_second),
        f"x{row.spread:.2f}",
        human_bytes(row.bytes_peak) if row.bytes_peak else "",
        "" if row.flops is None else f"{row.flops / 1e9:.1f}",
        "" if row.share is None else f"{100 * row.share:.0f}%",
        "" if row.result is None else f"{row.result:.1f}",
    ]


def widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """How wide each column of a table is."""
    return [max(len(row[i]) for row in (HEADINGS, *rows)) for i in range(len(HEADINGS))]


def line(texts: Sequence[str], wide: Sequence[int]) -> str:
    """One line of a table: words to the left, numbers to the right."""
    return "  ".join(t.ljust(w) if i < 3 else t.rjust(w) for i, (t, w) in enumerate(zip(texts, wide, strict=True))).rstrip()


def table(rows: Sequence[Row]) -> str:
    """All rows under their headings."""
    texts = [cells(row) for row in rows]
    wide = widths(texts)
    return "\n".join(line(text, wide) for text in (HEADINGS, *texts))


def write(folder: Path, rows: Sequence[Row], about: dict[str, Any]) -> list[Path]:
    """``bench.json`` and a plot of each scaling suite; the files."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bench.json"
    path.write_text(json.dumps({**about, "rows": [dataclasses.asdict(row) for row in rows]}, indent=1) + "\n")
    written = [path]
    for suite, (name, words) in VARIED.items():
        mine = [row for row in rows if row.suite == suite]
        if len(mine) > 1:
            written.append(_plot(folder / f"{suite}.png", mine, name, words))
    if mine := [row for row in rows if row.suite == "scale-devices"]:
        written.append(_plot_devices(folder / "scale-devices.png", mine))
    return written


def _plot_devices(path: Path, rows: Sequence[Row]) -> Path:
    """Seconds of a train step for as much work as one device had, what they were spent on, and how long the cores worked."""
    numbers = sorted({row.devices for row in rows})
    with figure_in_style(path, f"Weak scaling of PPO on CartPole-v1: {rows[0].device}", width=7.5, height=4.2) as (_, axes):
        for i, case in enumerate(sorted({row.case for row in rows})):
            mine = sorted((row for row in rows if row.case == case), key=lambda row: row.devices)
            x = [numbers.index(row.devices) + 0.4 * (i - 0.5) for row in mine]
            collect = [1e3 * (row.seconds_collect or 0.0) / row.devices for row in mine]
            whole = [1e3 * row.seconds_run / row.devices for row in mine]
            what = {"envs": "more environments", "seeds": "more runs"}[case]
            axes.bar(x, collect, 0.36, color=COLOURS[2 * i], label=f"{what}: acting")
            learn = [max(0.0, a - b) for a, b in zip(whole, collect, strict=True)]
            axes.bar(x, learn, 0.36, bottom=collect, color=COLOURS[2 * i], alpha=0.45, label=f"{what}: experience, learning")
            if all(row.seconds_processor for row in mine):
                worked = [1e3 * (row.seconds_processor or 0.0) / row.devices for row in mine]
                axes.plot(x, worked, "_", markersize=26, color="black", label="" if i else "all cores' work")
        axes.set_xticks(range(len(numbers)), [str(n) for n in numbers])
        axes.set_xlabel("devices, and times the work")
        axes.set_ylabel("ms of a train step / devices")
        axes.set_ylim(0, axes.get_ylim()[1] * 1.3)
        axes.legend(ncols=2)
    return path


def _plot(path: Path, rows: Sequence[Row], name: str, words: str) -> Path:
    what = f"{rows[0].agent.upper()} on {rows[0].env}" if rows[0].agent else f"A buffer of {rows[0].env}"
    with figure_in_style(path, f"{what}, {rows[0].device}", width=7.5, height=4.2) as (_, axes):
        cases = list(dict.fromkeys(row.case for row in rows))
        for case, colour in zip(cases, COLOURS, strict=False):
            mine = [row for row in rows if row.case == case]
            label = case if len(cases) > 1 else None
            axes.plot(
                [getattr(r, name) for r in mine], [r.steps_per_second for r in mine], marker="o", color=colour, label=label
            )
        if len(cases) > 1:
            axes.legend()
        x = sorted({getattr(row, name) for row in rows})
        speeds = [row.steps_per_second for row in rows]
        axes.set_xscale("log", base=2)
        if max(speeds) > 10 * min(speeds):
            axes.set_yscale("log")
        else:  # differences are to look as large as they are
            axes.set_ylim(0, 1.1 * max(speeds))
            axes.yaxis.set_major_formatter(lambda value, _: human_count(value))
        axes.set_xlabel(words)
        axes.set_ylabel("environment steps per second" if rows[0].agent else "transitions per second")
        axes.set_xticks(x, [human_count(value) for value in x])
        if len(cases) == 1 and all(row.share is not None for row in rows):
            right = axes.twinx()
            shares = [100 * (row.share or 0.0) for row in rows]
            right.plot([getattr(row, name) for row in rows], shares, marker="s", linestyle="--", color=COLOURS[1])
            right.set_ylabel("% of the matrix product's peak", color=COLOURS[1])
            right.set_ylim(0, 100)
            right.grid(visible=False)
    return path
