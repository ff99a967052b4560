"""What the runs of two arms say about one prediction: by bootstrap, or exactly where a bootstrap is silent or too sure."""

from typing import Literal, NamedTuple

import numpy as np

from rl_jax.run.claims.recipe import Array
from rl_jax.run.report import binomial, stats
from rl_jax.run.report.intervals import has_no_spread, no_spread
from rl_jax.run.report.paired import least_paired_difference, paired_samples

Verdict = Literal["holds", "does not hold", "undecided"]

#: The largest chance with which a prediction that lies at its margin is said to hold; of 95% intervals, what lies beyond an edge.
TAIL = 0.025
#: The share of runs at either end that an interquartile mean does not see.
UNSEEN = 0.25


class Evidence(NamedTuple):
    """What was found of one prediction.

    Attributes:
        method: of the three in :func:`weigh`, which.
        difference: of the interquartile means, or of the success rates.
        ci95: its 95% interval.
        ceiling: the upper edge that counts for "does not hold".
        errors: standard errors of the lower edge and of the ceiling, from finitely many bootstrap samples.
        verdict: by the rule.
        note: in words, what else the reader must know.
    """

    method: Literal["bootstrap", "success rates", "no spread"]
    difference: float
    ci95: tuple[float, float]
    ceiling: float
    errors: tuple[float, float]
    verdict: Verdict
    note: str = ""


def weigh(
    better: Array,
    worse: Array,
    margin: float,
    predictions: int = 1,
    rates: bool = False,
    paired: bool = False,
    samples: int = 100_000,
    seed: int = 0,
) -> Evidence:
    """The verdict on ``better > worse + margin``.

    A claim holds if all of its predictions do, so that each is tested at 2.5% and the claim is too (an intersection-union test, Berger
    1982, Technometrics 24, 295-300). It does not hold if one of them does not, so that each is tested at 2.5% divided by their number
    (Bonferroni; Holm's first step is the same).

    - *bootstrap*: the interval of the difference of interquartile means. Its lower edge must lie above the margin by more than its
      Monte-Carlo error (:func:`rl_jax.run.report.binomial.edge`), or its ceiling below: the upper edge at Bonferroni's level, expanded
      for few runs (:func:`rl_jax.run.report.binomial.expanded_tail`). Otherwise the prediction is undecided.
    - *success rates* (``rates``): runs either succeed or fail. Exact bounds of the rate, against a number Clopper and Pearson's, and of
      the difference of two rates (:func:`rl_jax.run.report.binomial.rate_bounds`, :func:`rl_jax.run.report.binomial.least_difference`).
    - *no spread*: the interval has no width. That the interquartile means are apart from these values takes more than a quarter of
      the runs of one arm to be otherwise, and with that the chance of seeing no more than were seen is binomial; it must be at
      most the test's level. Of ten runs that are all alike it is 5.6%: a verdict needs thirteen.

    Args:
        better, worse: values ``[runs]`` of either side; a single one stands for a number.
        margin: in their unit.
        predictions: of the same claim.
        rates: whether all values are 0 or 1 and stand for failure or success.
        paired: whether run ``i`` of either side is of the same seed, and they have something in common.
        samples, seed: of the bootstrap.
    """
    paired = paired and len(better) > 1 and len(worse) > 1
    if rates:
        return _rates(better, worse, margin, TAIL / predictions, paired)
    difference = float(stats.iqm(better) - stats.iqm(worse))
    drawn = (paired_samples if paired else stats.difference_samples)(better, worse, samples=samples, seed=seed)
    low, high = binomial.edge(drawn, TAIL), binomial.edge(drawn, 1 - TAIL)
    if has_no_spread(low.value, high.value):
        return _alike(_differences(better, worse) if paired else [better, worse], difference, margin, TAIL / predictions)
    resampled = [len(side) for side in ((better,) if paired else (better, worse)) if len(side) > 1]
    tail = binomial.expanded_tail(TAIL / predictions, sum(resampled) - len(resampled), min(resampled))
    ceiling = binomial.edge(drawn, 1 - tail)
    verdict, note = _compare(low.least, ceiling.most, margin), ""
    for name, at, sure in (("lower edge", low, low.least > margin), ("ceiling", ceiling, ceiling.most < margin)):
        if at.least <= margin <= at.most and not sure:
            note = f"{margin:g} lies within the Monte-Carlo error of the {name}, {at.value:.4g} ± {at.error:.2g}"
    if verdict == "undecided" and high.value < margin and not note:
        note = f"the ceiling for {predictions} predictions is {ceiling.value:.4g}"
    return Evidence("bootstrap", difference, (low.value, high.value), ceiling.value, (low.error, ceiling.error), verdict, note)


def _compare(floor: float, ceiling: float, margin: float) -> Verdict:
    return "holds" if floor > margin else "does not hold" if ceiling < margin else "undecided"


def _rates(better: Array, worse: Array, margin: float, tail: float, paired: bool) -> Evidence:
    """Exact bounds of a success rate, or of the difference of two."""

    def floor(x: Array, y: Array, tail: float) -> float:
        if paired:
            return least_paired_difference(int((x > y).sum()), int((x < y).sum()), len(x), tail)
        if len(x) > 1 and len(y) > 1:
            return binomial.least_difference(int(x.sum()), len(x), int(y.sum()), len(y), tail)
        if len(x) > 1:
            return binomial.rate_bounds(int(x.sum()), len(x), tail)[0] - float(y[0])
        return float(x[0]) - binomial.rate_bounds(int(y.sum()), len(y), tail)[1]

    low, high, ceiling = floor(better, worse, TAIL), -floor(worse, better, TAIL), -floor(worse, better, tail)
    arms = [side for side in (better, worse) if len(side) > 1]
    note = no_spread(min(arms, key=len).tolist()) if all(np.ptp(side) == 0 for side in arms) else ""
    difference = float(better.mean() - worse.mean())
    return Evidence("success rates", difference, (low, high), ceiling, (0.0, 0.0), _compare(low, ceiling, margin), note)


def _differences(better: Array, worse: Array) -> list[Array]:
    """The differences of the seeds ``[runs]``, those that differ by rounding alone made equal."""
    apart = better - worse
    middle, rounding = np.median(apart), 1e-12 * max(np.abs(better).max(), np.abs(worse).max())
    return [np.where(np.abs(apart - middle) <= rounding, middle, apart)]


def _alike(sides: list[Array], difference: float, margin: float, tail: float) -> Evidence:
    """Whether so many runs alike say anything about those that were not made."""
    arms = [side for side in sides if len(side) > 1]
    chance = max(binomial.at_most(int((~np.isclose(x, np.median(x), rtol=1e-12, atol=0)).sum()), len(x), UNSEEN) for x in arms)
    needed = TAIL if difference > margin else tail
    verdict: Verdict = "undecided"
    if chance <= needed and not has_no_spread(min(difference, margin), max(difference, margin)):
        verdict = "holds" if difference > margin else "does not hold"
    note = no_spread(min(arms, key=len).tolist())
    if chance > needed:
        note += f"; a verdict needs {int(np.ceil(np.log(needed) / np.log(1 - UNSEEN)))} alike"
    return Evidence("no spread", difference, (difference, difference), difference, (0.0, 0.0), verdict, note)
