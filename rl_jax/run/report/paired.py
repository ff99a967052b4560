"""Differences of two arms whose runs belong together in pairs: those of a seed share an expert, data or a pre-trained network."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl_jax.errors import RLJaxError
from rl_jax.run.report.binomial import RATES, largest, probabilities
from rl_jax.run.report.stats import Statistic, iqm

Array = NDArray[np.float64]


def paired_samples(x: ArrayLike, y: ArrayLike, statistic: Statistic = iqm, samples: int = 100_000, seed: int = 0) -> Array:
    """Bootstrap samples ``[samples]`` of ``statistic(x) - statistic(y)``, sorted; pairs of runs are resampled.

    The statistic is that of :func:`rl_jax.run.report.stats.difference_samples`. What both runs of a pair have in common moves either
    side of the difference alike.

    Args:
        x, y: scores ``[runs]``; run ``i`` of either belongs to the same pair.
        statistic, samples, seed: as in :func:`rl_jax.run.report.stats.bootstrap_interval`.

    Raises:
        RLJaxError: there are not as many finite scores of either side.
    """
    first, second = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if first.ndim != 1 or first.shape != second.shape or not first.size:
        raise RLJaxError(f"pairs take as many runs of either side, not scores of the shapes {first.shape} and {second.shape}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise RLJaxError("a run has no finite score: train it longer or rerun its seed")
    drawn = np.random.default_rng(seed).integers(len(first), size=(samples, len(first)))
    return np.sort(statistic(first[drawn], axis=-1) - statistic(second[drawn], axis=-1))


def least_paired_difference(wins: int, losses: int, runs: int, tail: float) -> float:
    """Exact lower bound of the difference of two success rates of paired runs (Hsueh, Liu and Chen 2001, Biometrics 57, 478-483).

    As :func:`rl_jax.run.report.binomial.least_difference`, with the difference of the counts of unequal pairs as the statistic.

    Args:
        wins: pairs of which the first run alone succeeded.
        losses: pairs of which the second run alone did.
        runs: pairs in all.
        tail: as in :func:`rl_jax.run.report.binomial.rate_bounds`.
    """

    more = wins - losses

    def unlikely(difference: float) -> bool:
        lost = np.linspace(max(0.0, -difference), min(1.0, (1.0 - difference) / 2), RATES)
        won = np.clip((lost + difference) / np.maximum(1.0 - lost, 1e-300), 0.0, 1.0)  # of the pairs that are not lost
        count, chance = probabilities(runs, lost), np.zeros(RATES)
        for lose in range(runs + 1):
            chance += count[:, lose] * probabilities(runs - lose, won)[:, max(0, more + lose) :].sum(axis=-1)
        return bool(chance.max() <= tail)

    return largest(unlikely, -1.0, 1.0)
