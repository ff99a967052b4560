"""Saving a run: on schedule, by time, and before it stops for a signal; only into the folder that it started in."""

import signal
import time
from dataclasses import dataclass

from rl_jax.run.devices import distributed
from rl_jax.run.report.progress import human_count
from rl_jax.run.stopping import Stop, Stopped
from rl_jax.run.storage.checkpoint import Checkpoints
from rl_jax.run.storage.config import load
from rl_jax.run.storage.ownership import Owned
from rl_jax.run.storage.run_config import resume_text
from rl_jax.run.training.plan import Timer
from rl_jax.types import PyTree


@dataclass
class Saver:
    """Writes the checkpoints of one run folder.

    Attributes:
        owned: the run folder.
        checkpoints: of the folder.
        timer: says when a checkpoint is due by time.
        stop: holds the signal that came, if one did.
        per_update: environment steps of a train step.
        keeps: whether states are written at all.
    """

    owned: Owned
    checkpoints: Checkpoints
    timer: Timer
    stop: Stop
    per_update: int
    keeps: bool = True

    def save(self, update: int, state: PyTree, score: float | None = None, scheduled: bool = True) -> None:
        """Write the checkpoint of train step ``update``.

        Raises:
            RLJaxError: the folder was removed, renamed or replaced.
        """
        self.owned.check()
        if not self.keeps:
            return
        start = time.monotonic()
        self.checkpoints.save(update * self.per_update, state, score, scheduled)
        self.timer.saved(time.monotonic() - start)
        self.owned.check()

    def checkpoint_text(self) -> str:
        """Says where the last good state is."""
        steps = self.checkpoints.steps()
        return f"the last good checkpoint is {self.checkpoints.path(steps[-1])}" if steps else "there is no checkpoint yet"

    def due(self) -> bool:
        """Whether a checkpoint is due by time; the same in all processes."""
        return bool(distributed.max_over_processes(int(self.timer.due())))

    def stop_signal(self) -> int | None:
        """The number of the signal that stops the run, or ``None``; the same in all processes."""
        return distributed.max_over_processes(self.stop.signal or 0) or None

    def raise_if_stopped(self, update: int, stop_signal: int | None) -> None:
        """End the run after train step ``update``, which was saved.

        Raises:
            Stopped: ``stop_signal`` is not ``None``.
        """
        if stop_signal is not None:
            text = f"stopped by {signal.Signals(stop_signal).name}"
            if update == 0:
                raise Stopped(f"{text} before the first row: there is nothing to save", stop_signal)
            saved = "not saved, as there is no folder"
            if self.keeps:
                saved = f"saved: continue with {resume_text(load(self.owned.real_path / 'config.json'), self.owned.path)}"
            raise Stopped(f"{text} after {human_count(update * self.per_update)} steps; {saved}", stop_signal)
