"""Signals: a run that is asked to stop saves itself first."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Stop:
    """Remembers that SIGINT or SIGTERM came, so that the run can end between two rows."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self, number: int, frame: object) -> None:
        if self.signal is not None:  # asked twice: at once
            raise KeyboardInterrupt
        self.signal = number


@contextmanager
def graceful() -> Iterator[Stop]:
    stop = Stop()
    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


class Stopped(Exception):
    """The run was asked to stop and has saved itself."""

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.number = number
