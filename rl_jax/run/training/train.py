"""A run on disk: rows of metrics, evaluations, checkpoints, a curve, and one line of JSON at the end."""

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from rl_jax.errors import RLJaxError
from rl_jax.run.devices import distributed
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.devices.device_memory import replay_text
from rl_jax.run.devices.tree_io import digest
from rl_jax.run.options import RunOptions
from rl_jax.run.report.curves import curve_from_rows, empty_curve
from rl_jax.run.report.loggers import TensorBoardLogger, WandbLogger
from rl_jax.run.report.progress import Progress, human_count, human_time
from rl_jax.run.stopping import graceful, say
from rl_jax.run.storage import results
from rl_jax.run.storage.checkpoint import Checkpoints
from rl_jax.run.storage.config import load, write_json
from rl_jax.run.storage.identity import settings_of
from rl_jax.run.storage.metadata import device_text
from rl_jax.run.storage.metrics import Logger, MetricsFile
from rl_jax.run.storage.ownership import Owned
from rl_jax.run.storage.provenance import Provenance
from rl_jax.run.training.budget import plan as evaluation_budget
from rl_jax.run.training.cause import environment_faults
from rl_jax.run.training.evaluating import Evaluator
from rl_jax.run.training.folder import RunFolder
from rl_jax.run.training.outcome import Failures, add_scores, evaluation_text, failed_run, rows_of, summarise
from rl_jax.run.training.plan import Plan, Timer, with_length
from rl_jax.run.training.resuming import newest
from rl_jax.run.training.saving import Saver
from rl_jax.types import PyTree


def train(
    job: CompiledRuns, owned: Owned, options: RunOptions, title: str, labels: list[dict[str, Any]], resume: bool
) -> dict[str, Any]:
    """Run a job to its end in a prepared folder, or from its newest whole checkpoint.

    Args:
        job: the runs.
        owned: the run folder, with its ``config.json``.
        options: for logging and checkpoints.
        title: of plots.
        labels: what tells the ``B`` runs apart in rows of metrics, such as ``{"seed": 3}``.
        resume: continue from the newest whole checkpoint.

    Returns:
        The summary that is printed as the last line.

    Raises:
        NonFinite: NaN or infinity was met; the last good checkpoint is kept.
        RLJaxError: the folder holds no checkpoint to continue from, or is not there any more.
        Stopped: a signal came; the state was saved first.
    """
    folder, per_update, runs = owned.path, job.trainer.steps_per_update, len(job.seeds)
    provenance = Provenance.of(load(owned.place / "config.json"))
    checkpoints, plan = Checkpoints(owned.place, options.keep, provenance), Plan.of(job, options.checkpoints, provenance)
    edges = plan.edges
    found = newest(checkpoints, owned.place, folder) if resume else None
    state = None if found is None else checkpoints.restore(found, job.state_shape(), checked=True)
    done = found or 0
    first_update = done // per_update
    if len(plan.planned) > 1 and state is not None:
        state = with_length(job, state, plan.length(first_update))
    loggers = _loggers(owned, options, title, done if state is not None else -1, plan, per_update, labels)
    progress = Progress(job.updates * per_update, options.quiet or not loggers, start_steps=done, runs=runs)
    budget = evaluation_budget(job.trainer, options)
    for text in filter(
        None, (replay_text(job.trainer, runs), budget.text(), f"{title} on {device_text()}{job.devices.text()}")
    ):
        progress.note(text)
    if first_update < edges[-1]:
        with progress.busy("compiling the training program"):
            job.compile(fresh=state is None)
    progress.note(f"compiled in {job.seconds_compile:.1f} s; run folder {folder}")
    failures = Failures(labels, MetricsFile(owned.place / "metrics.jsonl", labels).rows() if state is not None else ())
    start = time.perf_counter()
    with graceful() as stop, progress, _disk_errors(folder, checkpoints):
        evaluator = Evaluator(job, budget, failures, progress, stop, edges[-1])
        saver = Saver(owned, checkpoints, Timer(options.checkpoint_minutes), stop, per_update)
        if state is None:
            state = job.init()
            saver.save(0, state)
            saver.timer = Timer(options.checkpoint_minutes, saver.timer.cost)
        elif first_update in plan.saves and evaluator.make_up(state, first_update, owned.place / "metrics.jsonl", done):
            saver.save(first_update, state, evaluator.score())
        saver.obey(first_update, saver.asked())
        state, learned, seconds_train = _loop(job, state, first_update, plan, saver, evaluator, loggers, progress, labels)
        if evaluator.scores is None:  # none yet: resumed at the very end
            evaluator.evaluate(state, edges[-1])
        saver.obey(edges[-1], stop.signal)
    owned.check()
    for logger in loggers:
        logger.close()
    assert evaluator.scores is not None
    steps_here = (edges[-1] - first_update) * per_update * runs
    if first_update == 0 and learned == 0:
        say(f"rl-jax: warning: nothing was learned: no update was due within {edges[-1] * per_update} steps; use more --steps")
    return {
        "steps": edges[-1] * per_update,
        "seeds": len({label["seed"] for label in labels}),
        "runs": runs,
        "device": device_text(),
        "seconds_compile": round(job.seconds_compile, 3),
        "seconds_train": round(seconds_train, 3),
        "seconds_eval": round(evaluator.seconds, 3),
        "seconds_run": round(time.perf_counter() - start, 3),
        "steps_per_second": round(steps_here / seconds_train, 1) if seconds_train else None,
        **summarise(evaluator.scores, failures),
        "params_sha256": digest(job.params(state)),
        "out": str(folder),
    }


def _loop(
    job: CompiledRuns,
    state: PyTree,
    first_update: int,
    plan: Plan,
    saver: Saver,
    evaluator: Evaluator,
    loggers: list[Logger],
    progress: Progress,
    labels: list[dict[str, Any]],
) -> tuple[PyTree, float, float]:
    """All rows after train step ``first_update``: the last state, how often was learned, and the seconds of training."""
    per_update, runs, failures = saver.per_update, len(job.seeds), evaluator.failures
    start, seconds_train, learned = time.perf_counter(), 0.0, 0.0

    def find_faults(at: dict[int, int]) -> dict[int, str]:
        with progress.busy("a run has failed: looking for the reason"):
            return environment_faults(job, saver.checkpoints, plan, at, failures.frozen)

    for begin, end in pairwise(plan.edges):
        if end <= first_update:
            continue
        if begin in plan.planned and begin > first_update:  # continued from before the moment at which it was extended
            state = with_length(job, state, plan.length(begin))
        tick = time.perf_counter()
        state, metrics = job.advance(state, end - begin, failures.frozen)
        seconds = time.perf_counter() - tick
        seconds_train += seconds
        learned += float(metrics["learn_calls"].sum())
        # Asked once: a signal from here on is obeyed after the checkpoint, or after the next row. All processes end together.
        stopped_by = saver.asked()
        saving = saver.due() or end in plan.saves or stopped_by is not None
        failed = failures.look(metrics, begin, per_update, find_faults)
        rate = runs * (end - begin) * per_update / seconds
        rows = rows_of(labels, metrics, end * per_update, time.perf_counter() - start, rate, failures.frozen)
        due = end in plan.saves and stopped_by is None and bool(rows)
        evaluated = due and evaluator.evaluate(state, end) is not None
        if evaluated and evaluator.scores is not None:
            add_scores(rows, evaluator.scores, failures.frozen)
        saver.owned.check()
        for logger in loggers:
            logger.log([*rows, *failed])
        failures.check(saver.kept())
        for row in failed:
            progress.note(f"{failed_run(row)}; the others go on")
        if saving:
            saver.save(end, state, evaluator.score() if evaluated else None, scheduled=evaluated)
            stopped_by = saver.asked()
        extra: dict[str, Any] = {"eval": evaluator.means()} if evaluator.means() else {}
        progress.update(end * per_update, rate, metrics["episode/return"][~failures.frozen].tolist(), extra)
        saver.obey(end, stopped_by)
        job.start_evaluation()  # not before the first steps: people wait for those
    return state, learned, seconds_train


def _loggers(
    owned: Owned, options: RunOptions, title: str, done: int, plan: Plan, per_update: int, labels: list[dict[str, Any]]
) -> list[Logger]:
    """Where rows of metrics go, from the step ``done`` on; nowhere in any process but the first. Rows that are missing are said."""
    if not distributed.first():
        return []
    metrics_file, runs = MetricsFile(owned.place / "metrics.jsonl", labels), len(labels)
    found, expected = metrics_file.truncate_after(done), plan.expected(done // per_update)
    ends = [row["steps"] for row in metrics_file.rows() if "failed" in row]
    due = {edge * per_update: runs - sum(end < edge * per_update for end in ends) for edge in expected}
    if missing := sum(max(0, number - found.count(steps)) for steps, number in due.items()):
        total = sum(due.values())
        say(
            f"rl-jax: warning: {owned.path / 'metrics.jsonl'} lacks {missing} of the {total} rows up to step {done}: the run goes on "
            f"without them"
        )
    loggers: list[Logger] = [metrics_file]
    content = load(owned.place / "config.json")
    shown = {**content["run"], **content["hyperparameters"], "agent": content["agent"], "title": title}
    varied = list(settings_of(labels[0]))
    if options.tensorboard:
        loggers.append(TensorBoardLogger(owned.place / "tensorboard", max(done, 0) or None, shown, varied))
    if options.wandb:
        loggers.append(WandbLogger(owned.place, shown, resume_from=max(done, 0) or None, varied=varied))
    return loggers


def plot_run(folder: str | os.PathLike[str], title: str) -> Path:
    """Draw ``curve.png`` of a run folder from its metrics."""
    from rl_jax.run.report.plots import learning_curve  # matplotlib takes as long to import as jax: not before the first step

    folder = Path(folder)
    rows = MetricsFile(folder / "metrics.jsonl", RunFolder.open(folder).labels()).rows()
    evaluation = curve_from_rows(rows, "eval/return") if any("eval/return" in row for row in rows) else None
    training = curve_from_rows(rows) if any("episode/return" in row for row in rows) else empty_curve(rows)
    drawn = learning_curve(folder / ".curve.png", training, title, evaluation)
    return drawn.replace(folder / "curve.png")  # whole or not there: a resumed run draws what is missing


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
    write_json(folder / results.NAME, summary)
    plot_run(folder, title)
    if not quiet:
        print(
            f"{title}: {human_count(summary['steps'])} steps in {human_time(summary['seconds_run'])}, "
            f"evaluation {evaluation_text(summary)}; {folder / 'curve.png'}",
            file=sys.stderr,
        )
