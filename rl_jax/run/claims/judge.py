"""The verdict on a recipe, by a rule that is the same for all: see :mod:`rl_jax.run.claims.evidence`."""

import math
from typing import Any, NamedTuple

import numpy as np

from rl_jax.errors import RLJaxError
from rl_jax.run.claims.evidence import Evidence, Verdict, weigh
from rl_jax.run.claims.gates import Gate
from rl_jax.run.claims.recipe import Array, Outcome, Prediction, Recipe
from rl_jax.run.report import stats

Values = dict[str, dict[str, Array]]


class Judgement(NamedTuple):
    """The verdict on a claim, and on each prediction and gate with its figures."""

    verdict: Verdict
    predictions: list[dict[str, Any]]
    gates: list[dict[str, Any]]


class _Question(NamedTuple):
    """What is asked of the values."""

    slug: str
    predictions: tuple[Prediction, ...]
    gates: tuple[Gate, ...]
    seeds: int
    paired: bool


def judge(recipe: Recipe, outcomes: dict[str, Outcome]) -> Judgement:
    """The verdict on the claim, and on each prediction and gate with its figures.

    The claim holds if every prediction holds, does not hold if one does not, and is undecided otherwise, or if a gate fails.

    Raises:
        RLJaxError: an arm lacks a measure, a run has no finite value of it, or an arm does not have one run for each seed.
    """
    question = _Question(recipe.slug, tuple(recipe.predictions), tuple(recipe.gates), len(recipe.seeds), recipe.paired)
    return _judge(question, {name: outcome.values for name, outcome in outcomes.items()})


def judge_again(result: dict[str, Any]) -> dict[str, Any]:
    """A result with summaries and verdicts made anew, by today's rule, from the values that it has kept. Nothing is run.

    Raises:
        RLJaxError: as :func:`judge`.
    """
    values = {name: {m: np.asarray(x, np.float64) for m, x in arm["values"].items()} for name, arm in result["arms"].items()}
    names = ("measure", "better", "worse", "margin", "why")
    predictions = tuple(Prediction(**{name: row[name] for name in names}) for row in result["predictions"])
    gates = tuple(_gate_of(row) for row in result.get("gates", ()))
    found = _judge(_Question(result["slug"], predictions, gates, len(result["seeds"]), result.get("paired", False)), values)
    arms = {name: {**arm, "summary": summaries(values, name, arm.get("failed"))} for name, arm in result["arms"].items()}
    judged = {**result, "verdict": found.verdict, "predictions": found.predictions, "arms": arms}
    return {**judged, "gates": found.gates} if "gates" in result else judged


def _judge(asked: _Question, values: Values) -> Judgement:
    rows = [_one(asked, prediction, values) for prediction in asked.predictions]
    gates = [_gate(asked, gate, values) for gate in asked.gates]
    verdicts = {row["verdict"] for row in rows}
    if not all(row["passed"] for row in gates):
        verdict: Verdict = "undecided"
    elif "does not hold" in verdicts:
        verdict = "does not hold"
    else:
        verdict = "undecided" if "undecided" in verdicts else "holds"
    return Judgement(verdict, rows, gates)


def _one(asked: _Question, prediction: Prediction, values: Values) -> dict[str, Any]:
    better, worse = (
        _values(asked.slug, prediction.measure, side, values, asked.seeds) for side in (prediction.better, prediction.worse)
    )
    rates, both = all_or_nothing(values, prediction.measure), len(better) > 1 and len(worse) > 1

    def found(paired: bool) -> Evidence:
        return weigh(better, worse, prediction.margin, len(asked.predictions), rates, paired)

    evidence = found(asked.paired)
    row = {
        "prediction": prediction.text(),
        "why": prediction.why,
        "measure": prediction.measure,
        "better": prediction.better,
        "worse": prediction.worse,
        "margin": prediction.margin,
        "method": evidence.method,
        "difference": evidence.difference,
        "ci95": list(evidence.ci95),
        "ceiling": evidence.ceiling,
        "edge_errors": [error if math.isfinite(error) else None for error in evidence.errors],
        "probability_of_improvement": stats.probability_of_improvement(better, worse) if both else None,
        "verdict": evidence.verdict,
        "note": evidence.note,
    }
    return {**row, "ci95_unpaired": list(found(False).ci95)} if asked.paired and both else row


def _gate(asked: _Question, gate: Gate, values: Values) -> dict[str, Any]:
    centre = np.mean if all_or_nothing(values, gate.measure) else stats.iqm
    first, *rest = (float(centre(_values(asked.slug, gate.measure, arm, values, asked.seeds))) for arm in gate.arms)
    value = first - sum(rest)
    about = {"gate": gate.text(), "name": gate.name, "measure": gate.measure, "arm": gate.arm, "baseline": gate.baseline}
    bounds = {name: bound if math.isfinite(bound) else None for name, bound in (("low", gate.low), ("high", gate.high))}
    return {**about, **bounds, "value": value, "passed": gate.low <= value <= gate.high}


def _gate_of(row: dict[str, Any]) -> Gate:
    """The gate of a row of a result; JSON has no infinite bounds."""
    low, high = (-math.inf if row["low"] is None else row["low"]), (math.inf if row["high"] is None else row["high"])
    return Gate(row["name"], row["measure"], row["arm"], low, high, row["baseline"])


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
