"""``rl-jax reproduce``: run recipes, judge them, and write what was found."""

import hashlib
import json
import math
import sys
import time
from contextlib import ExitStack
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rl_jax.errors import RLJaxError
from rl_jax.run.begin import cores_that_divide, make_cpu_devices
from rl_jax.run.claims import library
from rl_jax.run.claims.judge import judge, summary
from rl_jax.run.claims.recipe import Arm, Curve, Outcome, Recipe, Work
from rl_jax.run.claims.trained import Trained
from rl_jax.run.config import write_json
from rl_jax.run.curves import fill_gaps
from rl_jax.run.kept import Kept
from rl_jax.run.metadata import metadata
from rl_jax.run.ownership import check_writable, own
from rl_jax.run.progress import human_count, human_time
from rl_jax.run.stats import bootstrap_band, iqm

#: Runs of the quick slice.
QUICK_SEEDS = 2


def reproduce(given: Any) -> None:
    """Run the recipes that were asked for, one after the other.

    Raises:
        RLJaxError: no recipe is named, one does not exist, or the results cannot be written; before anything is run.
    """
    if given.list:
        _show_list()
        return
    if given.all == bool(given.recipes):
        raise RLJaxError("name recipes, or give --all; --list shows them")
    if given.record and given.quick:
        raise RLJaxError("a quick slice is no result: leave out --record or --quick")
    chosen = [library.load(slug) for slug in given.recipes or library.recipes()]
    with ExitStack() as owned:
        for recipe, _ in chosen:
            owned.enter_context(own(given.out / recipe.slug))
            check_writable(given.out / recipe.slug)
        runs = QUICK_SEEDS if given.quick else len(chosen[0][0].seeds)
        make_cpu_devices(cores_that_divide(runs))
        _run_all(chosen, given)


def _run_all(chosen: list[tuple[Recipe, Path]], given: Any) -> None:
    summaries = []
    for recipe, path in chosen:
        folder = given.out / recipe.slug
        kept = Kept(folder / "arms", {"recipe": hashlib.sha256(path.read_bytes()).hexdigest(), "quick": given.quick})
        if given.fresh:
            kept.forget(recipe.arms)
        result = run(recipe, given.quick, given.quiet, kept)
        write_json(folder / "result.json", result)
        _draw(result, folder / "plot.png")
        compared = None if given.quick else _compare(recipe.slug, path, result)
        if given.record:
            _record(recipe, path, result)
        if not given.quiet:
            print(table(result), file=sys.stderr)
            if compared:
                print(compared, file=sys.stderr)
        summaries.append({"slug": recipe.slug, "verdict": result["verdict"], "seconds": result["seconds"], "out": str(folder)})
    for line in summaries:
        print(json.dumps(line))


def run(recipe: Recipe, quick: bool = False, quiet: bool = False, kept: Kept | None = None) -> dict[str, Any]:
    """All arms of a recipe over its seeds, judged: the content of the result file.

    With ``quick`` two tuning seeds run a small slice of a few arms, and the verdict is ``"not judged"``. Arms that were ``kept``
    are not run again.
    """
    seeds = recipe.tuning_seeds[:QUICK_SEEDS] if quick else recipe.seeds
    chosen = few(recipe) if quick else recipe.arms
    outcomes, arms = {}, {}
    for number, (name, arm) in enumerate(chosen.items(), start=1):
        show = _Progress(f"{recipe.slug} {number}/{len(chosen)} {name}", quiet)
        found = None if kept is None else kept.find(name)
        if found is not None:
            outcome, seconds = Outcome.from_json(found["outcome"]), found["seconds"]
            show.found(seconds)
        else:
            tick = time.perf_counter()
            outcome = arm(Work(tuple(seeds), quick, show))
            seconds = time.perf_counter() - tick
            show.done(seconds)
            if kept is not None:
                kept.keep(name, {"outcome": outcome.to_json(), "seconds": seconds})
        outcomes[name] = outcome
        arms[name] = {
            "steps": outcome.steps,
            "seconds_compile": round(outcome.seconds_compile, 3),
            "seconds": round(seconds, 3),
            "values": {measure: [float(v) for v in values] for measure, values in outcome.values.items()},
        }
        if not quick:
            arms[name]["summary"] = {measure: summary(values) for measure, values in outcome.values.items()}
    verdict, predictions = ("not judged", []) if quick else judge(recipe, outcomes)
    about = metadata()
    return {
        "slug": recipe.slug,
        "title": recipe.title,
        "paper": recipe.paper,
        "claim": recipe.claim,
        "environment": recipe.environment,
        "departures": recipe.departures,
        "verdict": verdict,
        "predictions": predictions,
        "measures": recipe.measures,
        "seeds": list(seeds),
        "tuning_seeds": list(recipe.tuning_seeds),
        "arms": arms,
        "curves": {name: _curve(name, recipe, outcomes) for name in recipe.curves},
        "seconds": round(sum(arm["seconds"] for arm in arms.values()), 1),
        "date": date.today().isoformat(),
        "device": about["device"],
        "versions": about["versions"],
        "python": about["python"],
    }


def few(recipe: Recipe) -> dict[str, Arm]:
    """The arms of the first prediction, and the first of every further kind: made by another function, they are other machinery."""
    first = {recipe.predictions[0].better, recipe.predictions[0].worse}
    kinds: set[Any] = {_kind(arm) for name, arm in recipe.arms.items() if name in first}
    arms = {}
    for name, arm in recipe.arms.items():
        if name in first or _kind(arm) not in kinds:
            arms[name] = arm
            kinds.add(_kind(arm))
    return arms


def _kind(arm: Any) -> Any:
    made = arm.make if isinstance(arm, Trained) else arm
    return made.func if isinstance(made, partial) else made


def _curve(name: str, recipe: Recipe, outcomes: dict[str, Outcome]) -> dict[str, Any]:
    axes = recipe.curves[name]
    arms = {arm: _band(outcome.curves[name]) for arm, outcome in outcomes.items() if name in outcome.curves}
    return {"x_label": axes.x, "y_label": axes.y, "arms": arms}


def _band(curve: Curve) -> dict[str, Any]:
    """Interquartile mean and interval at each point, gaps of a run filled; ``None`` before a run's first value and after its last."""
    y = fill_gaps(curve.y)
    known = np.isfinite(y).all(axis=0)
    middle = np.full(len(curve.x), np.nan)
    middle[known] = iqm(y[:, known], axis=0)
    low, high = bootstrap_band(np.where(known, y, np.nan))
    columns = {"x": curve.x, "iqm": middle, "low": low, "high": high}
    return {key: [None if math.isnan(v) else float(f"{v:.6g}") for v in column] for key, column in columns.items()}


class _Progress:
    """One line for an arm, rewritten on a terminal; elsewhere a line each fifth of the way."""

    def __init__(self, name: str, quiet: bool):
        self.name, self.quiet, self.begin, self.shown = name, quiet, time.monotonic(), 0.0

    def __call__(self, share: float, text: str) -> None:
        if self.quiet:
            return
        spent = time.monotonic() - self.begin
        line = (
            f"{self.name}  {100 * share:3.0f}%  {text}  left {human_time(spent * (1 - share) / share if share else math.nan)}"
        )
        if sys.stderr.isatty():
            print(f"\r{line[:118]}\x1b[K", end="", file=sys.stderr, flush=True)
        elif share >= self.shown + 0.2:
            self.shown = share
            print(line, file=sys.stderr, flush=True)

    def found(self, seconds: float) -> None:
        """The arm was finished before."""
        if not self.quiet:
            print(f"{self.name}  done before, in {human_time(seconds)} (--fresh runs it again)", file=sys.stderr, flush=True)

    def done(self, seconds: float) -> None:
        """The arm is finished."""
        if not self.quiet:
            end = "\r\x1b[K" if sys.stderr.isatty() else ""
            print(f"{end}{self.name}  done in {human_time(seconds)}", file=sys.stderr, flush=True)


def table(result: dict[str, Any]) -> str:
    """What was found, in words for a terminal."""
    lines = [f"\n{result['title']} ({result['paper']})", ""]
    width = max(map(len, result["arms"]))
    for measure, unit in result["measures"].items():
        lines.append(f"  {measure}: {unit}")
        for name, arm in result["arms"].items():
            if measure not in arm["values"]:
                continue
            if "summary" in arm:
                s = arm["summary"][measure]
                text = f"{s['iqm']:10.4g}  [{s['ci95'][0]:.4g}, {s['ci95'][1]:.4g}]"
            else:
                text = " ".join(f"{v:.4g}" for v in arm["values"][measure])
            lines.append(f"    {name:{width}s} {text}   {human_count(arm['steps'])} steps, {human_time(arm['seconds'])}")
    for row in result["predictions"]:
        chance = row["probability_of_improvement"]
        more = "" if chance is None else f", P(improvement) {chance:.2f}"
        low, high = row["ci95"]
        lines.append(f"  {row['verdict']:>13s}: {row['prediction']}: {row['difference']:.4g} [{low:.4g}, {high:.4g}]{more}")
    seeds = result["seeds"]
    lines += ["", f"  {result['slug']}: {result['verdict'].upper()}   ({len(seeds)} seeds, {human_time(result['seconds'])})"]
    return "\n".join(lines)


def _draw(result: dict[str, Any], path: Path) -> None:
    from rl_jax.run.claims.plot import draw

    draw(result, path)


def _committed(path: Path, slug: str) -> Path:
    return path.resolve().parents[1] / "results" / f"{slug}.json"


def _compare(slug: str, path: Path, result: dict[str, Any]) -> str | None:
    """Whether the numbers are those of the committed result."""
    file = _committed(path, slug)
    if not file.exists():
        return None
    before = json.loads(file.read_text())
    where = f"{file.name} ({before['device']}, jax {before['versions']['jax']}, {before['date']}: {before['verdict']})"
    old, new = ({name: arm["values"] for name, arm in r["arms"].items()} for r in (before, result))
    return f"  the numbers are {'exactly' if old == new else 'not'} those of {where}"


def _record(recipe: Recipe, path: Path, result: dict[str, Any]) -> None:
    """Put the result and its plot where the documentation finds them."""
    file = _committed(path, recipe.slug)
    if file.parent.parent.name != "experiments":
        raise RLJaxError(f"--record writes into a clone's experiments/results, and {path} is in none: leave it out")
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {"family": library.family(path), **result})
    _draw(result, path.resolve().parents[2] / "docs" / "assets" / "claims" / f"{recipe.slug}.png")


def _show_list() -> None:
    for entry in library.recipes().values():
        file = _committed(entry.path, entry.slug)
        verdict = json.loads(file.read_text())["verdict"] if file.exists() else "not run yet"
        print(f"{entry.slug:30s}{entry.family:28s}{verdict:15s}{entry.title}", flush=True)
