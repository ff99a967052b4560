"""The outcome of runs: rows of metrics, scores, and the runs that failed."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rl_jax.errors import NonFinite
from rl_jax.loop.state import SIGNS
from rl_jax.ops import joined
from rl_jax.run.devices.evaluation import Scores
from rl_jax.run.report import stats
from rl_jax.run.report.intervals import has_no_spread, interval_text
from rl_jax.run.storage.identity import run_name

Row = dict[str, Any]


class Failures:
    """The runs of a batch that met NaN or infinity.

    Args:
        labels: of the ``B`` runs, see :func:`rl_jax.run.storage.identity.run_labels`.
        rows: of metrics so far; the row of a failed run has ``failed``.

    Attributes:
        by_run: label, ``steps`` and ``reason`` of each failed run, by its index.
    """

    def __init__(self, labels: Sequence[Row], rows: Sequence[Row] = ()):
        self.labels, self.by_run, self._fix = labels, dict[int, Row](), "start anew with another --out"
        for row in rows:
            if "failed" in row:
                run = next(i for i, label in enumerate(labels) if label.items() <= row.items())
                self.by_run[run] = {**labels[run], "steps": row["steps"], "reason": row["failed"]}

    @property
    def frozen(self) -> np.ndarray:
        """Which runs have failed, ``bool[B]``: they learn nothing any more."""
        return np.isin(np.arange(len(self.labels)), list(self.by_run))

    def record(
        self,
        metrics: dict[str, np.ndarray],
        update: int,
        steps_per_update: int,
        faults: Callable[[dict[int, int]], dict[int, str]],
    ) -> list[Row]:
        """Record the runs that failed in the newest chunk, and return a row for each.

        Args:
            metrics: of the chunk.
            update: the first train step of the chunk.
            steps_per_update: environment steps of a train step.
            faults: called with the train step in which each run failed; returns the faults of their environments, by run.
        """
        new = np.flatnonzero(metrics["failed"].astype(bool) & ~self.frozen).tolist()
        failed_at = {run: update + max(0, int(metrics["nonfinite_update"][run])) for run in new}
        unexplained = {run: update_failed for run, update_failed in failed_at.items() if not _nonfinite_rewards(metrics, run)}
        environment_faults = faults(unexplained) if unexplained else {}
        for run in new:
            reason, self._fix = _reason(metrics, run, environment_faults.get(run))
            text = f"NaN or infinity in {reason} at train step {failed_at[run]}"
            self.by_run[run] = {**self.labels[run], "steps": failed_at[run] * steps_per_update, "reason": text}
        return [{"steps": self.by_run[run]["steps"], **self.labels[run], "failed": self.by_run[run]["reason"]} for run in new]

    def check(self, checkpoint_text: str) -> None:
        """End when all runs have failed.

        Args:
            checkpoint_text: says where the last good state is.

        Raises:
            NonFinite: all have failed. The message names the last of them.
        """
        if self.frozen.all():
            last = list(self.by_run.values())[-1]
            run_text = ", ".join(f"{name} {value}" for name, value in last.items() if name not in ("steps", "reason"))
            all_text = "" if len(self.labels) == 1 else f"; all {len(self.labels)} runs have failed"
            raise NonFinite(
                f"{last['reason']} (environment step {last['steps']}) of {run_text}{all_text}; {checkpoint_text}: {self._fix}"
            )


def failure_text(failure: Row) -> str:
    """A failed run and its reason as text, from a row of metrics or an entry of a result."""
    name = run_name({name: value for name, value in failure.items() if name not in ("steps", "reason", "failed")})
    return f"{name}: {failure.get('reason', failure.get('failed'))}"


def failures_text(failed: Sequence[Row], num_runs: int) -> str:
    """The failed runs of ``num_runs`` as a line for the user."""
    texts = [failure_text(failure) for failure in failed]
    more_text = f"; and {len(texts) - 3} more" if len(texts) > 3 else ""
    return f"{len(texts)} of {num_runs} runs failed ({'; '.join(texts[:3])}{more_text}); the others are whole"


def _nonfinite(metrics: dict[str, np.ndarray], run: int) -> list[str]:
    return [name for name, value in metrics.items() if not np.isfinite(value[run]) and not name.startswith("episode/")]


def _nonfinite_rewards(metrics: dict[str, np.ndarray], run: int) -> list[str]:
    return [name for name in _nonfinite(metrics, run) if name.startswith("reward/")]


def _reason(metrics: dict[str, np.ndarray], run: int, environment_fault: str | None) -> tuple[str, str]:
    """The names that were not finite, those of rewards first, and a fix."""
    names, rewards = _nonfinite(metrics, run), _nonfinite_rewards(metrics, run)
    if rewards:
        return ", ".join(sorted(names, key=lambda name: name not in rewards)[:3]), "look at the environment's rewards"
    if environment_fault:
        return environment_fault, "look at the environment: it made them"
    return ", ".join(names[:3]) or "the parameters", "lower --learning-rate, or look at the environment's observations"


def rows_of(
    labels: Sequence[Row], metrics: dict[str, np.ndarray], steps: int, seconds: float, rate: float, failed: np.ndarray
) -> list[Row]:
    """One row of metrics for each run that has not failed."""
    timing = {"wall": seconds, "steps_per_second": rate}
    values = {name: value for name, value in metrics.items() if name not in (*SIGNS, "failed")}
    return [
        joined({"steps": steps, **label, **timing}, {name: float(value[i]) for name, value in values.items()})
        for i, label in enumerate(labels)
        if not failed[i]
    ]


def add_scores(rows: Sequence[Row], scores: Scores, failed: np.ndarray) -> None:
    """Write an evaluation into the rows of the runs that have not failed."""
    running = np.flatnonzero(~failed)
    for row, run in zip(rows, running, strict=True):
        row["eval/return"] = float(scores.per_run()[run])
        row["eval/unfinished"] = int(scores.unfinished()[run])
        row["eval/nonfinite"] = int(scores.nonfinite()[run])


def summarise(scores: Scores, failures: Failures | None = None) -> dict[str, Any]:
    """Mean and interquartile mean of the runs' mean returns; for a single run, of its episodes' returns.

    Episodes whose return is NaN or infinite are left out; ``eval_nonfinite`` counts them, of ``eval_episodes`` in all. Runs that
    failed are ``None`` in ``eval_returns``, listed under ``failed``, and not part of the statistics.
    """
    failed = np.zeros(len(scores.returns), bool) if failures is None else failures.frozen
    runs = np.where(failed, np.nan, scores.per_run())
    values = runs if len(runs) > 1 else scores.returns[0]
    finite = values[np.isfinite(values)]
    result: dict[str, Any] = {
        "eval_return_mean": float(finite.mean()) if finite.size else None,
        "eval_return_iqm": float(stats.iqm(finite)) if finite.size else None,
        "eval_episodes": int(scores.finished[~failed].size),
        "eval_unfinished": int((~scores.finished[~failed]).sum()),
        "eval_nonfinite": int(scores.nonfinite()[~failed].sum()),
        "failed": [] if failures is None else [failure for _, failure in sorted(failures.by_run.items())],
    }
    if len(runs) > 1:
        low, high = stats.bootstrap_interval(finite) if finite.size > 1 else (None, None)
        result |= {"eval_return_iqm_ci95": [low, high], "eval_returns": [float(x) if np.isfinite(x) else None for x in runs]}
    return result


def evaluation_text(summary: dict[str, Any]) -> str:
    """An evaluation as text: the number that the plot shows, and its spread."""
    values = [value for value in summary.get("eval_returns", []) if value is not None]
    unfinished, nonfinite = summary["eval_unfinished"], summary["eval_nonfinite"]
    left_out = f", {unfinished} unfinished and counted as so far" if unfinished else ""
    left_out += f", {nonfinite} of {summary['eval_episodes']} without a number left out" if nonfinite else ""
    if not values:
        mean, episodes = summary["eval_return_mean"], summary["eval_episodes"] - nonfinite
        return f"{'none' if mean is None else f'{mean:.5g}'} (mean of {episodes} episodes{left_out})"
    low, high = summary["eval_return_iqm_ci95"] if len(values) >= 5 else (min(values), max(values))
    spread = interval_text(low, high, values, " to ", "{:.5g}".format)
    if not has_no_spread(low, high):
        spread = f"{'95% interval' if len(values) >= 5 else 'range'} {spread}"
    failed = f", {len(summary['failed'])} failed" if summary["failed"] else ""
    mean = f"mean {summary['eval_return_mean']:.5g}"
    return f"{summary['eval_return_iqm']:.5g} (IQM of {len(values)} runs, {spread}, {mean}{failed}{left_out})"


def score(scores: Scores, failed: np.ndarray) -> float | None:
    """The score of a checkpoint: the interquartile mean over the runs that have not failed.

    ``None`` if any return is NaN or infinite: the mean of the others would not be comparable.
    """
    return None if scores.nonfinite()[~failed].any() else float(stats.iqm(scores.per_run()[~failed]))
