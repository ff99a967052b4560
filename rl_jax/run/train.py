"""A run on disk: rows of metrics, evaluations, checkpoints, a curve, and one line of JSON at the end."""

import errno
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax

from rl_jax.errors import RLJaxError
from rl_jax.run import distributed
from rl_jax.run.checkpoint import Checkpoints
from rl_jax.run.config import write_json
from rl_jax.run.curves import curve_from_rows
from rl_jax.run.job import Job, Scores
from rl_jax.run.leaves import digest
from rl_jax.run.memory import replay_text
from rl_jax.run.metadata import device_text
from rl_jax.run.metrics import Logger, MetricsFile, TensorBoardLogger, WandbLogger
from rl_jax.run.options import RunOptions
from rl_jax.run.outcome import check_finite, rows_of, score, summarise
from rl_jax.run.ownership import alone
from rl_jax.run.progress import Progress, human_count, human_time
from rl_jax.run.stopping import Stopped, graceful

#: Evaluations of one run draw from different streams: those during training from the train step's number, the last from this.
FINAL_EVALUATION = 2**31 - 1


def train(
    job: Job, folder: Path, options: RunOptions, title: str, labels: list[dict[str, Any]], resume: bool
) -> dict[str, Any]:
    """Run a job to its end in a prepared folder, or from its newest checkpoint.

    Args:
        job: the runs.
        folder: the run folder, with its ``config.json``.
        options: for logging and checkpoints.
        title: of plots.
        labels: what tells the ``B`` runs apart in rows of metrics, such as ``{"seed": 3}``.
        resume: continue from the newest checkpoint.

    Returns:
        The summary that is printed as the last line.

    Raises:
        NonFinite: NaN or infinity was met; the last good checkpoint is kept.
        Stopped: a signal came; the state was saved first.
    """
    settings: Any = jax.config
    if settings.jax_debug_nans:
        raise RLJaxError("jax_debug_nans cannot be used with a compiled run, which looks for NaN itself: switch it off")
    with alone(folder) if distributed.first() else nullcontext():
        return _train(job, folder, options, title, labels, resume)


def _train(
    job: Job, folder: Path, options: RunOptions, title: str, labels: list[dict[str, Any]], resume: bool
) -> dict[str, Any]:
    checkpoints = Checkpoints(folder, options.keep)
    per_update, edges = job.trainer.steps_per_update, job.edges()
    done = (checkpoints.steps() or [0])[-1] if resume else 0
    state = checkpoints.restore(done, job.state_shape()) if resume and checkpoints.steps() else None
    loggers = _loggers(folder, options, title, done if state is not None else -1)
    runs = len(job.seeds)
    progress = Progress(job.updates * per_update * runs, options.quiet or not loggers, start_steps=done * runs)
    for text in filter(
        None, (replay_text(job.trainer, runs), f"{title} on {device_text()}{job.devices.text()}: compiling ...")
    ):
        progress.note(text)
    job.compile(fresh=state is None)
    progress.note(f"compiled in {job.seconds_compile:.1f} s; run folder {folder}")
    count = min(options.checkpoints, len(edges) - 1)
    saves = {edges[round(i * (len(edges) - 1) / count)] for i in range(1, count + 1)}
    start, seconds_train, first_update = time.perf_counter(), 0.0, done // per_update
    with graceful() as stop, progress, _disk_errors(folder, checkpoints):
        if state is None:
            state = job.init()
            checkpoints.save(0, state)
        scores: Scores | None = None
        for begin, end in pairwise(edges):
            if end <= first_update:
                continue
            tick = time.perf_counter()
            state, metrics = job.advance(state, end - begin)
            seconds = time.perf_counter() - tick
            seconds_train += seconds
            # Looked at once: a signal from here on ends the next row. All processes end together.
            stopped_by = distributed.largest(stop.signal or 0) or None
            saving = end in saves or stopped_by is not None
            check_finite(job, state, metrics, begin, labels, checkpoints, at_save=saving)
            rate = runs * (end - begin) * per_update / seconds
            rows = rows_of(labels, metrics, end * per_update, time.perf_counter() - start, rate)
            mean = None
            if end in saves:
                scores = job.evaluate(state, FINAL_EVALUATION if end == edges[-1] else end)
                mean = score(scores)
                for row, value in zip(rows, scores.per_run(), strict=True):
                    row["eval/return"] = float(value)
            for logger in loggers:
                logger.log(rows)
            if saving:
                checkpoints.save(end * per_update, state, mean)
            extra = {} if scores is None else {"eval": scores.per_run().tolist()}
            progress.update(end * per_update * runs, rate, metrics["episode/return"].tolist(), extra)
            job.start_evaluation()  # not before the first steps: people wait for those
            if stopped_by is not None and end < edges[-1]:
                text = f"stopped by {signal.Signals(stopped_by).name} after {human_count(end * per_update)} steps"
                raise Stopped(f"{text}; saved: continue with --resume {folder}", stopped_by)
        scores = scores or job.evaluate(state, FINAL_EVALUATION)  # none yet: resumed at the very end
    for logger in loggers:
        logger.close()
    seconds_run = time.perf_counter() - start
    steps_here = (edges[-1] - first_update) * per_update * runs
    return {
        "steps": edges[-1] * per_update,
        "seeds": runs,
        "device": device_text(),
        "seconds_compile": round(job.seconds_compile, 3),
        "seconds_run": round(seconds_run, 3),
        "steps_per_second": round(steps_here / seconds_train, 1) if seconds_train else None,
        **summarise(scores),
        "params_sha256": digest(job.params(state)),
        "out": str(folder),
    }


def _loggers(folder: Path, options: RunOptions, title: str, done: int) -> list[Logger]:
    """Where rows of metrics go, from the step ``done`` on; nowhere in any process but the first."""
    if not distributed.first():
        return []
    metrics_file = MetricsFile(folder / "metrics.jsonl")
    metrics_file.truncate_after(done)
    loggers: list[Logger] = [metrics_file]
    if options.tensorboard:
        loggers.append(TensorBoardLogger(folder / "tensorboard", max(done, 0) or None))
    if options.wandb:
        loggers.append(WandbLogger(folder, {"title": title}, resume_from=max(done, 0) or None))
    return loggers


def plot_run(folder: Path, title: str) -> Path:
    """Draw ``curve.png`` of a run folder from its metrics."""
    from rl_jax.run.plots import learning_curve  # matplotlib takes as long to import as jax: not before the first step

    rows = MetricsFile(folder / "metrics.jsonl").read()
    evaluated = [row for row in rows if "eval/return" in row]
    evaluation = curve_from_rows(evaluated, "eval/return") if evaluated else None
    return learning_curve(folder / "curve.png", curve_from_rows(rows), title, evaluation)


@contextmanager
def _disk_errors(folder: Path, checkpoints: Checkpoints) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        steps = checkpoints.steps()
        whole = f"checkpoints up to step {steps[-1]} are whole" if steps else "there is no checkpoint yet"
        raise RLJaxError(
            f"cannot write to {folder} ({error.strerror}); {whole}: make room, then continue with --resume {folder}"
        ) from error


def finish(folder: Path, summary: dict[str, Any], title: str, quiet: bool) -> None:
    """Write the result and the curve, and say where they are."""
    write_json(folder / "result.json", summary)
    plot_run(folder, title)
    if not quiet:
        print(
            f"{title}: {human_count(summary['steps'])} steps in {human_time(summary['seconds_run'])}, "
            f"evaluation {summary['eval_return_mean']}; {folder / 'curve.png'}",
            file=sys.stderr,
        )
