"""A run folder: its configuration, rows, failures and states, and its runs compiled again."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_jax.agents.configs import sweepable
from rl_jax.agents.configs.by_name import config_class
from rl_jax.errors import RLJaxError
from rl_jax.loop import Trainer
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.options import PYTHON, RunOptions
from rl_jax.run.stopping import say
from rl_jax.run.storage import config, results
from rl_jax.run.storage.checkpoint import Checkpoints
from rl_jax.run.storage.identity import run_labels
from rl_jax.run.storage.manifests import Damaged, step_of
from rl_jax.run.storage.metrics import MetricsFile, Row
from rl_jax.run.storage.ownership import identity, unreplaced
from rl_jax.run.storage.provenance import Provenance
from rl_jax.run.storage.run_config import made_by
from rl_jax.run.storage.trainer_digest import trainer_digest
from rl_jax.run.training.budget import evaluation_budget
from rl_jax.run.training.outcome import Failures
from rl_jax.run.training.setup import set_precision
from rl_jax.types import PyTree
from rl_jax.values import short

#: Hyperparameters of a run from Python: the values of leaves that are varied, and seeds that do not follow one another.
SWEEP, SEEDS = "sweep", "seed_numbers"


@dataclass(frozen=True)
class RunFolder:
    """A run folder that was opened for reading.

    Attributes:
        path: as the user wrote it.
        command, agent: see :class:`rl_jax.run.storage.RunConfig`.
        options: of the run.
        hyperparameters: of the agent, as ``config.json`` has them.
        trainer: the digest of a trainer with parts of one's own; empty for others.
        identity: see :func:`rl_jax.run.storage.ownership.identity`.
    """

    path: Path
    command: str
    agent: str
    options: RunOptions
    hyperparameters: Any
    trainer: str = ""
    identity: tuple[int, int] | None = None

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "RunFolder":
        """Read a run folder's ``config.json``.

        Raises:
            RLJaxError: it is no run folder.
        """
        path = Path(path)
        if not path.is_dir():
            raise RLJaxError(f"there is no run folder {path}; name the folder that a run was told as --out")
        folder_identity = identity(path)
        content = config.load(path / "config.json")
        options = config.restore(RunOptions, content["run"], path / "config.json")
        command, trainer = content.get("command", "train"), content.get("trainer", "")
        return cls(path, command, content["agent"], options, content["hyperparameters"], trainer, folder_identity)

    def config(self) -> Any:
        """The agent's configuration.

        Raises:
            RLJaxError: the folder is of a sweep, which has many.
        """
        if self.command == PYTHON:
            raise RLJaxError(
                f"{self.path} is of {made_by(self.command, self.agent, self.path)}: only Python can make that again, "
                f"rl_jax.load('{self.path}', trainer=...), which has evaluate and render"
            )
        if self.command != "train":
            raise RLJaxError(f"{self.path} is a {self.command}, which has no single policy: name the folder of a 'train' run")
        return config.restore(config_class(self.agent), self.hyperparameters, self.path / "config.json")

    def compiled_runs(self, eval_episodes: int | None = None, trainer: Trainer | None = None) -> CompiledRuns:
        """The folder's runs, with the trainer, seeds and random number generator that they were started with.

        Args:
            eval_episodes: episodes of an evaluation; default: as during training.
            trainer: of a run from Python; that of a run of the command line is made.

        Raises:
            RLJaxError: the trainer cannot be made.
        """
        options = self.options
        if trainer is None:
            trainer = config.make_trainer(self.config(), options, config.make_env(options))
        self.warn_of_changes(trainer)
        set_precision(options)
        return CompiledRuns(
            trainer,
            self.seeds(),
            options.steps,
            eval_episodes or evaluation_budget(trainer, options).episodes,
            prng=options.prng,
        )

    def warn_of_changes(self, trainer: Trainer) -> None:
        """Say so where parts of one's own are others than those that were trained."""
        if self.trainer and trainer_digest(trainer) != self.trainer:
            say(f"rl-jax: warning: the parts of {self.path}, their numbers or static fields have changed since it was trained")

    def rows(self) -> list[Row]:
        """The rows of ``metrics.jsonl``.

        Raises:
            RLJaxError: there is none, or a line of it cannot be read.
        """
        with unreplaced(self.path, self.identity):
            return MetricsFile(self.path / "metrics.jsonl", self.labels()).read()

    def seeds(self) -> list[int]:
        """The seeds, in order."""
        first = self.options.seed
        in_a_row = list(range(first, first + self.options.seeds))
        return self.hyperparameters.get(SEEDS, in_a_row) if self.command == PYTHON else in_a_row

    def grid(self) -> dict[str, list[float]] | None:
        """The values of what is varied, by name; ``None`` where the runs differ in their seeds alone."""
        if self.command == PYTHON:
            return self.hyperparameters.get(SWEEP)
        if self.command != "sweep":
            return None
        varied = [name for name in sweepable(config_class(self.agent)) if name in self.hyperparameters]
        values = {name: self.hyperparameters[name] for name in varied}
        return {name: value if isinstance(value, list) else [value] for name, value in values.items()}

    def settings(self) -> Row:
        """What the runs have in common besides the options: hyperparameters with one value. Runs from Python have none, and the digest
        of their trainer instead."""
        of_python = {SWEEP, SEEDS} if self.command == PYTHON else set()
        values = {name: value for name, value in self.hyperparameters.items() if name not in of_python}
        values |= {name: value[0] for name, value in (self.grid() or {}).items()}
        return values | ({"trainer": self.trainer} if self.trainer and self.command == PYTHON else {})

    def labels(self) -> list[Row]:
        """The labels of the folder's runs, see :func:`rl_jax.run.storage.identity.run_labels`."""
        return run_labels(self.seeds(), self.grid())

    def failures(self, step: int) -> Failures:
        """The runs that had failed before the checkpoint of ``step`` environment steps, from the rows and the result."""
        labels = self.labels()
        with unreplaced(self.path, self.identity):
            rows = MetricsFile(self.path / "metrics.jsonl", labels).rows()
            with contextlib.suppress(FileNotFoundError, results.Unfit):  # then only the rows say it
                rows += [{**failure, "failed": failure["reason"]} for failure in results.read(self.path)["failed"]]
        return Failures(labels, [row for row in rows if "failed" in row and row["steps"] < step])

    def state(self, runs: CompiledRuns, checkpoint: str | int) -> tuple[int, PyTree]:
        """The environment steps and the training state of a checkpoint.

        Args:
            runs: of :meth:`compiled_runs`.
            checkpoint: ``last`` or ``best``, which skip damaged ones with a warning, or a number of steps.

        Raises:
            RLJaxError: there is no such checkpoint, or it is damaged.
        """
        with unreplaced(self.path, self.identity):
            return self._read_state(runs, checkpoint)

    def _read_state(self, runs: CompiledRuns, checkpoint: str | int) -> tuple[int, PyTree]:
        checkpoints = Checkpoints(self.path, provenance=Provenance.of(config.load(self.path / "config.json")))
        steps = checkpoints.steps()
        if not steps:
            raise RLJaxError(f"{self.path} has no checkpoint yet: continue the run with --resume {self.path}")
        if checkpoint in ("last", "best"):
            newest_first = steps[::-1]
            step = checkpoints.first_whole(newest_first if checkpoint == "last" else checkpoints.by_score() or newest_first)
            try:
                if step is not None:
                    return step, checkpoints.restore(step, runs.state_shape(), checked=True)
            except Damaged:
                if checkpoints.steps() == steps:
                    raise
            if checkpoints.steps() != steps:  # the run goes on, and has deleted these checkpoints meanwhile
                return self._read_state(runs, checkpoint)
            raise RLJaxError(f"{self.path} has no whole checkpoint: all of {steps} are damaged")
        step = step_of(str(checkpoint))
        if step is None:
            raise RLJaxError(f"--checkpoint takes last, best or a number of steps, not {short(checkpoint)}; there are {steps}")
        return step, checkpoints.restore(step, runs.state_shape())
