"""What runs have come to: rows of metrics, scores, and which runs failed."""

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
    """Which runs of a batch have met NaN or infinity, and where.

    Args:
        labels: what tells the ``B`` runs apart.
        rows: of metrics so far, where a failed run is marked ``failed``.
    """

    def __init__(self, labels: Sequence[Row], rows: Sequence[Row] = ()):
        self.labels, self.found, self._fix = labels, dict[int, Row](), "start anew with another --out"
        for row in rows:
            if "failed" in row:
                run = next(i for i, label in enumerate(labels) if label.items() <= row.items())
                self.found[run] = {**labels[run], "steps": row["steps"], "reason": row["failed"]}

    @property
    def frozen(self) -> np.ndarray:
        """``[B]``."""
        return np.isin(np.arange(len(self.labels)), list(self.found))

    def look(
        self,
        metrics: dict[str, np.ndarray],
        update: int,
        steps_per_update: int,
        faults: Callable[[dict[int, int]], dict[int, str]],
    ) -> list[Row]:
        """Note which runs failed just now, and return a row for each.

        Args:
            metrics: of train steps.
            update: the number of the first of them.
            steps_per_update: environment steps of one.
            faults: told in which train step each run failed, finds out what its environment did wrong, if it did.
        """
        new = np.flatnonzero(metrics["failed"].astype(bool) & ~self.frozen).tolist()
        at = {run: update + max(0, int(metrics["nonfinite_update"][run])) for run in new}
        unclear = {run: when for run, when in at.items() if not _rewards(metrics, run)}
        found = faults(unclear) if unclear else {}
        for run in new:
            reason, self._fix = _reason(metrics, run, found.get(run))
            text = f"NaN or infinity in {reason} at train step {at[run]}"
            self.found[run] = {**self.labels[run], "steps": at[run] * steps_per_update, "reason": text}
        return [{"steps": self.found[run]["steps"], **self.labels[run], "failed": self.found[run]["reason"]} for run in new]

    def check(self, kept: str) -> None:
        """End when no run is left.

        Args:
            kept: where the last good state is, in words.

        Raises:
            NonFinite: all have failed; it names the last of them.
        """
        if self.frozen.all():
            last = list(self.found.values())[-1]
            who = ", ".join(f"{name} {value}" for name, value in last.items() if name not in ("steps", "reason"))
            all_of = "" if len(self.labels) == 1 else f"; all {len(self.labels)} runs have failed"
            raise NonFinite(f"{last['reason']} (environment step {last['steps']}) of {who}{all_of}; {kept}: {self._fix}")


def failed_run(one: Row) -> str:
    """A failed run and why, in words; from a row of metrics or an entry of a result."""
    name = run_name({name: value for name, value in one.items() if name not in ("steps", "reason", "failed")})
    return f"{name}: {one.get('reason', one.get('failed'))}"


def failed_text(failed: Sequence[Row], runs: int) -> str:
    """Which of so many runs failed, in words."""
    each = [failed_run(one) for one in failed]
    more = f"; and {len(each) - 3} more" if len(each) > 3 else ""
    return f"{len(each)} of {runs} runs failed ({'; '.join(each[:3])}{more}); the others are whole"


def _nonfinite(metrics: dict[str, np.ndarray], run: int) -> list[str]:
    return [name for name, value in metrics.items() if not np.isfinite(value[run]) and not name.startswith("episode/")]


def _rewards(metrics: dict[str, np.ndarray], run: int) -> list[str]:
    return [name for name in _nonfinite(metrics, run) if name.startswith("reward/")]


def _reason(metrics: dict[str, np.ndarray], run: int, fault: str | None) -> tuple[str, str]:
    """What was not finite, that which is nearest to the environment first, and what may help."""
    names, rewards = _nonfinite(metrics, run), _rewards(metrics, run)
    if rewards:
        return ", ".join(sorted(names, key=lambda name: name not in rewards)[:3]), "look at the environment's rewards"
    if fault:
        return fault, "look at the environment: it made them"
    return ", ".join(names[:3]) or "the parameters", "lower --learning-rate, or look at the environment's observations"


def rows_of(
    labels: Sequence[Row], metrics: dict[str, np.ndarray], steps: int, wall: float, rate: float, failed: np.ndarray
) -> list[Row]:
    """One row of metrics for each run that has not failed."""
    where = {"wall": wall, "steps_per_second": rate}
    values = {name: value for name, value in metrics.items() if name not in (*SIGNS, "failed")}
    return [
        joined({"steps": steps, **label, **where}, {name: float(value[i]) for name, value in values.items()})
        for i, label in enumerate(labels)
        if not failed[i]
    ]


def add_scores(rows: Sequence[Row], scores: Scores, failed: np.ndarray) -> None:
    """Write an evaluation into the rows of the runs that have not failed."""
    alive = np.flatnonzero(~failed)
    for row, run in zip(rows, alive, strict=True):
        row["eval/return"] = float(scores.per_run()[run])
        row["eval/unfinished"] = int(scores.unfinished()[run])
        row["eval/nonfinite"] = int(scores.nonfinite()[run])


def summarise(scores: Scores, failures: Failures | None = None) -> dict[str, Any]:
    """Mean and interquartile mean over runs of their mean returns; over episodes where there is a single run.

    Episodes whose return is NaN or infinite are part of no mean; ``eval_nonfinite`` counts them, of ``eval_episodes`` in all.

    Runs that failed are ``None`` among ``eval_returns``, listed under ``failed``, and not part of the statistics.
    """
    failed = np.zeros(len(scores.returns), bool) if failures is None else failures.frozen
    runs = np.where(failed, np.nan, scores.per_run())
    values = runs if len(runs) > 1 else scores.returns[0]
    known = values[np.isfinite(values)]
    result: dict[str, Any] = {
        "eval_return_mean": float(known.mean()) if known.size else None,
        "eval_return_iqm": float(stats.iqm(known)) if known.size else None,
        "eval_episodes": int(scores.finished[~failed].size),
        "eval_unfinished": int((~scores.finished[~failed]).sum()),
        "eval_nonfinite": int(scores.nonfinite()[~failed].sum()),
        "failed": [] if failures is None else [about for _, about in sorted(failures.found.items())],
    }
    if len(runs) > 1:
        low, high = stats.bootstrap_interval(known) if known.size > 1 else (None, None)
        result |= {"eval_return_iqm_ci95": [low, high], "eval_returns": [float(x) if np.isfinite(x) else None for x in runs]}
    return result


def evaluation_text(summary: dict[str, Any]) -> str:
    """An evaluation in words: the number that the plot shows, and its spread."""
    values = [value for value in summary.get("eval_returns", []) if value is not None]
    unfinished, nonfinite = summary["eval_unfinished"], summary["eval_nonfinite"]
    cut = f", {unfinished} unfinished and counted as so far" if unfinished else ""
    cut += f", {nonfinite} of {summary['eval_episodes']} without a number left out" if nonfinite else ""
    if not values:
        mean, episodes = summary["eval_return_mean"], summary["eval_episodes"] - nonfinite
        return f"{'none' if mean is None else f'{mean:.5g}'} (mean of {episodes} episodes{cut})"
    low, high = summary["eval_return_iqm_ci95"] if len(values) >= 5 else (min(values), max(values))
    spread = interval_text(low, high, values, " to ", "{:.5g}".format)
    if not has_no_spread(low, high):
        spread = f"{'95% interval' if len(values) >= 5 else 'range'} {spread}"
    failed = f", {len(summary['failed'])} failed" if summary["failed"] else ""
    mean = f"mean {summary['eval_return_mean']:.5g}"
    return f"{summary['eval_return_iqm']:.5g} (IQM of {len(values)} runs, {spread}, {mean}{failed}{cut})"


def score(scores: Scores, failed: np.ndarray) -> float | None:
    """By which the best checkpoint is chosen: the interquartile mean over the runs that have not failed.

    None if an episode's return is no number: what is left is no fair comparison.
    """
    return None if scores.nonfinite()[~failed].any() else float(stats.iqm(scores.per_run()[~failed]))
