"""What runs have come to: rows of metrics, scores, and NaN."""

from typing import Any

import numpy as np

from rl_jax.errors import NonFinite
from rl_jax.run import stats
from rl_jax.run.checkpoint import Checkpoints
from rl_jax.run.job import Job, Scores


def rows_of(
    labels: list[dict[str, Any]], metrics: dict[str, np.ndarray], steps: int, wall: float, rate: float
) -> list[dict[str, Any]]:
    """One row of metrics per run."""
    where = {"wall": wall, "steps_per_second": rate}
    values = {name: value for name, value in metrics.items() if name != "nonfinite_update"}
    return [
        {"steps": steps, **label, **where, **{name: float(value[i]) for name, value in values.items()}}
        for i, label in enumerate(labels)
    ]


def summarise(scores: Scores) -> dict[str, Any]:
    """Mean and interquartile mean over runs of their mean returns; over episodes where there is a single run."""
    runs = scores.per_run()
    values = runs if len(runs) > 1 else scores.returns[0][scores.finished[0]]
    known = values[np.isfinite(values)]
    result: dict[str, Any] = {
        "eval_return_mean": float(known.mean()) if known.size else None,
        "eval_return_iqm": float(stats.iqm(known)) if known.size else None,
        "eval_episodes": int(scores.finished.sum()),
        "eval_unfinished": int((~scores.finished).sum()),
    }
    if len(runs) > 1:
        low, high = stats.bootstrap_interval(known) if known.size > 1 else (None, None)
        result |= {"eval_return_iqm_ci95": [low, high], "eval_returns": [float(x) if np.isfinite(x) else None for x in runs]}
    return result


def score(scores: Scores) -> float | None:
    values = scores.per_run()
    return None if np.isnan(values).any() else float(stats.iqm(values))


def check_finite(
    job: Job,
    state: Any,
    metrics: dict[str, np.ndarray],
    begin: int,
    labels: list[dict[str, Any]],
    checkpoints: Checkpoints,
    at_save: bool,
) -> None:
    bad = metrics["nonfinite_update"] >= 0
    if not bad.any() and at_save:
        bad = ~job.finite(state)
    if not bad.any():
        return
    run = int(np.argmax(bad))
    update = begin + max(0, int(metrics["nonfinite_update"][run]))
    where = [k for k, v in metrics.items() if not np.isfinite(v[run]) and not k.startswith("episode/")] or ["the parameters"]
    where.sort(key=lambda name: not name.startswith("reward/"))  # what the environment gave comes before what followed
    fix = "look at the environment's rewards" if where[0].startswith("reward/") else "lower --learning-rate"
    label = ", ".join(f"{name} {value}" for name, value in labels[run].items())
    raise NonFinite(
        f"NaN or infinity in {', '.join(where[:3])} ({label}) at train step {update} "
        f"(environment step {update * job.trainer.steps_per_update}); the last good checkpoint is "
        f"{checkpoints.path(checkpoints.steps()[-1])}: {fix}"
    )
