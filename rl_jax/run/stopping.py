"""Signals: a run that is asked to stop saves itself first; anything else ends at once. Both say which signal it was."""

import contextlib
import os
import select
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

#: Signals that ask for an end: Ctrl-C, a scheduler, a closed connection.
ASKING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
#: Seconds within which the same signal is one request: a terminal and a wrapper often pass on the same Ctrl-C.
ECHO = 0.3


class Stop:
    """What SIGINT, SIGTERM and SIGHUP do: end the process at once, or, while a run can still save itself, be remembered.

    Python runs handlers in the main thread between two of its own instructions. That may wait in a library's compiler for
    minutes, and an exception out of a handler may be swallowed there. So a thread of its own reads the signals as well, and
    the end is ``os._exit`` after what has been entered in ``cleanups``.

    Attributes:
        signal: the signal to be obeyed, set while :func:`graceful` holds it back.
        cleanups: called before an end at once; each returns what to say besides, or "".
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.cleanups: list[Callable[[], str]] = []
        self._holding = False
        self._when = 0.0
        self._lock = threading.RLock()
        self._read = self._write = -1

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The handler, in the main thread. Who comes first, it or the other thread, handles the signal."""
        self._drain()

    @contextmanager
    def installed(self) -> Iterator["Stop"]:
        """Handle signals; those that were ignored when the process began (``nohup``) stay ignored, but for Ctrl-C."""
        numbers = [n for n in ASKING if n == signal.SIGINT or signal.getsignal(n) != signal.SIG_IGN]
        self._read, self._write = os.pipe()
        for end in (self._read, self._write):
            os.set_blocking(end, False)
        wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        old = {number: signal.signal(number, self) for number in numbers}
        threading.Thread(target=self._watch, daemon=True).start()
        try:
            yield self
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wakeup)
            os.close(self._write)  # ends the thread, which closes the other end

    def _watch(self) -> None:
        while True:
            select.select([self._read], [], [])
            if not self._drain():
                os.close(self._read)
                return

    def _drain(self) -> bool:
        """Handle every signal that has not been handled; False when there can be no more."""
        with self._lock:
            try:
                numbers = os.read(self._read, 64)
            except OSError:  # the other thread was first
                return True
            for number in numbers:
                if number in ASKING:
                    self._receive(number)
            return bool(numbers)

    def _receive(self, number: int) -> None:
        if number == getattr(signal, "SIGHUP", None):
            _forget_terminal()
        if self._holding and self.signal is None:
            self.signal, self._when = number, time.monotonic()
        elif number != self.signal or time.monotonic() - self._when > ECHO:
            self._leave(number)

    def _leave(self, number: int) -> None:
        texts = []
        for cleanup in reversed(self.cleanups):
            with contextlib.suppress(Exception):  # nothing may keep the process
                texts.append(cleanup())
        line = "; ".join([f"rl-jax: stopped by {signal.Signals(number).name}", *filter(None, texts)])
        with contextlib.suppress(OSError):
            os.write(2, line.encode() + b"\n")
        os._exit(128 + number)

    @contextmanager
    def holding(self) -> Iterator["Stop"]:
        """The first signal is remembered, as there is something to save; the second ends the process at once."""
        self._holding = True
        try:
            yield self
        finally:
            self._holding = False


def _forget_terminal() -> None:
    """After a closed connection the terminal is gone: what is still printed must not end in an error."""
    sink = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        with contextlib.suppress(OSError):
            if stat.S_ISCHR(os.fstat(number).st_mode) and not os.isatty(number):  # a terminal no longer
                os.dup2(sink, number)
    os.close(sink)


def current() -> Stop | None:
    """The process's :class:`Stop`, where the command line has installed one."""
    found = signal.getsignal(signal.SIGINT)
    return found if isinstance(found, Stop) else None


@contextmanager
def graceful() -> Iterator[Stop]:
    """While a run goes on: its first signal is remembered. Only the main thread can be told of signals."""
    if stop := current():
        with stop.holding():
            yield stop
    elif threading.current_thread() is not threading.main_thread():
        yield Stop()
    else:
        with Stop().installed() as stop, stop.holding():
            yield stop


@contextmanager
def obeying() -> Iterator[None]:
    """Around a whole command: a signal ends it at once, but where :func:`graceful` holds it back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with Stop().installed():
        yield


@contextmanager
def before_leaving(cleanup: Callable[[], str]) -> Iterator[None]:
    """Have ``cleanup`` called should a signal end the process at once; it returns what to say besides, or ""."""
    stop = current()
    if stop is None:
        yield
        return
    stop.cleanups.append(cleanup)
    try:
        yield
    finally:
        stop.cleanups.remove(cleanup)


def ignore() -> None:
    """Take no notice of signals any more."""
    for number in ASKING:
        signal.signal(number, signal.SIG_IGN)


def _forked() -> None:
    """A forked child (of a library's) shares the pipe: its signals must not be taken for its parent's."""
    if current() is not None:
        signal.set_wakeup_fd(-1)
        for number in ASKING:
            if isinstance(signal.getsignal(number), Stop):
                signal.signal(number, signal.SIG_DFL)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class Stopped(Exception):
    """The run was asked to stop and has saved itself."""

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.number = number


def say(text: str) -> None:
    """A line on standard error, if that still leads anywhere."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)
