"""What a run folder says about itself, and how its program is built again."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_jax.agents import CONFIGS
from rl_jax.errors import RLJaxError
from rl_jax.run import config
from rl_jax.run.begin import set_precision
from rl_jax.run.checkpoint import Checkpoints
from rl_jax.run.job import Job
from rl_jax.run.options import RunOptions
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

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """Read a run folder's ``config.json``.

        Raises:
            RLJaxError: it is no run folder.
        """
        if not path.is_dir():
            raise RLJaxError(f"there is no run folder {path}; name the folder that a run was told as --out")
        content = config.load(path / "config.json")
        options = config.restore(RunOptions, content["run"], path / "config.json")
        return cls(path, content.get("command", "train"), content["agent"], options, content["hyperparameters"])

    def config(self) -> Any:
        """The agent's configuration (of a plain run; a sweep has many)."""
        if self.command != "train":
            raise RLJaxError(f"{self.path} is a {self.command}, which has no single policy: name the folder of a 'train' run")
        return config.restore(CONFIGS[self.agent], self.hyperparameters, self.path / "config.json")

    def job(self, eval_episodes: int | None = None) -> Job:
        """The run's program, as it was."""
        o = self.options
        trainer = config.make_trainer(self.config(), o, config.make_env(o))
        set_precision(o)
        return Job(trainer, list(range(o.seed, o.seed + o.seeds)), o.steps, eval_episodes or o.eval_episodes, prng=o.prng)

    def state(self, job: Job, which: str | int) -> tuple[int, PyTree]:
        """A checkpoint's steps and state; ``which`` is ``last``, ``best`` or a number of steps.

        Raises:
            RLJaxError: there is none such.
        """
        checkpoints = Checkpoints(self.path)
        steps = checkpoints.steps()
        if not steps:
            raise RLJaxError(f"{self.path} has no checkpoint yet: continue the run with --resume {self.path}")
        if which == "last":
            step = steps[-1]
        elif which == "best":
            best = checkpoints.best()
            step = steps[-1] if best is None else best
        elif isinstance(which, int) or re.fullmatch("[0-9]{1,18}", which):
            step = int(which)
        else:
            raise RLJaxError(f"--checkpoint takes last, best or a number of steps, not {short(which)}; there are {steps}")
        return step, checkpoints.restore(step, job.state_shape())
