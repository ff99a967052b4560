"""Progress of an arm."""

import math
import sys
import time

from rl_jax.run.report.progress import human_time


class ArmProgress:
    """One line for an arm, rewritten on a terminal; elsewhere a line each fifth of the way."""

    def __init__(self, name: str, quiet: bool):
        self.name, self.quiet, self.begin, self.shown = name, quiet, time.monotonic(), 0.0

    def __call__(self, share: float, text: str) -> None:
        if self.quiet:
            return
        spent = time.monotonic() - self.begin
        line = (
            f"{self.name}  {100 * share:3.0f}%  {text}  left {human_time(spent * (1 - share) / share if share else math.nan)}"
        )
        if sys.stderr.isatty():
            print(f"\r{line[:118]}\x1b[K", end="", file=sys.stderr, flush=True)
        elif share >= self.shown + 0.2:
            self.shown = share
            print(line, file=sys.stderr, flush=True)

    def found(self, seconds: float) -> None:
        """The arm was finished before."""
        if not self.quiet:
            print(f"{self.name}  done before, in {human_time(seconds)} (--fresh runs it again)", file=sys.stderr, flush=True)

    def done(self, seconds: float) -> None:
        """The arm is finished."""
        if not self.quiet:
            end = "\r\x1b[K" if sys.stderr.isatty() else ""
            print(f"{end}{self.name}  done in {human_time(seconds)}", file=sys.stderr, flush=True)
