"""Running a recipe's arms, and what is written of them."""

import math
import time
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rl_jax.run.claims import library
from rl_jax.run.claims.arms.phases import Phased
from rl_jax.run.claims.arms.progress import ArmProgress
from rl_jax.run.claims.arms.trained import Training
from rl_jax.run.claims.judge import judge, summaries
from rl_jax.run.claims.recipe import Arm, Curve, Outcome, Recipe, Work
from rl_jax.run.claims.source_files import STUDIES, digest, study_file
from rl_jax.run.report.curves import fill_gaps
from rl_jax.run.report.stats import bootstrap_band, iqm
from rl_jax.run.storage.metadata import metadata
from rl_jax.run.storage.partial_results import PartialResults

#: Runs of the quick slice.
QUICK_SEEDS = 2


class KeptArms:
    """Outcomes of a recipe's finished arms, on disk.

    An arm of a study is kept for all of its claims, by its name and seeds: it is run once, and again if the study's file changes or a
    module that it imports. An arm of one recipe alone is kept with the recipe and its file.

    Args:
        recipe: whose arms.
        path: its file.
        out: folder of all results.
        quick: whether these are of the quick slice.
    """

    def __init__(self, recipe: Recipe, path: Path, out: Path, quick: bool):
        self._recipe, self._seeds, among = recipe, seeds_of(recipe, quick), library.around(path)
        self._own = PartialResults(out / recipe.slug / "arms", {"recipe": digest(path, among), "quick": quick})
        self._of_study = self._own
        if recipe.study and (file := study_file(recipe.study, among)) is not None:
            self._of_study = PartialResults(study_folder(recipe, out) / "arms", {"study": digest(file, among), "quick": quick})

    def _stored(self, arm: str) -> tuple[PartialResults, str]:
        kept = self._own if arm in self._recipe.own else self._of_study
        return kept, f"{arm}, seeds {', '.join(map(str, self._seeds))}"

    def find(self, arm: str) -> Any | None:
        """What was kept of an arm; ``None`` if nothing was, or of another study or recipe."""
        kept, name = self._stored(arm)
        return kept.find(name)

    def keep(self, arm: str, piece: Any) -> None:
        """Write what was found."""
        kept, name = self._stored(arm)
        kept.keep(name, piece)

    def forget(self) -> None:
        """Delete all that was kept."""
        for arm in self._recipe.arms:
            kept, name = self._stored(arm)
            kept.forget([name])


def study_folder(recipe: Recipe, out: Path) -> Path:
    """The folder of what the claims of a recipe's study have in common."""
    return out / STUDIES / recipe.study


def seeds_of(recipe: Recipe, quick: bool) -> tuple[int, ...]:
    """The seeds that are run."""
    return tuple(recipe.tuning_seeds[:QUICK_SEEDS] if quick else recipe.seeds)


def run(
    recipe: Recipe, quick: bool = False, quiet: bool = False, kept: KeptArms | None = None, shared: dict[Any, Any] | None = None
) -> dict[str, Any]:
    """All arms of a recipe over its seeds, judged: the content of the result file.

    With ``quick`` two tuning seeds run a small slice of a few arms, and the verdict is ``"not judged"``. Arms that were ``kept``
    are not run again, and what arms share is in ``shared``, which may serve other recipes of the same study.
    """
    seeds, shared = seeds_of(recipe, quick), {} if shared is None else shared
    chosen = few(recipe) if quick else recipe.arms
    outcomes: dict[str, Outcome] = {}
    arms: dict[str, dict[str, Any]] = {}
    for number, (name, arm) in enumerate(chosen.items(), start=1):
        show = ArmProgress(f"{recipe.slug} {number}/{len(chosen)} {name}", quiet)
        piece = None if kept is None else kept.find(name)
        if piece is not None:
            outcome, seconds = Outcome.from_json(piece["outcome"]), piece["seconds"]
            show.found(seconds)
        else:
            tick = time.perf_counter()
            outcome = arm(Work(seeds, quick, show, shared))
            seconds = time.perf_counter() - tick
            show.done(seconds)
            if kept is not None:
                kept.keep(name, {"outcome": outcome.to_json(), "seconds": seconds})
        outcomes[name] = outcome
        arms[name] = {
            **outcome.budget,
            "seconds_compile": round(outcome.seconds_compile, 3),
            "seconds": round(seconds, 3),
            "values": {measure: [float(v) for v in values] for measure, values in outcome.values.items()},
            "failed": [seed for seed, lost in zip(seeds, outcome.diverged, strict=False) if lost],
        }
    judged = None if quick else judge(recipe, outcomes)
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
        "study": recipe.study,
        "verdict": "not judged" if judged is None else judged.verdict,
        "predictions": [] if judged is None else judged.predictions,
        "gates": [] if judged is None else judged.gates,
        "paired": recipe.paired,
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
    if isinstance(arm, Phased):
        return tuple(map(_kind, arm.phases))
    made = arm.make if isinstance(arm, Training) else arm
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
