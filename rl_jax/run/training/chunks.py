"""What is called on the host after each chunk: hooks of the user's, and a picture of an episode now and then."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rl_jax.errors import RLJaxError
from rl_jax.loop import Trainer
from rl_jax.loop.policy import Policy
from rl_jax.loop.state import TrainState
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.pictures.drawing import drawing_of
from rl_jax.run.storage.metrics import Row
from rl_jax.run.training.playing import EpisodePlayer, draw_episode
from rl_jax.types import PyTree

#: The folder of a run's pictures, each named by its environment steps.
PICTURES = "episodes"


@dataclass(frozen=True)
class Chunk:
    """A run after a chunk of train steps.

    Attributes:
        start, steps: environment steps of each run before and after the chunk.
        total: those that are planned.
        first: the number of the first run that has not failed, the one that is meant where none is named.
        rows: the rows of metrics of this chunk, one for each run that has not failed.
        folder: of the run; ``None`` if nothing is kept.
    """

    start: int
    steps: int
    total: int
    first: int
    rows: Sequence[Row]
    folder: Path | None
    _runs: CompiledRuns
    _states: PyTree

    @property
    def row(self) -> Row:
        """The row of the first run that has not failed."""
        return self.rows[0]

    def trainer(self, run: int | None = None) -> Trainer:
        """The trainer of one run, by its number."""
        return self._runs.trainer_of(self.first if run is None else run)

    def state(self, run: int | None = None) -> TrainState:
        """A copy of the training state of one run: training goes on in the memory of the original."""
        return jax.tree.map(lambda leaf: leaf.copy(), self._runs.state_of(self._states, self.first if run is None else run))

    def policy(self, run: int | None = None) -> Policy:
        """The policy of one run as it is, with a :meth:`state` of its own."""
        return Policy(self.trainer(run), self.state(run))


#: Called with each chunk; ``"stop"`` or ``True`` ends the run early.
OnChunk = Callable[[Chunk], Any]


def wants_stop(answer: Any) -> bool:
    """Whether a hook's answer ends the run.

    Raises:
        RLJaxError: it is no answer.
    """
    if answer is None or isinstance(answer, bool):
        return bool(answer)
    if isinstance(answer, np.bool_ | np.ndarray | jax.Array) and answer.shape == () and answer.dtype == bool:
        return bool(answer)
    if isinstance(answer, str) and answer == "stop":
        return True
    raise RLJaxError(f"on_chunk returned {answer!r:.80}: let it return nothing to go on, or 'stop' to end the run")


class Recorder:
    """Draws an evaluation episode of the first run that has not failed every so many environment steps, at the end of the chunk.

    Args:
        runs: the compiled runs.
        every: environment steps between two pictures.

    Raises:
        RLJaxError: the environment cannot be drawn, or several processes take part.
    """

    def __init__(self, runs: CompiledRuns, every: int):
        if jax.process_count() > 1:
            raise RLJaxError("--render-every draws in a single process: leave it out, and call 'rl-jax render' at the end")
        env = runs.trainer.env
        self._suffix = drawing_of(env, env.default_params).suffix
        self._runs, self._every, self._player = runs, every, EpisodePlayer(runs)

    def __call__(self, chunk: Chunk) -> None:
        if chunk.folder is not None and chunk.steps // self._every > chunk.start // self._every:
            if self._player.run != chunk.first:
                self._player = EpisodePlayer(self._runs, run=chunk.first)
            states, rewards = self._player.play(chunk._states)
            draw_episode(self._runs, states, rewards, chunk.folder / PICTURES / f"{chunk.steps}{self._suffix}")
