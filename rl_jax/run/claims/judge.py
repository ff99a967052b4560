"""The verdict on a recipe, by a rule that is the same for all: see :mod:`rl_jax.run.claims.evidence`."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from rl_jax.errors import RLJaxError
from rl_jax.run.claims.evidence import Verdict, weigh
from rl_jax.run.claims.recipe import Array, Outcome, Prediction, Recipe
from rl_jax.run.report import stats

Values = dict[str, dict[str, Array]]


def judge(recipe: Recipe, outcomes: dict[str, Outcome]) -> tuple[Verdict, list[dict[str, Any]]]:
    """The verdict on the claim, and on each prediction with its figures.

    The claim holds if every prediction holds, does not hold if one does not, and is undecided otherwise.

    Raises:
        RLJaxError: an arm lacks a measure, a run has no finite value of it, or an arm does not have one run for each seed.
    """
    return _judge(recipe.slug, recipe.predictions, {name: outcome.values for name, outcome in outcomes.items()}, recipe.seeds)


def judge_again(result: dict[str, Any]) -> dict[str, Any]:
    """A result with summaries and verdicts made anew, by today's rule, from the values that it has kept. Nothing is run.

    Raises:
        RLJaxError: as :func:`judge`.
    """
    values = {name: {m: np.asarray(x, np.float64) for m, x in arm["values"].items()} for name, arm in result["arms"].items()}
    names = ("measure", "better", "worse", "margin", "why")
    predictions = [Prediction(**{name: row[name] for name in names}) for row in result["predictions"]]
    verdict, rows = _judge(result["slug"], predictions, values, result["seeds"])
    arms = {name: {**arm, "summary": summaries(values, name, arm.get("failed"))} for name, arm in result["arms"].items()}
    return {**result, "verdict": verdict, "predictions": rows, "arms": arms}


def _judge(
    slug: str, predictions: Iterable[Prediction], values: Values, seeds: Iterable[int]
) -> tuple[Verdict, list[dict[str, Any]]]:
    asked, count = list(predictions), len(list(seeds))
    rows = [_one(slug, prediction, values, count, len(asked)) for prediction in asked]
    verdicts = {row["verdict"] for row in rows}
    if "does not hold" in verdicts:
        return "does not hold", rows
    return ("undecided" if "undecided" in verdicts else "holds"), rows


def _one(slug: str, prediction: Prediction, values: Values, seeds: int, predictions: int) -> dict[str, Any]:
    better, worse = (_values(slug, prediction.measure, side, values, seeds) for side in (prediction.better, prediction.worse))
    found = weigh(better, worse, prediction.margin, predictions, all_or_nothing(values, prediction.measure))
    both = len(better) > 1 and len(worse) > 1
    return {
        "prediction": prediction.text(),
        "why": prediction.why,
        "measure": prediction.measure,
        "better": prediction.better,
        "worse": prediction.worse,
        "margin": prediction.margin,
        "method": found.method,
        "difference": found.difference,
        "ci95": list(found.ci95),
        "ceiling": found.ceiling,
        "edge_errors": [error if math.isfinite(error) else None for error in found.errors],
        "probability_of_improvement": stats.probability_of_improvement(better, worse) if both else None,
        "verdict": found.verdict,
        "note": found.note,
    }


def _values(slug: str, measure: str, side: str | float, values: Values, seeds: int) -> Array:
    """The runs' values ``[runs]``; a number as a single one."""
    if not isinstance(side, str):
        return np.asarray([side], np.float64)
    if measure not in values[side]:
        raise RLJaxError(f"{slug}: arm '{side}' did not measure '{measure}'")
    found = np.asarray(values[side][measure], np.float64)
    if found.ndim != 1 or not np.isfinite(found).all():
        raise RLJaxError(f"{slug}: arm '{side}' has no finite '{measure}' for every run: {found}")
    if len(found) != seeds:
        raise RLJaxError(f"{slug}: arm '{side}' has {len(found)} values of '{measure}' for {seeds} seeds: give one for each")
    return found


def all_or_nothing(values: Values, measure: str) -> bool:
    """Whether a measure says of a run only that it succeeded (1) or failed (0): no run of any arm has another value."""
    runs = [arm[measure] for arm in values.values() if measure in arm]
    return bool(runs) and all(bool(np.isin(x, (0.0, 1.0)).all()) for x in runs)


def summaries(values: Values, arm: str, diverged: list[int] | None = None) -> dict[str, dict[str, Any]]:
    """Each measure of an arm: the interquartile mean with its 95% interval, the mean, and the share of runs that failed.

    Args:
        values: of every arm and measure ``[runs]``.
        arm: which.
        diverged: seeds whose run met NaN or infinity; ``None`` if it was not written down.

    Returns:
        By measure ``iqm``, ``ci95``, ``mean`` and ``failed``: the share that diverged or, where outcomes are all or nothing,
        is 0; ``None`` where failing has no meaning.
    """
    found = {}
    for measure, x in values[arm].items():
        low, high = stats.bootstrap_interval(x)
        failed = float(np.mean(x == 0)) if all_or_nothing(values, measure) else len(diverged) / len(x) if diverged else None
        found[measure] = {
            "iqm": float(stats.iqm(x)),
            "ci95": [low, high],
            "mean": float(np.mean(x)),
            "failed": failed,
        }
    return found
