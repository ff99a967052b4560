"""What a run folder says about itself, and how its program is built again."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_jax.agents import CONFIGS
from rl_jax.agents.configs import sweepable
from rl_jax.errors import RLJaxError
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.options import RunOptions
from rl_jax.run.storage import config, results
from rl_jax.run.storage.checkpoint import Checkpoints
from rl_jax.run.storage.identity import run_labels
from rl_jax.run.storage.manifests import Damaged, step_of
from rl_jax.run.storage.metrics import MetricsFile, Row
from rl_jax.run.storage.ownership import identity, unreplaced
from rl_jax.run.storage.provenance import Provenance
from rl_jax.run.training.budget import plan as evaluation_budget
from rl_jax.run.training.outcome import Failures
from rl_jax.run.training.setup import set_precision
from rl_jax.types import PyTree
from rl_jax.values import short


@dataclass(frozen=True)
class RunFolder:
    """A run folder's configuration."""

    path: Path
    command: str
    agent: str
    options: RunOptions
    hyperparameters: Any
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
        found = identity(path)
        content = config.load(path / "config.json")
        options = config.restore(RunOptions, content["run"], path / "config.json")
        return cls(path, content.get("command", "train"), content["agent"], options, content["hyperparameters"], found)

    def config(self) -> Any:
        """The agent's configuration (of a plain run; a sweep has many)."""
        if self.command != "train":
            raise RLJaxError(f"{self.path} is a {self.command}, which has no single policy: name the folder of a 'train' run")
        return config.restore(CONFIGS[self.agent], self.hyperparameters, self.path / "config.json")

    def job(self, eval_episodes: int | None = None) -> CompiledRuns:
        """The run's program, as it was."""
        o = self.options
        trainer = config.make_trainer(self.config(), o, config.make_env(o))
        set_precision(o)
        return CompiledRuns(
            trainer,
            list(range(o.seed, o.seed + o.seeds)),
            o.steps,
            eval_episodes or evaluation_budget(trainer, o).episodes,
            prng=o.prng,
        )

    def rows(self) -> list[Row]:
        """The rows of ``metrics.jsonl``.

        Raises:
            RLJaxError: there is none, or a line of it cannot be read.
        """
        with unreplaced(self.path, self.identity):
            return MetricsFile(self.path / "metrics.jsonl", self.labels()).read()

    def labels(self) -> list[Row]:
        """What tells the folder's runs apart, see :func:`rl_jax.run.storage.identity.run_labels`."""
        o, grid = self.options, None
        if self.command == "sweep":
            swept = {
                name: self.hyperparameters[name] for name in sweepable(CONFIGS[self.agent]) if name in self.hyperparameters
            }
            grid = {name: values if isinstance(values, list) else [values] for name, values in swept.items()}
        return run_labels(range(o.seed, o.seed + o.seeds), grid)

    def failures(self, step: int) -> Failures:
        """Which runs had failed before the checkpoint of ``step`` environment steps: by their rows, and by the result."""
        labels = self.labels()
        with unreplaced(self.path, self.identity):
            rows = MetricsFile(self.path / "metrics.jsonl", labels).rows()
            with contextlib.suppress(FileNotFoundError, results.Unfit):  # then the rows alone say it
                rows += [{**one, "failed": one["reason"]} for one in results.read(self.path)["failed"]]
        return Failures(labels, [row for row in rows if "failed" in row and row["steps"] < step])

    def state(self, job: CompiledRuns, which: str | int) -> tuple[int, PyTree]:
        """A checkpoint's steps and state; ``which`` is ``last``, ``best`` (whole ones; what is damaged is said) or a number of steps.

        Raises:
            RLJaxError: there is none such.
        """
        with unreplaced(self.path, self.identity):
            return self._state(job, which)

    def _state(self, job: CompiledRuns, which: str | int) -> tuple[int, PyTree]:
        checkpoints = Checkpoints(self.path, provenance=Provenance.of(config.load(self.path / "config.json")))
        steps = checkpoints.steps()
        if not steps:
            raise RLJaxError(f"{self.path} has no checkpoint yet: continue the run with --resume {self.path}")
        if which in ("last", "best"):
            newest_first = steps[::-1]
            found = checkpoints.whole(newest_first if which == "last" else checkpoints.by_score() or newest_first)
            try:
                if found is not None:
                    return found, checkpoints.restore(found, job.state_shape(), checked=True)
            except Damaged:
                if checkpoints.steps() == steps:
                    raise
            if checkpoints.steps() != steps:  # a run that goes on deletes what it does not keep, and has others now
                return self._state(job, which)
            raise RLJaxError(f"{self.path} has no whole checkpoint: all of {steps} are damaged")
        step = step_of(str(which))
        if step is None:
            raise RLJaxError(f"--checkpoint takes last, best or a number of steps, not {short(which)}; there are {steps}")
        return step, checkpoints.restore(step, job.state_shape())
