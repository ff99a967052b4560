"""Benchmarks as a table, a file and plots."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rl_jax.run.bench.row import Row
from rl_jax.run.memory import human_bytes
from rl_jax.run.plots import COLOURS, figure_in_style
from rl_jax.run.progress import human_count

HEADINGS = (
    *("suite", "case", "env", "envs", "seeds", "width", "compile s", "run s", "steps/s", "slowest", "memory"),
    *("GFLOP/s", "of peak", "return"),
)
#: What a scaling suite varies, as a field of a row and in words.
VARIED = {
    "scale-envs": ("envs", "environments"),
    "scale-seeds": ("seeds", "runs side by side"),
    "scale-width": ("width", "units of a hidden layer"),
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
    return written


def _plot(path: Path, rows: Sequence[Row], name: str, words: str) -> Path:
    x = [getattr(row, name) for row in rows]
    title = f"{rows[0].agent.upper()} on {rows[0].env}, {rows[0].device}"
    with figure_in_style(path, title, width=7.5, height=4.2) as (_, axes):
        speeds = [row.steps_per_second for row in rows]
        axes.plot(x, speeds, marker="o", color=COLOURS[0])
        axes.set_xscale("log", base=2)
        if max(speeds) > 10 * min(speeds):
            axes.set_yscale("log")
        else:  # differences are to look as large as they are
            axes.set_ylim(0, 1.1 * max(speeds))
            axes.yaxis.set_major_formatter(lambda value, _: human_count(value))
        axes.set_xlabel(words)
        axes.set_ylabel("environment steps per second")
        axes.set_xticks(x, [human_count(value) for value in x])
        if all(row.share is not None for row in rows):
            right = axes.twinx()
            right.plot(x, [100 * (row.share or 0.0) for row in rows], marker="s", linestyle="--", color=COLOURS[1])
            right.set_ylabel("% of the matrix product's peak", color=COLOURS[1])
            right.set_ylim(0, 100)
            right.grid(visible=False)
    return path
