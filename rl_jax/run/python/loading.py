"""Run folders as objects: policy, training state, rows, configuration and result."""

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rl_jax.agents.configs.by_name import config_class
from rl_jax.argument_checks import check_argument
from rl_jax.errors import RLJaxError
from rl_jax.loop import Trainer
from rl_jax.loop.policy import Policy
from rl_jax.loop.state import TrainState
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.devices.device_memory import check_memory
from rl_jax.run.options import PYTHON
from rl_jax.run.python.leaves import settings_of_grid
from rl_jax.run.stopping import say
from rl_jax.run.storage import config, results
from rl_jax.run.storage.metrics import MetricsFile, Row
from rl_jax.run.storage.run_config import made_by
from rl_jax.run.training.folder import RunFolder
from rl_jax.run.training.outcome import Failures
from rl_jax.run.training.playing import DRAWN_STEPS, EpisodePlayer, draw_episode, evaluation
from rl_jax.run.training.sweep import batched_runs, sweep_runs
from rl_jax.types import PyTree
from rl_jax.values import Count, short


@dataclass(frozen=True)
class Run:
    """Trained runs, and one of them by its number: ``run[2]`` is the same with number 2.

    Attributes:
        folder: where they are; ``None`` if nothing was kept.
        labels: what tells the runs apart, such as ``{"seed": 3}``, in order.
        steps: environment steps of each run.
        rows: the rows of metrics, flat dictionaries, as ``pandas.DataFrame(run.rows)`` takes them.
        config: what ``config.json`` says.
        result: the last line of the run; ``None`` if it has not come to its end.
        states: the training states of all runs.
        number: of the run that ``trainer``, ``state``, ``policy`` and ``render`` are of.
    """

    folder: Path | None
    labels: Sequence[Row]
    steps: int
    rows: list[Row] = field(repr=False)
    config: dict[str, Any] = field(repr=False)
    result: dict[str, Any] | None = field(repr=False)
    states: PyTree = field(repr=False)
    runs: CompiledRuns = field(repr=False)
    number: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, number: int) -> "Run":
        if not -len(self) <= number < len(self):
            raise IndexError(f"there are {len(self)} runs, numbered from 0, not {number}")
        return dataclasses.replace(self, number=number % len(self))

    @property
    def label(self) -> Row:
        """What tells this run from the others."""
        return self.labels[self.number]

    @property
    def trainer(self) -> Trainer:
        """The trainer of this run."""
        return self.runs.trainer_of(self.number)

    @property
    def state(self) -> TrainState:
        """The training state of this run."""
        state: TrainState = self.runs.state_of(self.states, self.number)
        return state

    @property
    def policy(self) -> Policy:
        """What acts in this run: ``action, carry = run.policy(obs, carry)``."""
        return Policy(self.trainer, self.state)

    def evaluate(
        self, episodes: int = 128, greedy: bool = True, seed: int = 0, max_steps: int | None = None, quiet: bool = True
    ) -> dict[str, Any]:
        """Play whole episodes with all runs; the same numbers as ``rl-jax evaluate``.

        Args:
            episodes: of each run.
            greedy: the policy's mode instead of a sample.
            seed: of the evaluation; training's keys are never used.
            max_steps: steps after which an episode is left unfinished; default: the time limit, or 10,000.
            quiet: print no progress.

        Raises:
            RLJaxError: the episodes are no number, or do not fit into memory.
        """
        check_argument("episodes", episodes, Count)
        check_memory(self.runs.trainer_of(0), len(self), episodes)
        runs = dataclasses.replace(self.runs, eval_episodes=episodes)
        failed = [row for row in self.rows if "failed" in row and row["steps"] < self.steps]
        scores = evaluation(runs, self.states, Failures(self.labels, failed), greedy, seed, max_steps, quiet)
        return {"steps": self.steps, **scores}

    def render(
        self,
        out: str | os.PathLike[str] | None = None,
        greedy: bool = True,
        seed: int = 0,
        max_steps: int = DRAWN_STEPS,
        fps: float | None = None,
        every: int = 1,
    ) -> Path:
        """Draw one episode of this run, as ``rl-jax render`` does.

        Args:
            out: the file; default: ``episode.gif`` (brax: ``.html``) in the run folder.
            greedy: the policy's mode instead of a sample.
            seed: of the episode.
            max_steps: longest episode to draw.
            fps: pictures per second; default: the environment's own rate.
            every: draw every n-th step and the last.

        Returns:
            The file.

        Raises:
            RLJaxError: the environment cannot be drawn, or ``out`` is no file for it.
        """
        from rl_jax.run.pictures.drawing import drawing_of
        from rl_jax.run.pictures.render import check_target

        env = self.runs.trainer.env
        drawing = drawing_of(env, env.default_params)
        if out is None and self.folder is None:
            raise RLJaxError(f"nothing of this run is on disk: name the file, such as out='episode{drawing.suffix}'")
        path = Path(self.folder / f"episode{drawing.suffix}" if out is None and self.folder else str(out))
        check_target(path, drawing)
        states, rewards = EpisodePlayer(self.runs, greedy, seed, max_steps, self.number).play(self.states)
        draw_episode(self.runs, states, rewards, path, fps, every)
        return path


def load(folder: str | os.PathLike[str], trainer: Trainer | None = None, checkpoint: str | int = "last") -> Run:
    """A run folder of ``rl-jax train``, ``rl-jax sweep`` or :func:`rl_jax.run`.

    Args:
        folder: the run folder.
        trainer: of a run from Python, the trainer that it was started with; one of the command line is made from ``config.json``.
        checkpoint: ``last``, ``best``, or a number of environment steps.

    Raises:
        RLJaxError: it is no run folder, its trainer cannot be made or is missing, or there is no such checkpoint.
    """
    opened = RunFolder.open(folder)
    if trainer is not None and not isinstance(trainer, Trainer):
        how = "call its .trainer(env)" if hasattr(trainer, "trainer") else "pass what rl_jax.Trainer.create returned"
        raise RLJaxError(f"trainer is {short(type(trainer).__name__, quoted=False)}: {how}")
    whose = made_by(opened.command, opened.agent, opened.path)
    if (opened.command == PYTHON) != (trainer is not None):
        fix = (
            "pass it, rl_jax.load(folder, trainer=...)" if trainer is None else "leave trainer out, it is made from config.json"
        )
        raise RLJaxError(f"{opened.path} is of {whose}: {fix}")
    runs = _compiled_runs(opened, trainer)
    steps, states = opened.state(runs, checkpoint)
    return Run(
        opened.path,
        opened.labels(),
        steps,
        MetricsFile(opened.path / "metrics.jsonl", opened.labels()).rows(),
        config.load(opened.path / "config.json"),
        _result(opened.path),
        states,
        runs,
    )


def _compiled_runs(opened: RunFolder, trainer: Trainer | None) -> CompiledRuns:
    """The runs of a folder, as one program."""
    grid, options = opened.grid(), opened.options
    if grid is None:
        return opened.compiled_runs(trainer=trainer)
    if trainer is not None:
        opened.warn_of_changes(trainer)
        trainers = settings_of_grid(trainer, grid)
        return batched_runs(trainer, trainers, len(trainers), opened.seeds(), options)
    first = {**opened.hyperparameters, **{name: values[0] for name, values in grid.items()}}
    base = config.restore(config_class(opened.agent), first, opened.path / "config.json")
    return sweep_runs(base, {name: tuple(values) for name, values in grid.items()}, options)[0]


def _result(folder: Path) -> dict[str, Any] | None:
    try:
        return results.read(folder)
    except FileNotFoundError:
        return None
    except results.Unfit as unfit:
        say(f"rl-jax: warning: {folder / results.NAME} {unfit}: left out")
        return None
