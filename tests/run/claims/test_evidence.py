"""What runs say about a prediction: exact sums, closed forms, error rates by enumeration and by simulation."""

import math

import numpy as np
import pytest

from rl_jax.errors import RLJaxError
from rl_jax.run.claims.evidence import weigh
from rl_jax.run.claims.judge import judge_again
from rl_jax.run.report import stats
from rl_jax.run.report.binomial import edge, expanded_tail, least_difference, rate_bounds
from rl_jax.run.report.intervals import interval_text
from rl_jax.run.training.outcome import evaluation_text

#: Two arms of twelve runs whose difference lies above 1 by a hair: with other seeds of a bootstrap of 10,000 samples its lower edge was
#: above 1 in 17 of 40.
FULL = np.array(
    [3.359375, 3.640625, 3.78125, 4.296875, 4.40625, 4.5625, 4.7109375, 4.96875, 5.2578125, 6.9609375, 7.0625, 7.5234375]
)
SINGLE = np.array(
    [2.421875, 2.5625, 2.6875, 2.890625, 2.921875, 3.03125, 3.1015625, 3.1015625, 3.28125, 3.3984375, 3.546875, 3.59375]
)


def number(value):
    return np.array([float(value)])


def at_least(successes, runs, rate):
    """The chance of at least so many successes, term by term."""
    return sum(math.comb(runs, i) * rate**i * (1 - rate) ** (runs - i) for i in range(successes, runs + 1))


def test_tables_of_different_tasks_are_refused():
    x, y = np.zeros((10, 3)), np.zeros((10, 2))
    for call in (stats.difference_interval, stats.improvement_interval, stats.probability_of_improvement):
        for one, other in ((x, y), (x, [0.0]), (np.zeros(10), x)):
            with pytest.raises(RLJaxError, match=r"there are \d and \d tasks: compare on the same ones"):
                call(one, other)


def test_an_interval_over_many_tasks_is_that_of_each_block_of_samples():
    """Samples are drawn in blocks, and every task's runs by themselves: tasks without spread stay apart."""
    table = np.tile(np.arange(500.0), (20, 1))
    np.testing.assert_allclose(stats.difference_interval(table + 1, table, stats.mean, samples=900), (1, 1))


def test_rate_bounds_by_exact_sums():
    for successes, runs in ((8, 10), (3, 12), (1, 20), (19, 20)):
        low, high = rate_bounds(successes, runs, 0.025)
        assert at_least(successes, runs, low) == pytest.approx(0.025, abs=1e-12)
        assert 1 - at_least(successes + 1, runs, high) == pytest.approx(0.025, abs=1e-12)
    assert rate_bounds(10, 10, 0.025) == (pytest.approx(0.025**0.1), 1)  # 0.6915: the rate under which ten of ten have 2.5%
    assert rate_bounds(0, 20, 0.025) == (0, pytest.approx(1 - 0.025**0.05))


def test_a_success_rate_is_not_said_to_hold_more_often_than_it_may():
    """At the margin, over all outcomes; the interquartile mean and its bootstrap said so with 7.6% in place of 2.5%."""
    for runs, rate in ((10, 0.5), (12, 0.5), (12, 0.3), (20, 0.8)):
        wrong = {"holds": 0.0, "does not hold": 0.0, "undecided": 0.0}
        for count in range(runs + 1):
            found = weigh(np.repeat([1.0, 0.0], [count, runs - count]), number(0), rate, rates=True)
            wrong[found.verdict] += math.comb(runs, count) * rate**count * (1 - rate) ** (runs - count)
        assert 0 < wrong["holds"] <= 0.025 and 0 < wrong["does not hold"] <= 0.025
    assert weigh(np.ones(10), number(0.5), 0.0, rates=True).verdict == "holds"  # 0.5 ** 10
    assert weigh(np.repeat([1.0, 0.0], [8, 2]), number(0.5), 0.0, rates=True).verdict == "undecided"  # 56 of 1024: 5.5%
    assert weigh(number(0.05), np.zeros(10), 0.0, rates=True).verdict == "undecided"  # 0.95 ** 10: 60%
    assert weigh(np.ones(10), number(0.5), 0.0, rates=True).note == "no spread in 10 seeds"


def test_the_difference_of_success_rates_is_bounded_exactly():
    # Ten of ten against none of ten: p (1 - q) is largest, with p - q fixed, at p = 1 - q. So ((1 + d) / 2) ** 20 is 2.5%.
    assert least_difference(10, 10, 0, 10, 0.025) == pytest.approx(2 * 0.025 ** (1 / 20) - 1)
    assert least_difference(0, 4, 4, 4, 0.025) == -1
    runs, difference = 5, 0.2
    bounds = [[least_difference(x, runs, y, runs, 0.025) for y in range(runs + 1)] for x in range(runs + 1)]
    chances = []
    for rate in np.linspace(0, 1 - difference, 17):
        p, q = ([math.comb(runs, k) * r**k * (1 - r) ** (runs - k) for k in range(runs + 1)] for r in (rate + difference, rate))
        chances.append(sum(p[x] * q[y] for x in range(runs + 1) for y in range(runs + 1) if bounds[x][y] > difference))
    assert 0.005 < max(chances) <= 0.025


def test_the_error_of_an_edge_is_that_of_the_quantile():
    # Uniform samples: the quantile at q has the standard error sqrt(q (1 - q) / n), and three of them miss it once in 370.
    n, q, inside, errors = 4_000, 0.025, 0, []
    for seed in range(300):
        found = edge(np.sort(np.random.default_rng(seed).uniform(size=n)), q)
        inside += found.least <= q <= found.most
        errors.append(found.error)
    assert inside >= 297
    assert np.mean(errors) == pytest.approx(math.sqrt(q * (1 - q) / n), rel=0.05)
    lone = edge(np.arange(10.0), 0.025)
    assert lone.least == -math.inf and lone.most == 2  # ten samples bound nothing below


def test_expanded_tails_by_tables_of_students_distribution():
    # Two-sided 5% and 1% points of Student's distribution, as printed in any table.
    for tail, freedom, t in ((0.025, 9, 2.2622), (0.005, 9, 3.2498), (0.005, 18, 2.8784), (0.025, 1, 12.7062)):
        expected = 0.5 * math.erfc(t * math.sqrt(10 / 9) / math.sqrt(2))
        assert expanded_tail(tail, freedom, 10) == pytest.approx(expected, rel=2e-3)


@pytest.mark.slow
def test_a_verdict_does_not_hang_on_the_seed_of_the_bootstrap():
    found = [weigh(FULL, SINGLE, 1.0, 5, seed=seed) for seed in range(40)]
    assert {one.verdict for one in found} == {"undecided"}
    assert any("1 lies within the Monte-Carlo error of the lower edge" in one.note for one in found)
    # Of a tenth of the samples the edge lies above the margin with some seeds and not with others, and the verdict is the same.
    coarse = [weigh(FULL, SINGLE, 1.0, 5, samples=10_000, seed=seed) for seed in range(40)]
    assert 5 < sum(one.ci95[0] > 1.0 for one in coarse) < 35
    assert {one.verdict for one in coarse} == {"undecided"}
    assert {weigh(FULL, SINGLE, 0.9, 5, seed=seed).verdict for seed in range(3)} == {"holds"}


@pytest.mark.slow
def test_several_predictions_at_their_margins_are_not_said_to_fail_more_often_than_one():
    """Five of ten runs an arm, all exactly at their margins: at least one was said not to hold in about 11% of the recipes."""
    rounds, plain, corrected = 160, 0, 0
    for i in range(rounds):
        rng = np.random.default_rng(i)
        found = [weigh(rng.normal(0.3, 1, 10), rng.normal(0, 1, 10), 0.3, 5, samples=4_000) for _ in range(4)]
        found.append(weigh(rng.normal(0.3, 1, 10), number(0), 0.3, 5, samples=4_000))
        plain += any(one.ci95[1] < 0.3 for one in found)
        corrected += any(one.verdict == "does not hold" for one in found)
    assert plain / rounds > 0.06
    assert corrected / rounds <= 0.025
    assert weigh(np.arange(10.0), np.arange(10.0) + 30, 0.0, 5).verdict == "does not hold"
    # Clearly below for one prediction, not for a hundred.
    low, high = (weigh(FULL, SINGLE + 3.3, 0.0, count) for count in (1, 100))
    assert low.verdict == "does not hold" and high.verdict == "undecided" and "ceiling for 100 predictions" in high.note


def test_runs_that_are_all_alike_are_no_certainty():
    """A quarter of other runs would not be seen with the chance 0.75 ** n, and would not move the interquartile mean."""
    for runs, predictions, margin, verdict in (
        (10, 1, 0.0, "undecided"),
        (12, 1, 0.0, "undecided"),  # 3.2%
        (13, 1, 0.0, "holds"),  # 2.4%
        (13, 5, 0.0, "holds"),  # holding is tested at 2.5% however many there are
        (13, 1, 4.0, "does not hold"),
        (18, 5, 4.0, "undecided"),  # 0.56%
        (19, 5, 4.0, "does not hold"),  # 0.42%
        (40, 1, 3.0, "undecided"),
    ):
        three = np.full(runs, 3.0)
        sides = [(three + 0.2, three - 2.8), (three, number(0)), (number(0), -three)]
        for better, worse in sides:
            found = weigh(better, worse, margin, predictions)
            assert (found.method, found.verdict) == ("no spread", verdict)
            assert f"no spread in {runs} seeds" in found.note
    assert "a verdict needs 13 alike" in weigh(np.zeros(10), number(1), -2.0).note
    # One of forty otherwise, where the interval has no width either.
    assert weigh(np.r_[np.full(39, 3.0), 90.0], number(0), 0.0).verdict == "holds"
    assert weigh(np.r_[np.full(39, 3.0), 90.0], number(0), 0.0).note == "no spread in the middle half of 40 seeds"
    # One of twelve: too many to say so.
    assert weigh(np.r_[np.full(11, 3.0), 90.0], number(0), 0.0, samples=4_000).verdict == "undecided"


def test_an_interval_of_no_width_is_written_in_words():
    assert interval_text(1.0, 2.0, [1.0, 2.0], " to ", "{:g}".format) == "1 to 2"
    assert interval_text(2.0, 2.0, [2.0] * 7, " to ", "{:g}".format) == "no spread in 7 seeds"
    assert interval_text(0.3, 0.1 + 0.2, [0.3] * 3, " to ", "{:g}".format) == "no spread in 3 seeds"
    runs = {
        "eval_unfinished": 0,
        "eval_nonfinite": 0,
        "eval_returns": [500.0] * 6,
        "eval_return_iqm_ci95": [500.0, 500.0],
        "failed": [],
    }
    text = evaluation_text({**runs, "eval_return_iqm": 500.0, "eval_return_mean": 500.0})
    assert text == "500 (IQM of 6 runs, no spread in 6 seeds, mean 500)"


def result(**arms):
    """What a file would hold of these arms."""
    kept = {name: {"values": {"success": values}, "failed": [], "steps": 0, "seconds": 0} for name, values in arms.items()}
    row = {"measure": "success", "better": "a", "worse": "b", "margin": 0.0, "why": ""}
    return {"slug": "toy", "seeds": list(range(10)), "arms": kept, "predictions": [row]}


def test_what_is_all_or_nothing_is_found_from_all_runs_of_all_arms():
    eight, none = [1.0] * 8 + [0.0] * 2, [0.0] * 10
    found = judge_again(result(a=eight, b=none))
    assert found["predictions"][0]["method"] == "success rates"
    summary = found["arms"]["a"]["summary"]["success"]
    assert (summary["iqm"], summary["mean"], summary["failed"]) == (1.0, 0.8, 0.2)
    # A run between the two, in an arm that is not compared: shares, not successes.
    other = judge_again(result(a=eight, b=none, c=[0.5] * 10))
    assert other["predictions"][0]["method"] == "bootstrap" and other["arms"]["a"]["summary"]["success"]["failed"] is None


def test_arms_with_other_numbers_of_runs_than_seeds_are_refused():
    with pytest.raises(RLJaxError, match="arm 'b' has 9 values of 'success' for 10 seeds: give one for each"):
        judge_again(result(a=[1.0] * 10, b=[0.0] * 9))
