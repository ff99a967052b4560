"""A whole run: its folder, its training, its result and its picture; the same for the command line and for Python."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_jax.run.devices import distributed
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.failures import writing
from rl_jax.run.report.curves import curve_from_rows, empty_curve, measured
from rl_jax.run.report.progress import human_count, human_time
from rl_jax.run.storage import results
from rl_jax.run.storage.config import write_json
from rl_jax.run.storage.metrics import MetricsFile, Row
from rl_jax.run.storage.results import sealed
from rl_jax.run.storage.run_config import RunConfig
from rl_jax.run.training.chunks import OnChunk, Recorder
from rl_jax.run.training.folder import RunFolder
from rl_jax.run.training.outcome import evaluation_text
from rl_jax.run.training.resuming import result_of
from rl_jax.run.training.setup import run_folder
from rl_jax.run.training.sweep import report
from rl_jax.run.training.train import train
from rl_jax.types import PyTree


@dataclass(frozen=True)
class Finished:
    """What is left of a run.

    Attributes:
        folder: where it was written.
        result: the line that the command line prints last.
        state: the last training states of all runs; ``None`` if the run had been finished before.
    """

    folder: Path
    result: dict[str, Any]
    state: PyTree


def complete(
    run: RunConfig,
    runs: CompiledRuns,
    labels: list[Row],
    title: str,
    varied: list[str],
    on_chunk: OnChunk | None = None,
    keeps: bool = True,
) -> Finished:
    """Train compiled runs in a new or resumed folder, unless they are finished, and write the result and its picture.

    Args:
        run: what ``config.json`` says.
        runs: the compiled runs.
        labels: of the ``B`` runs in rows of metrics.
        title: of plots.
        varied: the settings in which the runs differ, by their names in ``labels``; empty if they differ in their seeds alone.
        on_chunk: called after each chunk.
        keeps: whether training states and a picture are written.

    Raises:
        RLJaxError: the folder, the resumed run or the environment's drawing is not as it must be.
        Stopped: a signal came. The state was saved first.
    """
    options = run.options
    runs.check()
    hooks: list[OnChunk] = [] if options.render_every is None else [Recorder(runs, options.render_every)]
    hooks += [] if on_chunk is None else [on_chunk]
    picture, state = "sweep.png" if varied else "curve.png", None
    with run_folder(run) as owned, writing(owned.path):
        summary = result_of(owned, runs.updates * runs.trainer.steps_per_update, options)
        fresh = summary is None
        if summary is None:
            summary, state = train(runs, owned, options, title, labels, bool(options.resume), hooks, keeps)
            summary = {"env": options.env, "agent": run.agent, **summary}
        if not distributed.is_first():
            return Finished(owned.path, summary, state)
        if varied and (fresh or not (owned.real_path / picture).exists()):
            table = report(owned.path, varied, labels, summary["eval_returns"], title, options.quiet)
            summary = {**summary, "table": table} if fresh else summary
        if fresh:
            summary = sealed(summary, owned.real_path)
            write_json(owned.path / results.NAME, summary)
        if not varied and keeps and (fresh or not (owned.real_path / picture).exists()):
            plot_run(owned.path, title)
    if fresh and not varied and not options.quiet:
        where = f"; {owned.path / picture}" if keeps else ""
        print(
            f"{title}: {human_count(summary['steps'])} steps in {human_time(summary['seconds_run'])}, "
            f"evaluation {evaluation_text(summary)}{where}",
            file=sys.stderr,
        )
    return Finished(owned.path, summary, state)


def plot_run(folder: str | os.PathLike[str], title: str) -> Path:
    """Draw ``curve.png`` of a run folder from its metrics."""
    from rl_jax.run.report.plots import learning_curve  # imported late: matplotlib takes as long as jax

    folder = Path(folder)
    rows = MetricsFile(folder / "metrics.jsonl", RunFolder.open(folder).labels()).rows()
    evaluation = curve_from_rows(rows, "eval/return") if any("eval/return" in row for row in rows) else None
    training = curve_from_rows(rows) if any("episode/return" in row for row in rows) else empty_curve(rows)
    xlabel = "environment steps"
    if measured(rows, "eval/return") and not measured(rows, "reward/mean"):  # learned from recorded experience alone
        training, evaluation, xlabel = curve_from_rows(rows, "eval/return"), None, "learning steps"
    plot = learning_curve(folder / ".curve.png", training, title, evaluation, xlabel=xlabel)
    return plot.replace(folder / "curve.png")  # the file is complete or missing: a resumed run draws it if it is missing
