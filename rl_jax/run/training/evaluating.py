"""The evaluations of a run while it goes on: within their budget, in sight, and given up when the run is asked to stop."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rl_jax.run.devices import distributed
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.devices.evaluation import Scores
from rl_jax.run.report.progress import Progress
from rl_jax.run.stopping import Stop
from rl_jax.run.storage.metrics import MetricsFile
from rl_jax.run.training.budget import Budget
from rl_jax.run.training.outcome import Failures, add_scores, score
from rl_jax.types import PyTree

#: Evaluations of one run draw from different streams: those during training from the train step's number, the last from this.
FINAL_EVALUATION = 2**31 - 1


@dataclass
class Evaluator:
    """Evaluates the runs of a job.

    Attributes:
        job: the runs.
        budget: what an evaluation may play.
        failures: the runs that have failed: they are played, and do not count.
        progress: where one sees how far it is.
        stop: whether the run is asked to stop.
        last: train steps after which the run is at its end.
        scores: what the newest evaluation found.
        seconds: that evaluations took.
    """

    job: CompiledRuns
    budget: Budget
    failures: Failures
    progress: Progress
    stop: Stop
    last: int
    scores: Scores | None = None
    seconds: float = 0.0

    def evaluate(self, state: PyTree, update: int) -> Scores | None:
        """Evaluate after train step ``update``; ``None`` if it was given up for a signal."""
        tick = time.perf_counter()
        final = update == self.last
        stream, steps = (FINAL_EVALUATION, self.budget.last) if final else (update, self.budget.during)
        self.scores = self.job.evaluate(state, stream, steps=steps, watch=self._watch)
        self.seconds += time.perf_counter() - tick
        return self.scores

    def _watch(self, steps: int, limit: int, running: int) -> bool:
        episodes = self.budget.episodes * len(self.job.seeds)
        self.progress.doing(f"evaluating: {steps:,} of at most {limit:,} steps, {running} of {episodes} episodes still run")
        return bool(self.stop.signal)

    def score(self) -> float | None:
        """By which checkpoints are compared; ``None`` if there was no evaluation."""
        return None if self.scores is None else score(self.scores, self.failures.frozen)

    def means(self) -> list[float]:
        """Each run's mean return, of those that have not failed."""
        return [] if self.scores is None else self.scores.per_run()[~self.failures.frozen].tolist()

    def make_up(self, state: PyTree, update: int, path: Path, steps: int) -> bool:
        """Evaluate after train step ``update`` if its rows, at environment step ``steps``, say that this was given up."""
        file = MetricsFile(path, self.failures.labels)
        rows = file.rows() if distributed.first() else []
        mine = [row for row in rows if row.get("steps") == steps and "failed" not in row]
        missing = bool(mine) and not any("eval/return" in row for row in mine)
        if not distributed.largest(int(missing)) or self.evaluate(state, update) is None:
            return False
        assert self.scores is not None
        if len(mine) == np.sum(~self.failures.frozen):
            add_scores(mine, self.scores, self.failures.frozen)
            file.replace(rows)
        return True
