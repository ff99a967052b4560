"""``rl-jax plot``: learning curves of several run folders in one picture."""

import json
from typing import Any

from rl_jax.agents import CONFIGS
from rl_jax.agents.configs import sweepable
from rl_jax.errors import RLJaxError
from rl_jax.run.failures import writing
from rl_jax.run.options import IDENTITY
from rl_jax.run.report.curves import Curve, curve_from_rows, empty_curve
from rl_jax.run.stopping import say
from rl_jax.run.storage import config
from rl_jax.run.storage.identity import settings_of
from rl_jax.run.storage.metrics import Row
from rl_jax.run.storage.ownership import check_writable
from rl_jax.run.training.folder import RunFolder

#: What every run measures sooner or later.
ALWAYS = ("episode/return", "eval/return")


def plot(given: Any) -> None:
    """Runs that differ in their seeds alone are one curve, in whichever folders they are; each setting of a sweep is one.

    Raises:
        RLJaxError: a folder is none of a run, it lacks the metric, or the picture cannot be written.
    """
    if given.out.suffix != ".png":
        raise RLJaxError(f"--out must be a .png file, not {given.out}")
    if given.out.exists() and not given.overwrite:
        raise RLJaxError(f"{given.out} exists already: add --overwrite or choose another --out")
    check_writable(given.out.resolve().parent)
    folders = [RunFolder.open(path) for path in given.runs]
    if not folders:
        raise RLJaxError("name at least one run folder")
    from rl_jax.run.report.plots import compare_curves

    groups = _groups(folders)
    everything = [row for rows in groups.values() for row in rows]
    # A run that failed soon has none of it; where no run has it, and not every run would, it is no metric.
    if not everything or (given.metric not in ALWAYS and not any(given.metric in row for row in everything)):
        curve_from_rows(everything, given.metric)  # says what there is
    curves = {label: _curve(rows, given.metric) for label, rows in zip(_labels(list(groups)), groups.values(), strict=True)}
    label = "return" if given.metric == "episode/return" else given.metric
    with writing(given.out):
        print(compare_curves(given.out, curves, given.statistic, ylabel=label))


def _groups(folders: list[RunFolder]) -> dict[str, list[Row]]:
    """The rows of the runs that differ in their seeds alone, by all else.

    The same options with the same seed are the same run, of a copy of its folder, of another spelling or begun once more: the one
    that is furthest counts, and that is said.
    """
    found: dict[str, dict[Any, tuple[RunFolder, list[Row]]]] = {}
    twice: dict[tuple[str, str], list[Any]] = {}
    for folder in folders:
        identity = {name: config.plain(getattr(folder.options, name)) for name in IDENTITY if name not in ("seed", "seeds")}
        varied = sweepable(CONFIGS[folder.agent]) if folder.command == "sweep" else []
        alone = {name: x[0] if name in varied and isinstance(x, list) else x for name, x in folder.hyperparameters.items()}
        runs: dict[tuple[str, Any], list[Row]] = {}
        for row in folder.rows():
            label = json.dumps([folder.agent, identity, {**alone, **settings_of(row, varied)}])
            runs.setdefault((label, row.get("seed")), []).append({**row, "run": 0})
        for (label, seed), rows in runs.items():
            before, known = found.setdefault(label, {}).setdefault(seed, (folder, rows))
            if before is folder:
                continue
            if further := _steps(rows) > _steps(known):
                found[label][seed] = folder, rows
            left, kept = (before, folder) if further else (folder, before)
            twice.setdefault((str(left.path), str(kept.path)), []).append(seed)
    for (left_out, counted), seeds in twice.items():
        what = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} of its runs"
        say(f"{left_out}: {what} with the same options is in {counted} too: counted once")
    return {label: [row for _, rows in runs.values() for row in rows] for label, runs in found.items()}


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
    """What tells configurations apart, in as few words as possible."""
    parsed = [{"agent": agent, **options, **numbers} for agent, options, numbers in map(json.loads, groups)]
    names = list(dict.fromkeys(name for one in parsed for name in one))
    differing = [name for name in names if len({json.dumps(one.get(name)) for one in parsed}) > 1]
    shown = differing or ["agent", "env"]
    return [", ".join(str(one.get(n)) if n in ("agent", "env") else f"{n} {one.get(n)}" for n in shown) for one in parsed]
