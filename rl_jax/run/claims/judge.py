"""The verdict on a recipe: differences of interquartile means with bootstrap intervals, and a rule fixed in advance."""

from typing import Any, Literal

import numpy as np

from rl_jax.errors import RLJaxError
from rl_jax.run import stats
from rl_jax.run.claims.recipe import Array, Outcome, Prediction, Recipe

Verdict = Literal["holds", "does not hold", "undecided"]


def judge(recipe: Recipe, outcomes: dict[str, Outcome]) -> tuple[Verdict, list[dict[str, Any]]]:
    """The verdict on the claim, and on each prediction with its figures.

    The claim holds if every prediction holds, does not hold if one does not, and is undecided otherwise.

    Raises:
        RLJaxError: an arm lacks a measure, or a run has no finite value of it.
    """
    rows = [_one(recipe, prediction, outcomes) for prediction in recipe.predictions]
    verdicts = {row["verdict"] for row in rows}
    if "does not hold" in verdicts:
        return "does not hold", rows
    return ("undecided" if "undecided" in verdicts else "holds"), rows


def _one(recipe: Recipe, prediction: Prediction, outcomes: dict[str, Outcome]) -> dict[str, Any]:
    better, worse = (_values(recipe, prediction.measure, side, outcomes) for side in (prediction.better, prediction.worse))
    low, high = stats.difference_interval(better, worse)
    verdict: Verdict = "undecided"
    if low > prediction.margin:
        verdict = "holds"
    elif high < prediction.margin:
        verdict = "does not hold"
    both = len(better) > 1 and len(worse) > 1
    return {
        "prediction": prediction.text(),
        "why": prediction.why,
        "measure": prediction.measure,
        "better": prediction.better,
        "worse": prediction.worse,
        "margin": prediction.margin,
        "difference": float(stats.iqm(better) - stats.iqm(worse)),
        "ci95": [low, high],
        "probability_of_improvement": stats.probability_of_improvement(better, worse) if both else None,
        "verdict": verdict,
    }


def _values(recipe: Recipe, measure: str, side: str | float, outcomes: dict[str, Outcome]) -> Array:
    """The runs' values ``[runs]``; a number as a single one."""
    if not isinstance(side, str):
        return np.asarray([side], np.float64)
    if measure not in outcomes[side].values:
        raise RLJaxError(f"{recipe.slug}: arm '{side}' did not measure '{measure}'")
    values = np.asarray(outcomes[side].values[measure], np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise RLJaxError(f"{recipe.slug}: arm '{side}' has no finite '{measure}' for every run: {values}")
    return values


def summary(values: Array) -> dict[str, Any]:
    """Interquartile mean with its 95% interval, and the mean."""
    low, high = stats.bootstrap_interval(values)
    return {"iqm": float(stats.iqm(values)), "ci95": [low, high], "mean": float(np.mean(values))}
