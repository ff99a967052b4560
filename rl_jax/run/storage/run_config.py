"""What a run folder's ``config.json`` is written from."""

import os
import shlex
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import rl_jax as rl
from rl_jax.run.options import PYTHON, RunOptions
from rl_jax.run.storage.config import plain, plain_values, write_json


@dataclass(frozen=True)
class RunConfig:
    """What a run is asked to do, as ``config.json`` says it.

    Attributes:
        command: ``train``, ``sweep``, or :data:`~rl_jax.run.options.PYTHON`.
        agent: its name on the command line; of :data:`PYTHON` what the caller calls the run.
        options: of the run.
        hyperparameters: of the agent; of :data:`PYTHON` what is varied, and seeds that do not follow one another.
        trainer: the digest of a trainer with parts of one's own (:mod:`rl_jax.run.storage.trainer_digest`); empty for others.
        data: the digest of the data set that is learned from; empty without one.
    """

    command: str
    agent: str
    options: RunOptions
    hyperparameters: dict[str, Any]
    trainer: str = ""
    data: str = ""

    def save(self, path: str | os.PathLike[str], options: RunOptions) -> None:
        """Write ``config.json``: everything needed to run this again, with ``options`` in place of the run's."""
        content = {
            "rl_jax": rl.__version__,
            "id": uuid.uuid4().hex,
            "command": self.command,
            "agent": self.agent,
            "run": plain(options),
            "hyperparameters": plain_values(self.hyperparameters),
        }
        digests = {"trainer": self.trainer, "data": self.data}
        write_json(path, content | {name: value for name, value in digests.items() if value})


def made_by(command: str, agent: str, folder: str | os.PathLike[str] = "FOLDER") -> str:
    """How a run was started, as text."""
    if command == PYTHON:
        return f"'{agent}', a trainer that was run from Python (continue it by rl_jax.run(trainer, resume='{folder}'))"
    return f"'rl-jax {command} {agent}'"


def resume_text(content: Mapping[str, Any], folder: str | os.PathLike[str]) -> str:
    """What continues the run of a ``config.json``, in Python or on the command line."""
    command = content.get("command", "train")
    if command == PYTHON:
        return f"rl_jax.run(trainer, resume='{folder}')"
    return shlex.join(["rl-jax", command, content["agent"], "--resume", str(folder)])
