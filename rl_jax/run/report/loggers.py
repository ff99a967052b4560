"""Copies of a run's metrics for TensorBoard and W&B: one curve for each run, under its name, with the settings beside it."""

import json
import os
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rl_jax.errors import import_extra
from rl_jax.run.options import RunOptions
from rl_jax.run.storage.identity import COORDINATES, run_name, settings_of, settings_text
from rl_jax.run.storage.metrics import Row, plain

#: What the loggers import: the module, what errors call it, and the extra that brings it.
TENSORBOARD = ("tensorboardX", "TensorBoard logging (--tensorboard)", "tensorboard")
WANDB = ("wandb", "Weights & Biases logging (--wandb)", "wandb")


def check_extras(options: RunOptions) -> None:
    """Look for the packages of the loggers that a run asks for.

    Raises:
        RLJaxError: one is missing or broken.
    """
    for requested, extra in ((options.tensorboard, TENSORBOARD), (options.wandb, WANDB)):
        if requested:
            import_extra(*extra)


class TensorBoardLogger:
    """Writes scalars for TensorBoard, each run in a folder of its name (see :func:`rl_jax.run.storage.identity.run_name`).

    Args:
        folder: where the event files go.
        resume_from: environment steps of the checkpoint that the run continues from; later points are hidden.
        config: all settings, shown as text beside each run.
        varied: names in a row that are settings in which the runs of a sweep differ.

    Raises:
        MissingExtra: without the extra ``tensorboard``.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        resume_from: int | None = None,
        config: Mapping[str, Any] | None = None,
        varied: Sequence[str] = (),
    ):
        self._module = import_extra(*TENSORBOARD)
        self._folder, self._config, self._varied = Path(folder), dict(config or {}), varied
        self._purge = None if resume_from is None else resume_from + 1
        self._writers: dict[str, Any] = {}

    def log(self, rows: Sequence[Row]) -> None:
        """Write every finite number of ``rows`` at its environment step."""
        for row in rows:
            label = {**settings_of(row, self._varied), "seed": row.get("seed", 0)}
            name = run_name(label)
            if name not in self._writers:
                writer = self._module.SummaryWriter(str(self._folder / name), purge_step=self._purge)
                if self._config and self._purge is None:
                    text = json.dumps({**self._config, **label}, indent=1)
                    writer.add_text("settings", "    " + text.replace("\n", "\n    "), 0)
                self._writers[name] = writer
            for metric, value in _numbers(row, self._varied).items():
                self._writers[name].add_scalar(metric, value, int(row.get("steps", 0)))
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Flush and close the event files."""
        for writer in self._writers.values():
            writer.close()


class WandbLogger:
    """Sends metrics to Weights & Biases, by default to files only, which ``wandb sync <folder>`` uploads later.

    So a run never waits for a network or a login; set ``WANDB_MODE=online`` to upload while training. Several runs are one run
    there: each metric of each run under the run's name, and their mean under the metric's own; in a sweep, under the settings'.
    A resumed run goes on in its own record: its identifier is kept in the folder.

    Args:
        folder: where its files go.
        config: all settings, shown beside the run.
        project: the project's name.
        resume_from: environment steps of the checkpoint that the run continues from, noted in the configuration.
        varied: names in a row that are settings in which the runs of a sweep differ.

    Raises:
        MissingExtra: without the extra ``wandb``.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        config: Mapping[str, Any] | None = None,
        project: str = "rl_jax",
        resume_from: int | None = None,
        varied: Sequence[str] = (),
    ):
        wandb = import_extra(*WANDB)
        Path(folder).mkdir(parents=True, exist_ok=True)
        settings = dict(config or {}) | ({} if resume_from is None else {"resumed_from": resume_from})
        mode, self._varied = os.environ.get("WANDB_MODE", "offline"), varied
        kept = Path(folder) / "wandb_id.txt"
        if resume_from is None or not kept.exists():
            kept.write_text(uuid.uuid4().hex[:12])
        self._run = wandb.init(
            project=project, dir=str(folder), config=settings, mode=mode, id=kept.read_text().strip(), resume="allow"
        )

    def log(self, rows: Sequence[Row]) -> None:
        """Log rows, those of equal ``steps`` together."""
        groups: dict[int, list[Row]] = defaultdict(list)
        for row in rows:
            groups[int(row.get("steps", 0))].append(row)
        for steps, group in sorted(groups.items()):
            values: dict[str, list[float]] = defaultdict(list)
            payload: dict[str, float] = {}
            for row in group:
                settings = settings_of(row, self._varied)
                within = f"{settings_text(settings)}/" if settings else ""
                for name, value in _numbers(row, self._varied).items():
                    values[within + name].append(value)
                    if len(group) > 1:
                        payload[f"{run_name({**settings, 'seed': row.get('seed', 0)})}/{name}"] = value
            payload |= {name: sum(each) / len(each) for name, each in values.items()}
            self._run.log(payload, step=steps)

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


def _numbers(row: Row, varied: Sequence[str]) -> dict[str, float]:
    """The finite measurements of a row."""
    found = {name: plain(value) for name, value in row.items() if name not in COORDINATES and name not in varied}
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}
