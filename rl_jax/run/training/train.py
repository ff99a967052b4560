"""Training in a run folder: rows of metrics, evaluations, checkpoints, a curve, and a summary."""

import errno
import time
from collections.abc import Iterator, Sequence
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
from rl_jax.run.report.loggers import TensorBoardLogger, WandbLogger
from rl_jax.run.report.progress import Progress
from rl_jax.run.stopping import graceful, say
from rl_jax.run.storage.checkpoint import Checkpoints
from rl_jax.run.storage.config import load
from rl_jax.run.storage.identity import settings_of
from rl_jax.run.storage.metadata import device_text
from rl_jax.run.storage.metrics import Logger, MetricsFile
from rl_jax.run.storage.ownership import Owned
from rl_jax.run.storage.provenance import Provenance
from rl_jax.run.training.budget import evaluation_budget
from rl_jax.run.training.chunks import Chunk, OnChunk, wants_stop
from rl_jax.run.training.evaluating import Evaluator
from rl_jax.run.training.failure_cause import environment_faults
from rl_jax.run.training.outcome import Failures, add_scores, failure_text, rows_of, summarise
from rl_jax.run.training.plan import Plan, Timer, with_length
from rl_jax.run.training.resuming import newest
from rl_jax.run.training.saving import Saver
from rl_jax.types import PyTree


def train(
    runs: CompiledRuns,
    owned: Owned,
    options: RunOptions,
    title: str,
    labels: list[dict[str, Any]],
    resume: bool,
    hooks: Sequence[OnChunk] = (),
    keeps: bool = True,
) -> tuple[dict[str, Any], PyTree]:
    """Train compiled runs to their end in a prepared folder, from the start or from the newest whole checkpoint.

    Args:
        runs: the compiled runs.
        owned: the run folder, with its ``config.json``.
        options: for logging and checkpoints.
        title: of plots.
        labels: of the ``B`` runs in rows of metrics, such as ``{"seed": 3}``.
        resume: continue from the newest whole checkpoint.
        hooks: called after each chunk; any of them may end the run early.
        keeps: whether training states are saved.

    Returns:
        The summary that is printed as the last line, and the last training states.

    Raises:
        NonFinite: all runs met NaN or infinity. The last good checkpoint is kept.
        RLJaxError: the folder has no checkpoint to resume from, or was removed, renamed or replaced.
        Stopped: a signal came. The state was saved first.
    """
    folder, per_update, num_runs = owned.path, runs.trainer.steps_per_update, len(runs.seeds)
    provenance = Provenance.of(load(owned.real_path / "config.json"))
    checkpoints, plan = Checkpoints(owned.real_path, options.keep, provenance), Plan.of(runs, options.checkpoints, provenance)
    edges = plan.edges
    checkpoint = newest(checkpoints, owned.real_path, folder) if resume else None
    state = None if checkpoint is None else checkpoints.restore(checkpoint, runs.state_shape(), checked=True)
    start_steps = checkpoint or 0
    first_update = start_steps // per_update
    if len(plan.planned) > 1 and state is not None:
        state = with_length(runs, state, plan.length(first_update))
    loggers = _loggers(owned, options, title, start_steps if state is not None else -1, plan, per_update, labels)
    progress = Progress(runs.updates * per_update, options.quiet or not loggers, start_steps=start_steps, runs=num_runs)
    budget = evaluation_budget(runs.trainer, options)
    for text in filter(
        None, (replay_text(runs.trainer, num_runs), budget.text(), f"{title} on {device_text()}{runs.devices.text()}")
    ):
        progress.note(text)
    if first_update < edges[-1]:
        with progress.busy("compiling the training program"):
            runs.compile(fresh=state is None)
    progress.note(f"compiled in {runs.seconds_compile:.1f} s; {f'run folder {folder}' if keeps else 'nothing is kept on disk'}")
    failures = Failures(labels, MetricsFile(owned.real_path / "metrics.jsonl", labels).rows() if state is not None else ())
    start = time.perf_counter()
    with graceful() as stop, progress, _disk_errors(folder, checkpoints):
        evaluator = Evaluator(runs, budget, failures, progress, stop, edges[-1])
        saver = Saver(owned, checkpoints, Timer(options.checkpoint_minutes), stop, per_update, keeps)
        if state is None:
            state = runs.init()
            saver.save(0, state)
            saver.timer = Timer(options.checkpoint_minutes, saver.timer.cost)
        elif first_update in plan.saves and evaluator.evaluate_if_missing(
            state, first_update, owned.real_path / "metrics.jsonl", start_steps
        ):
            saver.save(first_update, state, evaluator.score())
        saver.raise_if_stopped(first_update, saver.stop_signal())
        state, last_update, learned, seconds_train = _train_chunks(
            runs, state, first_update, plan, saver, evaluator, loggers, progress, labels, hooks
        )
        if evaluator.scores is None:  # resumed after the last chunk, or ended by a hook
            evaluator.last_update = last_update
            evaluator.evaluate(state, last_update)
        saver.raise_if_stopped(last_update, stop.signal)
    owned.check()
    for logger in loggers:
        logger.close()
    assert evaluator.scores is not None
    steps_this_start = (last_update - first_update) * per_update * num_runs
    if first_update == 0 and learned == 0:
        say(
            f"rl-jax: warning: nothing was learned: no update was due within {last_update * per_update} steps; use more --steps"
        )
    summary = {
        "steps": last_update * per_update,
        "seeds": len({label["seed"] for label in labels}),
        "runs": num_runs,
        "device": device_text(),
        "seconds_compile": round(runs.seconds_compile, 3),
        "seconds_train": round(seconds_train, 3),
        "seconds_eval": round(evaluator.seconds, 3),
        "seconds_run": round(time.perf_counter() - start, 3),
        "steps_per_second": round(steps_this_start / seconds_train, 1) if seconds_train else None,
        **summarise(evaluator.scores, failures),
        "params_sha256": digest(runs.params(state)),
        "out": str(folder),
    }
    return summary | ({"stopped_early": True} if last_update < edges[-1] else {}), state


def _train_chunks(
    runs: CompiledRuns,
    state: PyTree,
    first_update: int,
    plan: Plan,
    saver: Saver,
    evaluator: Evaluator,
    loggers: list[Logger],
    progress: Progress,
    labels: list[dict[str, Any]],
    hooks: Sequence[OnChunk],
) -> tuple[PyTree, int, float, float]:
    """Train all chunks after train step ``first_update``, until a hook ends the run.

    Returns:
        The last state and its train step, the number of learning steps, and the seconds of training without evaluations.
    """
    per_update, num_runs, failures = saver.per_update, len(runs.seeds), evaluator.failures
    start, seconds_train, learned, last_update = time.perf_counter(), 0.0, 0.0, first_update

    def find_faults(failed_at: dict[int, int]) -> dict[int, str]:
        with progress.busy("a run has failed: looking for the reason"):
            return environment_faults(runs, saver.checkpoints, plan, failed_at, failures.frozen)

    for chunk_start, chunk_end in pairwise(plan.edges):
        if chunk_end <= first_update:
            continue
        if chunk_start in plan.planned and chunk_start > first_update:  # the checkpoint is older than an extension
            state = with_length(runs, state, plan.length(chunk_start))
        start_time = time.perf_counter()
        state, metrics = runs.advance(state, chunk_end - chunk_start, failures.frozen)
        seconds = time.perf_counter() - start_time
        seconds_train += seconds
        learned += float(metrics["learn_calls"].sum())
        # Read once: a later signal counts after the checkpoint, or after the next chunk. So all processes end together.
        stopped_by = saver.stop_signal()
        saving = saver.due() or chunk_end in plan.saves or stopped_by is not None
        failed = failures.record(metrics, chunk_start, per_update, find_faults)
        rate = num_runs * (chunk_end - chunk_start) * per_update / seconds
        rows = rows_of(labels, metrics, chunk_end * per_update, time.perf_counter() - start, rate, failures.frozen)
        evaluation_due = chunk_end in plan.saves and stopped_by is None and bool(rows)
        evaluated = evaluation_due and evaluator.evaluate(state, chunk_end) is not None
        if evaluated and evaluator.scores is not None:
            add_scores(rows, evaluator.scores, failures.frozen)
        saver.owned.check()
        for logger in loggers:
            logger.log([*rows, *failed])
        failures.check(saver.checkpoint_text())
        for row in failed:
            progress.note(f"{failure_text(row)}; the others go on")
        if saving:
            saver.save(chunk_end, state, evaluator.score() if evaluated else None, scheduled=evaluated)
            stopped_by = saver.stop_signal()
        returns = metrics["episode/return"][~failures.frozen].tolist() if runs.trainer.collects else None
        progress.update(chunk_end * per_update, rate, returns, {"eval": found} if (found := evaluator.means()) else {})
        saver.raise_if_stopped(chunk_end, stopped_by)
        last_update = chunk_end
        if hooks:
            where = saver.owned.real_path if saver.keeps else None
            steps = chunk_start * per_update, chunk_end * per_update, progress.total_steps
            chunk = Chunk(*steps, int(failures.frozen.argmin()), rows, where, runs, state)
            if _end(hooks, chunk) and chunk_end < plan.edges[-1]:
                if not saving:
                    saver.save(chunk_end, state, scheduled=False)
                evaluator.scores = None  # the last evaluation is another one
                break
        runs.start_evaluation()  # after the first chunk, which should not wait for it
    return state, last_update, learned, seconds_train


def _end(hooks: Sequence[OnChunk], chunk: Chunk) -> bool:
    """Call all hooks, and tell whether one of them, in any process, ends the run."""
    answers = [wants_stop(hook(chunk)) for hook in hooks]
    return bool(distributed.max_over_processes(int(any(answers))))


def _loggers(
    owned: Owned, options: RunOptions, title: str, start_steps: int, plan: Plan, per_update: int, labels: list[dict[str, Any]]
) -> list[Logger]:
    """The loggers of rows after ``start_steps``; none in other processes than the first. Warns of rows that are missing."""
    if not distributed.is_first():
        return []
    metrics_file, num_runs = MetricsFile(owned.real_path / "metrics.jsonl", labels), len(labels)
    row_steps, expected_edges = metrics_file.truncate_after(start_steps), plan.expected(start_steps // per_update)
    failure_steps = [row["steps"] for row in metrics_file.rows() if "failed" in row]
    expected_rows = {
        edge * per_update: num_runs - sum(end < edge * per_update for end in failure_steps) for edge in expected_edges
    }
    if missing := sum(max(0, count - row_steps.count(steps)) for steps, count in expected_rows.items()):
        total = sum(expected_rows.values())
        rows_text = f"{missing} of the {total} rows up to step {start_steps}: the run goes on without them"
        say(f"rl-jax: warning: {owned.path / 'metrics.jsonl'} lacks {rows_text}")
    loggers: list[Logger] = [metrics_file]
    content = load(owned.real_path / "config.json")
    settings = {**content["run"], **content["hyperparameters"], "agent": content["agent"], "title": title}
    varied = list(settings_of(labels[0]))
    if options.tensorboard:
        loggers.append(TensorBoardLogger(owned.real_path / "tensorboard", max(start_steps, 0) or None, settings, varied))
    if options.wandb:
        loggers.append(WandbLogger(owned.real_path, settings, resume_from=max(start_steps, 0) or None, varied=varied))
    return loggers


@contextmanager
def _disk_errors(folder: Path, checkpoints: Checkpoints) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        steps = checkpoints.steps()
        checkpoint_text = f"checkpoints up to step {steps[-1]} are whole" if steps else "there is no checkpoint yet"
        raise RLJaxError(
            f"cannot write to {folder} ({error.strerror}); {checkpoint_text}: make room, then continue with --resume {folder}"
        ) from error
