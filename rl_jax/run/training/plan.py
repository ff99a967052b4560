"""When a run writes rows, evaluates and saves. A resumed run has the same plan as one without interruption."""

import time
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.storage.provenance import Provenance
from rl_jax.types import PyTree

#: Seconds of training after which a run is saved for the first time.
FIRST = 30.0
#: Seconds between two checkpoints at the least, while they cost little: so a short run that is killed keeps something too.
SOON = 2.0
#: Share of the time that checkpoints may take, while none is overdue.
SHARE = 0.1


@dataclass(frozen=True)
class Plan:
    """The schedule of a run, in train steps.

    Attributes:
        edges: ends of the chunks, from 0. Each chunk gives a row for each run.
        saves: the edges at which the run is evaluated and saved.
        planned: the environment steps that the run was planned for, by the train step from which on; several after an extension.
    """

    edges: list[int]
    saves: set[int]
    planned: dict[int, int]

    @classmethod
    def of(cls, runs: CompiledRuns, checkpoints: int, provenance: Provenance) -> "Plan":
        """The plan of runs with ``checkpoints`` checkpoints over each length that they were planned for."""
        starts = [0, *(extension["at"] // runs.trainer.steps_per_update for extension in provenance.extended)]
        lengths = [*(extension["steps"] for extension in provenance.extended), runs.steps]
        edges, saves, planned = [0], set[int](), dict[int, int]()
        for start, steps in zip(starts, lengths, strict=True):
            edges_of_length = runs.edges(steps)
            num_saves = min(checkpoints, len(edges_of_length) - 1)
            scheduled = {edges_of_length[round(i * (len(edges_of_length) - 1) / num_saves)] for i in range(1, num_saves + 1)}
            edges = sorted(
                {*(edge for edge in edges if edge <= start), start, *(edge for edge in edges_of_length if edge > start)}
            )
            saves = {save for save in saves if save <= start} | {save for save in scheduled if save > start}
            planned = {update: length for update, length in planned.items() if update < start} | {start: steps}
        return cls(edges, saves, planned)

    def length(self, update: int) -> int:
        """The environment steps that the run was planned for at train step ``update``, from 0."""
        return self.planned[max(start for start in self.planned if start <= update)]

    def expected(self, update: int) -> list[int]:
        """The ends of all chunks up to train step ``update``."""
        return [edge for edge in self.edges[1:] if edge <= update]


def with_length(runs: CompiledRuns, state: PyTree, steps: int) -> PyTree:
    """Training states whose schedules run over ``steps`` environment steps, counted from the start of the run."""
    horizon = jnp.maximum(jnp.ceil(jnp.asarray(steps, jnp.float32) / runs.trainer.steps_per_update), 1.0)
    horizons = np.full(state.horizon.shape, horizon, np.float32)
    return state.replace(
        horizon=jax.make_array_from_callback(horizons.shape, state.horizon.sharding, lambda index: horizons[index])
    )


@dataclass
class Timer:
    """Decides when a checkpoint is due by time: soon after the first rows, then at doubling intervals up to ``minutes``.

    Args:
        minutes: the longest time between two checkpoints.
        cost: seconds that the last checkpoint took.
    """

    minutes: float
    cost: float = 0.0
    _unsaved: bool = True

    def __post_init__(self) -> None:
        self._start = self._last_save = self._row_start = time.monotonic()

    def due(self) -> bool:
        """Whether to save now, as the end of the next row may be too late. Call it once at the end of each row."""
        time_now = time.monotonic()
        row_seconds, self._row_start = time_now - self._row_start, time_now
        longest = min(FIRST, 60 * self.minutes) if self._unsaved else 60 * self.minutes
        since_save = time_now - self._last_save
        interval = max(SOON, self._last_save - self._start, self.cost / SHARE)
        return since_save >= interval or since_save + row_seconds > longest

    def saved(self, seconds: float) -> None:
        """Record that a checkpoint was written, and took ``seconds``."""
        self._last_save = self._row_start = time.monotonic()
        self.cost, self._unsaved = seconds, False
