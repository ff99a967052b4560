"""Exact statements about counts of few runs, from sums of binomial probabilities: rates, their differences, edges of a bootstrap."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
#: Halvings of an interval of length 2: far below what is printed.
_HALVINGS = 50
#: Points at which the rate that two rates have in common is tried.
RATES = 501


def probabilities(runs: int, rate: ArrayLike) -> Array:
    """Chances of 0, 1, ... ``runs`` successes.

    Args:
        runs: number of runs, at most 1,000.
        rate: chance of a success, of any shape ``[...]``.

    Returns:
        ``[..., runs + 1]``, adding to 1.
    """
    p, k = np.asarray(rate, np.float64)[..., None], np.arange(runs + 1)
    ways = np.asarray([math.comb(runs, int(i)) for i in k], np.float64)
    return np.asarray(ways * p**k * (1 - p) ** (runs - k))


def at_most(successes: int, runs: int, rate: float) -> float:
    """The chance of at most so many successes."""
    return float(probabilities(runs, rate)[: successes + 1].sum())


def rate_bounds(successes: int, runs: int, tail: float) -> tuple[float, float]:
    """Exact bounds of a success rate (Clopper and Pearson 1934, Biometrika 26, 404-413).

    Args:
        successes, runs: what was counted.
        tail: largest chance, for each bound, that the rate lies beyond it: 0.025 for a 95% interval.

    Returns:
        ``(low, high)``: the largest rate under which so many successes or more have at most this chance, and the smallest under
        which so few or fewer do; 0 without a success, 1 without a failure.
    """

    def low(count: int) -> float:
        return largest(lambda p: 1 - at_most(count - 1, runs, p) <= tail, 0.0, 1.0) if count else 0.0

    return low(successes), 1 - low(runs - successes)


def least_difference(x: int, runs_x: int, y: int, runs_y: int, tail: float) -> float:
    """Exact lower bound of the difference of two success rates (Chan and Zhang 1999, Biometrics 55, 1202-1209).

    The bound is the largest difference under which one that is counted so large or larger has at most the chance ``tail``,
    whatever the rate that is left open (tried at 501 points). The upper bound is minus this with the sides exchanged.

    Args:
        x, y: successes of either side, of ``runs_x`` and ``runs_y`` runs.
        tail: as in :func:`rate_bounds`.
    """
    observed = x / runs_x - y / runs_y
    counted = np.arange(runs_x + 1)[:, None] / runs_x - np.arange(runs_y + 1) / runs_y
    as_large = (counted >= observed - 1e-12).astype(np.float64)

    def unlikely(difference: float) -> bool:
        rate = np.linspace(max(0.0, -difference), min(1.0, 1.0 - difference), RATES)
        first = probabilities(runs_x, np.clip(rate + difference, 0.0, 1.0))
        return bool(((first @ as_large) * probabilities(runs_y, rate)).sum(axis=-1).max() <= tail)

    return largest(unlikely, -1.0, 1.0)


class Edge(NamedTuple):
    """A quantile of bootstrap samples, and the range in which that of endlessly many lies."""

    value: float
    least: float
    most: float

    @property
    def error(self) -> float:
        """The standard error: a sixth of the range, which spans three of them on either side."""
        return (self.most - self.least) / 6


def edge(samples: Array, share: float) -> Edge:
    """The quantile at ``share`` with its Monte-Carlo error, which is that of finitely many samples.

    The number of samples below the true quantile is binomial, so two of the sorted samples enclose it whatever their distribution
    (Conover 1999, Practical Nonparametric Statistics, section 3.2; for bootstraps Efron and Tibshirani 1993, An Introduction to the
    Bootstrap, section 19.3). These two lie three standard errors ``sqrt(n share (1 - share))`` of that count away.

    Args:
        samples: ``[n]``, sorted.
        share: of the samples below, in ``(0, 1)``.
    """
    n = len(samples)
    middle, spread = n * share, 3 * math.sqrt(n * share * (1 - share))
    least, most = math.floor(middle - spread) - 1, math.ceil(middle + spread)
    return Edge(
        float(np.quantile(samples, share)),
        float(samples[least]) if least >= 0 else -math.inf,
        float(samples[most]) if most < n else math.inf,
    )


def expanded_tail(tail: float, freedom: int, runs: int) -> float:
    """The tail at which a bootstrap of few runs is cut, so that what lies beyond has the chance ``tail``.

    Percentile intervals of few runs are too narrow, the more so the further out: a resample varies less than a new sample, by
    ``sqrt((n - 1) / n)``, and is cut where a normal distribution would be in place of Student's (Hesterberg 2015, The American
    Statistician 69, 371-386, the expanded percentile interval).

    Args:
        tail: wanted chance, below 1/2.
        freedom: degrees of freedom of Student's distribution.
        runs: ``n``, at least 2.
    """
    # t = sqrt(f) tan(a) has the density cos(a) ** (f - 1): Student's distribution as an integral over an angle.
    angle = np.linspace(-math.pi / 2, 0, 20_001)
    mass = np.cumsum(np.cos(angle) ** (freedom - 1))
    at = np.interp(tail, mass / mass[-1] / 2, angle)
    t = math.sqrt(freedom) * math.tan(at) * math.sqrt(runs / (runs - 1))
    return 0.5 * math.erfc(-t / math.sqrt(2))


def largest(holds: Callable[[float], bool], low: float, high: float) -> float:
    """The largest number between ``low`` and ``high`` of which ``holds`` is true, where it is true up to some number; by halving."""
    if holds(high):
        return high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
