"""The evaluations of a run: within their budget, with progress shown, and stopped by a signal."""

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

#: The number folded into the keys of the last evaluation. An evaluation during training uses the train step.
FINAL_EVALUATION = 2**31 - 1


@dataclass
class Evaluator:
    """Evaluates compiled runs.

    Attributes:
        runs: the compiled runs.
        budget: episodes and steps of an evaluation.
        failures: the runs that have failed: they are played, but do not count.
        progress: shows how far the evaluation is.
        stop: says whether a signal came.
        last_update: the train step at the end of the run.
        scores: of the newest evaluation; ``None`` if it was stopped.
        seconds: total time of all evaluations.
    """

    runs: CompiledRuns
    budget: Budget
    failures: Failures
    progress: Progress
    stop: Stop
    last_update: int
    scores: Scores | None = None
    seconds: float = 0.0

    def evaluate(self, state: PyTree, update: int) -> Scores | None:
        """Evaluate after train step ``update``; ``None`` if a signal stopped the evaluation."""
        start = time.perf_counter()
        final = update == self.last_update
        stream, steps = (FINAL_EVALUATION, self.budget.last) if final else (update, self.budget.during)
        self.scores = self.runs.evaluate(state, stream, steps=steps, watch=self._watch)
        self.seconds += time.perf_counter() - start
        return self.scores

    def _watch(self, steps: int, limit: int, running: int) -> bool:
        episodes = self.budget.episodes * len(self.runs.seeds)
        self.progress.doing(f"evaluating: {steps:,} of at most {limit:,} steps, {running} of {episodes} episodes still run")
        return bool(self.stop.signal)

    def score(self) -> float | None:
        """The score that checkpoints are compared by; ``None`` without an evaluation."""
        return None if self.scores is None else score(self.scores, self.failures.frozen)

    def means(self) -> list[float]:
        """The mean return of each run that has not failed."""
        return [] if self.scores is None else self.scores.per_run()[~self.failures.frozen].tolist()

    def evaluate_if_missing(self, state: PyTree, update: int, path: Path, steps: int) -> bool:
        """Evaluate after train step ``update`` if the rows of environment step ``steps`` lack an evaluation. Returns whether it did."""
        file = MetricsFile(path, self.failures.labels)
        rows = file.rows() if distributed.is_first() else []
        step_rows = [row for row in rows if row.get("steps") == steps and "failed" not in row]
        missing = bool(step_rows) and not any("eval/return" in row for row in step_rows)
        if not distributed.max_over_processes(int(missing)) or self.evaluate(state, update) is None:
            return False
        assert self.scores is not None
        if len(step_rows) == np.sum(~self.failures.frozen):
            add_scores(step_rows, self.scores, self.failures.frozen)
            file.replace(rows)
        return True
