"""Evaluations on the host: episodes are played in pieces, so that progress can be shown and a signal can stop them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from rl_jax.run.devices.placement import on_host

#: ``(steps played, their limit, episodes that still run) -> whether to stop the evaluation``.
Watch = Callable[[int, int, int], bool]
#: Steps of the first piece of an evaluation. The pieces double as long as they take less than half a second.
FIRST_STEPS = 512


@dataclass(frozen=True)
class Scores:
    """Evaluation of ``B`` runs, ``E`` episodes each; arrays ``[B, E]``."""

    returns: np.ndarray
    lengths: np.ndarray
    finished: np.ndarray

    def per_run(self) -> np.ndarray:
        """Mean return of each run's episodes ``[B]``, unfinished ones with the rewards so far.

        Returns that are NaN or infinite are left out; the mean is NaN where no return is finite.
        """
        finite = [returns[np.isfinite(returns)] for returns in self.returns]
        return np.asarray([returns.mean() if returns.size else np.nan for returns in finite])

    def nonfinite(self) -> np.ndarray:
        """Number of episodes of each run whose return is NaN or infinite ``[B]``."""
        return (~np.isfinite(self.returns)).sum(axis=1)

    def unfinished(self) -> np.ndarray:
        """Number of episodes of each run that did not end ``[B]``."""
        return (~self.finished).sum(axis=1)


def play_out(
    playing: Any, play_until: Callable[[Any, int], Any], limit: int, num_runs: int, watch: Watch | None = None
) -> Scores | None:
    """Play until all episodes have ended, or for ``limit`` steps; ``None`` if ``watch`` stopped it.

    Args:
        playing: the episodes of all runs at their start.
        play_until: ``(playing, until) -> playing``: plays until ``until`` steps of each episode are played.
        limit: steps of each episode.
        num_runs: ``B``.
        watch: called after each piece.
    """
    until, size = 0, FIRST_STEPS
    while True:
        tick = time.perf_counter()
        # All processes must play the same steps, so with several the clock decides nothing.
        until = min(limit, until + size) if jax.process_count() == 1 else limit
        playing = play_until(playing, until)
        running = int(np.sum(on_host(playing.running)))
        if not running or until >= limit:
            break
        if watch is not None and watch(until, limit, running):
            return None
        size = size * 2 if time.perf_counter() - tick < 0.5 else size
    result = playing.result()
    returns, lengths, finished = (on_host(x).reshape(num_runs, -1) for x in (result.returns, result.lengths, result.finished))
    return Scores(returns.astype(np.float64), lengths, finished)
