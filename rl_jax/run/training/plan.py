"""When a run measures, evaluates and saves: the same for every start of the same run."""

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
#: Seconds after which it is saved if that costs little, so that short runs that are killed have something too.
SOON = 2.0
#: Share of the time that checkpoints may take, as long as none is overdue.
SHARE = 0.1


@dataclass(frozen=True)
class Plan:
    """The moments of a run, in train steps.

    Attributes:
        edges: the end of each row, from 0.
        saves: those at which it is evaluated and saved.
        planned: from which train step on the run was planned for how many environment steps; more than one after an extension.
    """

    edges: list[int]
    saves: set[int]
    planned: dict[int, int]

    @classmethod
    def of(cls, job: CompiledRuns, checkpoints: int, provenance: Provenance) -> "Plan":
        """The plan of a run with ``checkpoints`` checkpoints over each length that it was planned for."""
        starts = [0, *(one["at"] // job.trainer.steps_per_update for one in provenance.extended)]
        lengths = [*(one["steps"] for one in provenance.extended), job.steps]
        edges, saves, planned = [0], set[int](), dict[int, int]()
        for start, steps in zip(starts, lengths, strict=True):
            new = job.edges(steps)
            count = min(checkpoints, len(new) - 1)
            scheduled = {new[round(i * (len(new) - 1) / count)] for i in range(1, count + 1)}
            edges = sorted({*(edge for edge in edges if edge <= start), start, *(edge for edge in new if edge > start)})
            saves = {save for save in saves if save <= start} | {save for save in scheduled if save > start}
            planned = {begin: length for begin, length in planned.items() if begin < start} | {start: steps}
        return cls(edges, saves, planned)

    def length(self, update: int) -> int:
        """The environment steps that were planned when train step ``update`` (from 0) was done."""
        return self.planned[max(begin for begin in self.planned if begin <= update)]

    def expected(self, update: int) -> list[int]:
        """The ends of all rows up to train step ``update``."""
        return [edge for edge in self.edges[1:] if edge <= update]


def with_length(job: CompiledRuns, state: PyTree, steps: int) -> PyTree:
    """Training states whose schedules run over ``steps`` environment steps from the beginning."""
    horizon = jnp.maximum(jnp.ceil(jnp.asarray(steps, jnp.float32) / job.trainer.steps_per_update), 1.0)
    full = np.full(state.horizon.shape, horizon, np.float32)
    return state.replace(horizon=jax.make_array_from_callback(full.shape, state.horizon.sharding, lambda index: full[index]))


@dataclass
class Timer:
    """Decides when time alone asks for a checkpoint: soon after the first rows, then at doubling intervals, never rarer than asked.

    Args:
        minutes: the longest that a run goes on without one.
        cost: seconds that a checkpoint took.
    """

    minutes: float
    cost: float = 0.0
    _first: bool = True

    def __post_init__(self) -> None:
        self._start = self._last = self._row = time.monotonic()

    def due(self) -> bool:
        """Whether to save at the end of this row, looking ahead to the end of the next; asked once a row."""
        now = time.monotonic()
        row, self._row = now - self._row, now
        longest = min(FIRST, 60 * self.minutes) if self._first else 60 * self.minutes
        waited = now - self._last
        interval = max(SOON, self._last - self._start, self.cost / SHARE)
        return waited >= interval or waited + row > longest

    def saved(self, seconds: float) -> None:
        """A checkpoint was written, in so many seconds."""
        self._last = self._row = time.monotonic()
        self.cost, self._first = seconds, False
