"""Evaluations on the host: played a stretch at a time, so that one can see them, and stop them; and what came of them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from rl_jax.run.devices.placement import on_host

#: ``(steps played, their limit, episodes that still run) -> whether to give up``.
Watch = Callable[[int, int, int], bool]
#: Steps of an evaluation before it is first looked at; more each time while that is quick.
FIRST_STEPS = 512


@dataclass(frozen=True)
class Scores:
    """Evaluation of ``B`` runs, ``E`` episodes each; arrays ``[B, E]``."""

    returns: np.ndarray
    lengths: np.ndarray
    finished: np.ndarray

    def per_run(self) -> np.ndarray:
        """Mean return of each run's episodes ``[B]``, unfinished ones with what they have earned so far.

        It is over those whose return is a number; NaN where none is.
        """
        known = [returns[np.isfinite(returns)] for returns in self.returns]
        return np.asarray([returns.mean() if returns.size else np.nan for returns in known])

    def nonfinite(self) -> np.ndarray:
        """How many episodes of each run have a return that is NaN or infinite ``[B]``."""
        return (~np.isfinite(self.returns)).sum(axis=1)

    def unfinished(self) -> np.ndarray:
        """How many episodes of each run were left unfinished ``[B]``."""
        return (~self.finished).sum(axis=1)


def play_out(playing: Any, on: Callable[[Any, int], Any], limit: int, runs: int, watch: Watch | None = None) -> Scores | None:
    """Play until all episodes have ended, or ``limit`` steps; ``None`` if ``watch`` gave up.

    Args:
        playing: the episodes at their beginning, of all runs.
        on: ``(playing, until) -> playing``: plays until so many steps are played in all.
        limit: steps of each episode.
        runs: how many there are.
        watch: asked now and then.
    """
    until, size = 0, FIRST_STEPS
    while True:
        tick = time.perf_counter()
        # Processes of one run must agree, so they do not look at the clock.
        until = min(limit, until + size) if jax.process_count() == 1 else limit
        playing = on(playing, until)
        running = int(np.sum(on_host(playing.running)))
        if not running or until >= limit:
            break
        if watch is not None and watch(until, limit, running):
            return None
        size = size * 2 if time.perf_counter() - tick < 0.5 else size
    result = playing.result()
    returns, lengths, finished = (on_host(x).reshape(runs, -1) for x in (result.returns, result.lengths, result.finished))
    return Scores(returns.astype(np.float64), lengths, finished)
