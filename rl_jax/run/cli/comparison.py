"""``rl-jax plot``: learning curves of several run folders in one picture."""

import json
from typing import Any

from rl_jax.errors import RLJaxError
from rl_jax.run.failures import writing
from rl_jax.run.options import IDENTITY
from rl_jax.run.report.curves import Curve, curve_from_rows, empty_curve, measured
from rl_jax.run.stopping import say
from rl_jax.run.storage import config
from rl_jax.run.storage.identity import settings_of
from rl_jax.run.storage.metrics import Row
from rl_jax.run.storage.ownership import check_writable
from rl_jax.run.training.folder import RunFolder

#: Metrics that every run has, unless it fails early.
ALWAYS = ("episode/return", "eval/return")


def plot(args: Any) -> None:
    """Draw a curve for each configuration. Runs that differ only in their seeds share one curve, also from several folders.

    Raises:
        RLJaxError: a path is no run folder, no run has the metric, or the image cannot be written.
    """
    if args.out.suffix != ".png":
        raise RLJaxError(f"--out must be a .png file, not {args.out}")
    if args.out.exists() and not args.overwrite:
        raise RLJaxError(f"{args.out} exists already: add --overwrite or choose another --out")
    check_writable(args.out.resolve().parent)
    folders = [RunFolder.open(path) for path in args.runs]
    if not folders:
        raise RLJaxError("name at least one run folder")
    from rl_jax.run.report.plots import compare_curves

    groups = _groups(folders)
    all_rows = [row for rows in groups.values() for row in rows]
    # A run that failed early may lack a metric that all runs have. Any other metric must be in some row.
    if not all_rows or (args.metric not in ALWAYS and not any(args.metric in row for row in all_rows)):
        curve_from_rows(all_rows, args.metric)  # raises, and lists the metrics
    metric, label, xlabel = args.metric, "return" if args.metric == "episode/return" else args.metric, "environment steps"
    if measured(all_rows, "eval/return") and not measured(all_rows, "reward/mean"):  # learned from recorded experience alone
        xlabel = "learning steps"
        metric = "eval/return" if metric == "episode/return" else metric
    curves = {label: _curve(rows, metric) for label, rows in zip(_labels(list(groups)), groups.values(), strict=True)}
    with writing(args.out):
        print(compare_curves(args.out, curves, args.statistic, ylabel=label, xlabel=xlabel))


def _groups(folders: list[RunFolder]) -> dict[str, list[Row]]:
    """The rows of all runs, grouped by configuration without the seed.

    The same options with the same seed are the same run: a copy of its folder, another spelling, or a second start. Only the longest
    one counts, and the others are named on standard error.
    """
    groups: dict[str, dict[Any, tuple[RunFolder, list[Row]]]] = {}
    duplicates: dict[tuple[str, str], list[Any]] = {}
    for folder in folders:
        identity = {name: config.plain(getattr(folder.options, name)) for name in IDENTITY if name not in ("seed", "seeds")}
        varied, settings = list(folder.grid() or ()), folder.settings()
        runs: dict[tuple[str, Any], list[Row]] = {}
        for row in folder.rows():
            label = json.dumps([folder.agent, identity, {**settings, **settings_of(row, varied)}])
            runs.setdefault((label, row.get("seed")), []).append({**row, "run": 0})
        for (label, seed), rows in runs.items():
            previous, previous_rows = groups.setdefault(label, {}).setdefault(seed, (folder, rows))
            if previous is folder:
                continue
            if longer := _steps(rows) > _steps(previous_rows):
                groups[label][seed] = folder, rows
            dropped, kept = (previous, folder) if longer else (folder, previous)
            duplicates.setdefault((str(dropped.path), str(kept.path)), []).append(seed)
    for (left_out, counted), seeds in duplicates.items():
        seeds_text = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} of its runs"
        say(f"{left_out}: {seeds_text} with the same options is in {counted} too: counted once")
    return {label: [row for _, rows in runs.values() for row in rows] for label, runs in groups.items()}


def _steps(rows: list[Row]) -> float:
    """Environment steps of the newest row."""
    return max((row.get("steps", 0) for row in rows), default=0)


def _curve(rows: list[Row], metric: str) -> Curve:
    """The curve of some runs; an empty one where all failed before the metric was measured."""
    if any(metric in row for row in rows):
        return curve_from_rows(rows, metric)
    empty = empty_curve(rows)
    return empty if len(empty.failed) == len(empty.returns) else curve_from_rows(rows, metric)


def _labels(groups: list[str]) -> list[str]:
    """A label for each configuration: the options in which they differ, or the agent and the environment.

    Options that only some of them have are named where they are needed to tell two apart. Of a trainer's digest the beginning is shown.
    """
    parsed = [{"agent": agent, **options, **settings} for agent, options, settings in map(json.loads, groups)]
    if len({config["trainer"][:8] for config in parsed if "trainer" in config}) > 1:
        parsed = [{**config, "trainer": config.get("trainer", "")[:8]} for config in parsed]
    names = list(dict.fromkeys(name for config in parsed for name in config))
    differing = [name for name in names if len({json.dumps(config.get(name)) for config in parsed}) > 1]
    common = [name for name in differing if all(name in config for config in parsed)]
    if differing and len({json.dumps([config[name] for name in common]) for config in parsed}) == len(parsed):
        differing = common
    shown = differing or ["agent", "env"]

    def text(config: dict[str, Any]) -> str:
        present = [name for name in shown if name in config]
        return ", ".join(str(config[name]) if name in ("agent", "env") else f"{name} {config[name]}" for name in present)

    return [text(config) for config in parsed]
