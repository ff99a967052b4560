"""Saving a run while it goes on: into the folder that it began with, when it is time, and before it obeys a signal."""

import signal
import time
from dataclasses import dataclass

from rl_jax.run.devices import distributed
from rl_jax.run.report.progress import human_count
from rl_jax.run.stopping import Stop, Stopped
from rl_jax.run.storage.checkpoint import Checkpoints
from rl_jax.run.storage.ownership import Owned
from rl_jax.run.training.plan import Timer
from rl_jax.types import PyTree


@dataclass
class Saver:
    """What writes the checkpoints of one run.

    Attributes:
        owned: the run folder.
        checkpoints: of it.
        timer: when time alone asks for one.
        stop: the signal that came, if one did.
        per_update: environment steps of a train step.
    """

    owned: Owned
    checkpoints: Checkpoints
    timer: Timer
    stop: Stop
    per_update: int

    def save(self, end: int, state: PyTree, score: float | None = None, scheduled: bool = True) -> None:
        """Write the checkpoint of train step ``end``.

        Raises:
            RLJaxError: the folder is not there any more.
        """
        self.owned.check()
        tick = time.monotonic()
        self.checkpoints.save(end * self.per_update, state, score, scheduled)
        self.timer.saved(time.monotonic() - tick)
        self.owned.check()

    def kept(self) -> str:
        """Where the last good state is, in words."""
        steps = self.checkpoints.steps()
        return f"the last good checkpoint is {self.checkpoints.path(steps[-1])}" if steps else "there is no checkpoint yet"

    def due(self) -> bool:
        """Whether time asks for a checkpoint, in all processes alike."""
        return bool(distributed.largest(int(self.timer.due())))

    def asked(self) -> int | None:
        """The signal that asks for an end, in all processes alike."""
        return distributed.largest(self.stop.signal or 0) or None

    def obey(self, end: int, number: int | None) -> None:
        """End the run after train step ``end``, which was saved, if a signal asks for it."""
        if number is not None:
            text = f"stopped by {signal.Signals(number).name}"
            if end == 0:
                raise Stopped(f"{text} before the first row: there is nothing to save", number)
            steps = human_count(end * self.per_update)
            raise Stopped(f"{text} after {steps} steps; saved: continue with --resume {self.owned.path}", number)
