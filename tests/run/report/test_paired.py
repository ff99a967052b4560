"""Intervals of differences of pairs, against models that know nothing of the code."""

import itertools
from math import factorial

import numpy as np
import pytest

from rl_jax.errors import RLJaxError
from rl_jax.run.claims.evidence import weigh
from rl_jax.run.report.paired import least_paired_difference, paired_samples


def trimmed(values):
    """The mean of what remains when a quarter is cut from either end."""
    values = sorted(values)
    cut = len(values) // 4
    return sum(values[cut : len(values) - cut]) / (len(values) - 2 * cut)


def test_pairs_are_drawn_together():
    """All 4^4 draws of four pairs, one by one; samples must have their quantiles and no other values."""
    x, y = [1.0, 2.0, 4.0, 8.0], [0.5, 3.0, 1.0, 7.0]
    every = sorted(
        trimmed([x[i] for i in draw]) - trimmed([y[i] for i in draw]) for draw in itertools.product(range(4), repeat=4)
    )
    drawn = paired_samples(x, y, samples=100_000)
    assert set(np.round(drawn, 9)) == set(np.round(every, 9))
    for share in (0.025, 0.2, 0.5, 0.8, 0.975):
        count = (np.asarray(every) <= np.quantile(drawn, share) + 1e-9).mean()
        assert count >= share - 0.01
        assert (np.asarray(every) < np.quantile(drawn, share) - 1e-9).mean() <= share + 0.01
    np.testing.assert_array_equal(drawn, paired_samples(x, y, samples=100_000))


def test_what_pairs_have_in_common_cancels():
    rng = np.random.default_rng(0)
    common, noise = rng.normal(0, 5, 20), rng.normal(0, 0.1, 20)
    alone, pairs = (weigh(common + 1 + noise, common, 0.0, paired=paired, samples=4_000) for paired in (False, True))
    assert alone.difference == pairs.difference
    assert alone.verdict == "undecided" and pairs.verdict == "holds"
    assert np.ptp(pairs.ci95) < np.ptp(alone.ci95) / 3
    # A number has nothing in common with anything.
    number = np.asarray([0.0])
    assert weigh(common, number, 0.0, paired=True, samples=4_000) == weigh(common, number, 0.0, samples=4_000)


def test_pairs_that_all_differ_by_the_same():
    """The interval has no width: ten seeds are too few to say so, thirteen are enough."""
    for seeds, verdict in ((10, "undecided"), (13, "holds")):
        base = np.random.default_rng(0).normal(0, 1, seeds)
        found = weigh(base + 0.1, base, 0.0, paired=True, samples=1_000)
        assert (found.method, found.verdict) == ("no spread", verdict)
        assert f"no spread in {seeds} seeds" in found.note


def at_least(more, pairs, difference):
    """The largest chance that wins less losses are so many or more, over all rates with this difference: term by term."""
    worst = 0.0
    for lost in np.linspace(max(0.0, -difference), (1 - difference) / 2, 101):
        won, total = lost + difference, 0.0
        for wins in range(pairs + 1):
            for losses in range(pairs - wins + 1):
                if wins - losses >= more:
                    same = pairs - wins - losses
                    ways = factorial(pairs) / (factorial(wins) * factorial(losses) * factorial(same))
                    total += ways * won**wins * lost**losses * max(0.0, 1 - won - lost) ** same
        worst = max(worst, total)
    return worst


@pytest.mark.parametrize(("wins", "losses", "pairs"), [(6, 1, 8), (0, 0, 6), (1, 4, 7)])
def test_success_rates_of_pairs(wins, losses, pairs):
    bound = least_paired_difference(wins, losses, pairs, 0.025)
    assert at_least(wins - losses, pairs, bound) <= 0.0251
    assert at_least(wins - losses, pairs, bound + 0.01) > 0.0251
    better = np.repeat([1.0, 0.0, 1.0], [wins, losses, pairs - wins - losses])
    worse = np.repeat([0.0, 1.0, 1.0], [wins, losses, pairs - wins - losses])
    found = weigh(better, worse, 0.0, rates=True, paired=True)
    assert found.ci95[0] == bound and found.difference == pytest.approx((wins - losses) / pairs)


def test_pairs_take_as_many_of_either_side():
    with pytest.raises(RLJaxError, match="as many runs"):
        paired_samples([1.0, 2.0], [1.0])
    with pytest.raises(RLJaxError, match="no finite score"):
        paired_samples([1.0, np.nan], [1.0, 2.0])
