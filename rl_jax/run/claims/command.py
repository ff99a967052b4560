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
from rl_jax.run.claims import attempts, library
from rl_jax.run.claims.judge import judge, judge_again, summaries
from rl_jax.run.claims.progress import ArmProgress
from rl_jax.run.claims.recipe import Arm, Curve, Outcome, Recipe, Work
from rl_jax.run.claims.table import table
from rl_jax.run.claims.trained import Trained
from rl_jax.run.report.curves import fill_gaps
from rl_jax.run.report.stats import bootstrap_band, iqm
from rl_jax.run.storage.config import write_json
from rl_jax.run.storage.kept import Kept
from rl_jax.run.storage.metadata import metadata
from rl_jax.run.storage.ownership import check_writable, own
from rl_jax.run.training.setup import cores_that_divide, make_cpu_devices

#: Runs of the quick slice.
QUICK_SEEDS = 2


def reproduce(given: Any) -> None:
    """Run the recipes that were asked for, one after the other.

    Raises:
        RLJaxError: no recipe is named, one does not exist, or the results cannot be written; before anything is run.
    """
    if given.list and (given.recipes or given.all):
        raise RLJaxError("--list shows all recipes and runs none: give it alone")
    if given.list:
        _show_list()
        return
    if given.all and given.recipes:
        raise RLJaxError("--all runs every recipe: leave out the names, or --all")
    if not given.all and not given.recipes:
        raise RLJaxError("name recipes, or give --all; --list shows them")
    if given.record and given.quick:
        raise RLJaxError("a quick slice is no result: leave out --record or --quick")
    if given.verdict_only and (given.quick or given.fresh):
        raise RLJaxError("--verdict-only runs nothing: leave out --quick and --fresh")
    chosen = [library.load(slug) for slug in given.recipes or library.recipes()]
    if given.verdict_only:
        _judge_only(chosen, given)
        return
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
        compared = None if given.quick else _compare(path, result)
        if not given.quick:
            result = attempts.numbered(result, attempts.last(path), given.record)
        write_json(folder / "result.json", result)
        _draw(result, folder / "plot.png")
        if given.record:
            _record(path, result)
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
    outcomes: dict[str, Outcome] = {}
    arms: dict[str, dict[str, Any]] = {}
    for number, (name, arm) in enumerate(chosen.items(), start=1):
        show = ArmProgress(f"{recipe.slug} {number}/{len(chosen)} {name}", quiet)
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
            "failed": [seed for seed, lost in zip(seeds, outcome.diverged, strict=False) if lost],
        }
    verdict, predictions = ("not judged", []) if quick else judge(recipe, outcomes)
    if not quick:
        values = {name: outcome.values for name, outcome in outcomes.items()}
        for name, about in arms.items():
            about["summary"] = summaries(values, name, about["failed"])
    machine = metadata()
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
        "device": machine["device"],
        "versions": machine["versions"],
        "python": machine["python"],
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


def _draw(result: dict[str, Any], path: Path) -> None:
    from rl_jax.run.claims.plot import draw

    draw(result, path)


def _compare(path: Path, result: dict[str, Any]) -> str | None:
    """Whether the numbers are those of the committed result."""
    before = attempts.last(path)
    if before is None:
        return None
    name, seeds = attempts.committed(path).name, before["seeds"]
    where = f"{name} ({before['device']}, jax {before['versions']['jax']}, {before['date']}: {before['verdict']})"
    if seeds != result["seeds"]:
        return f"  not compared with {where}, which is of other seeds ({seeds[0]}-{seeds[-1]})"
    old, new = attempts.values_of(before), attempts.values_of(result)
    return f"  the numbers are {'exactly' if old == new else 'not'} those of {where}"


def _record(path: Path, result: dict[str, Any]) -> None:
    """Put the result and its plot where the documentation finds them."""
    root = attempts.record(result, path)
    _draw(result, root / "docs" / "assets" / "claims" / f"{path.stem}.png")


def _judge_only(chosen: list[tuple[Recipe, Path]], given: Any) -> None:
    """Judge the committed values again; running nothing."""
    for recipe, path in chosen:
        before = attempts.last(path)
        if before is None:
            raise RLJaxError(f"{recipe.slug} has no committed result to judge: leave out --verdict-only, and it is run")
        result = judge_again(before)
        if given.record:
            _record(path, result)
        if not given.quiet:
            print(table(result), file=sys.stderr)
        print(json.dumps({"slug": recipe.slug, "verdict": result["verdict"], "committed": before["verdict"]}))


def _show_list() -> None:
    for entry in library.recipes().values():
        found = attempts.last(entry.path)
        verdict = found["verdict"] if found else "not run yet"
        before = attempts.history(found) if found else ""
        print(f"{entry.slug:30s}{entry.family:28s}{verdict:15s}{before:52s}{entry.title}", flush=True)
