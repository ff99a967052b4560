"""One line of progress on a terminal, a few plain lines elsewhere."""

import math
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

PLAIN_LINES = 20  # printed over a whole run where lines cannot be rewritten (a file, a batch system)
REDRAW_SECONDS = 0.1
PLAIN_SECONDS = 10.0  # between two signs of life there


def human_count(count: float) -> str:
    """A count in at most four digits: ``950``, ``1.2k``, ``170k``, ``1.25M``, ``3B``."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        # 999,950 would round to "1000k": what rounds up to the next unit is written in it.
        if abs(count) >= size * 0.9995:
            return f"{count / size:.3g}{unit}"
    return f"{count:.3g}" if abs(count) < 100 else f"{count:.0f}"


def human_time(seconds: float) -> str:
    """A duration as ``0:12``, ``12:03``, ``1:02:03`` or ``2d 03:04``; ``?`` if it is not known."""
    if not math.isfinite(seconds) or seconds < 0:
        return "?"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours >= 24:
        return f"{hours // 24}d {hours % 24:02d}:{minute:02d}"
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def human_value(value: float | Sequence[float]) -> str:
    """A measurement; several (one for each seed) as their mean and range, ``231 (180..260)``; ``-`` without any."""
    values = [float(each) for each in (value if hasattr(value, "__len__") else [value])]  # type: ignore[union-attr]
    finite = [each for each in values if math.isfinite(each)]
    if not finite:
        return "-"
    mean = _number(sum(finite) / len(finite))
    return f"{mean} ({_number(min(finite))}..{_number(max(finite))})" if len(finite) > 1 else mean


class Progress:
    """Shows how a run is going.

    On a terminal one line is rewritten in place; elsewhere about ``PLAIN_LINES`` lines are printed, spread evenly over
    the run. ``quiet`` prints nothing, not even notes.

    Args:
        total_steps: environment steps of each whole run.
        quiet: print nothing.
        stream: where to print, standard error by default.
        start_steps: steps already done by the run that is being resumed.
        runs: how many runs do that many steps side by side.
        clock: seconds that only grow; for tests.
    """

    def __init__(
        self,
        total_steps: int,
        quiet: bool = False,
        stream: TextIO | None = None,
        start_steps: int = 0,
        runs: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.total_steps, self.runs = total_steps, runs
        self.quiet = quiet
        self.stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._terminal = bool(getattr(self.stream, "isatty", lambda: False)())
        self._every = total_steps / PLAIN_LINES
        self._next_plain = float(start_steps)
        self._drawn_at = -math.inf
        self._shown = ""  # on the terminal now
        self._latest = ""

    def update(
        self,
        steps: int,
        steps_per_second: float,
        return_mean: float | Sequence[float] | None,
        extra: dict[str, float | Sequence[float]] | None = None,
    ) -> None:
        """Show the state of the run: `` 34%  170k/500k steps  1.2M steps/s  return 231.4  eval 250.1  left 0:12``.

        Args:
            steps: environment steps done by each run.
            steps_per_second: of late, of all runs together; the time left is computed from it.
            return_mean: mean return of finished episodes, or one for each seed; NaN before the first has finished;
                ``None`` where no episode is collected.
            extra: more measurements to show after it, by their short names.
        """
        if self.quiet:
            return
        left = (self.total_steps - steps) * self.runs / steps_per_second if steps_per_second > 0 else math.nan
        values = ({} if return_mean is None else {"return": return_mean}) | (extra or {})
        fields = [
            # Rounded down, so that 100% means finished.
            f"{100 * steps // max(self.total_steps, 1):3d}%",
            f"{human_count(steps)}/{human_count(self.total_steps)} steps{f' x {self.runs}' if self.runs > 1 else ''}",
            f"{human_count(steps_per_second)} steps/s" if math.isfinite(steps_per_second) else "",
            *(f"{name} {human_value(value)}" for name, value in values.items()),
            f"left {human_time(max(left, 0.0))}" if steps < self.total_steps else "done",
        ]
        self._latest = "  ".join(field for field in fields if field)
        finished = steps >= self.total_steps
        if self._terminal:
            if finished or self._clock() - self._drawn_at >= REDRAW_SECONDS:
                self._draw(self._latest)
        elif finished or steps >= self._next_plain:
            # Always a whole interval ahead, however far apart the calls are, so the number of lines is bounded.
            self._next_plain = steps + self._every
            self._print(self._latest)

    def doing(self, text: str) -> None:
        """Show what is being done between two updates: in place of the line on a terminal, else from time to time."""
        if self.quiet:
            return
        if self._terminal:
            self._draw(text)
        elif self._clock() - self._drawn_at >= PLAIN_SECONDS:
            self._drawn_at = self._clock()
            self._print(text)

    def note(self, text: str) -> None:
        """Print a line above the progress line."""
        if self.quiet:
            return
        shown = self._shown
        if shown:
            self._erase()
        self._print(text)
        if shown:
            self._draw(shown)

    @contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """Say what goes on, and on a terminal for how long, while nothing else is shown: ``compiling 0:07``.

        A thread redraws the clock, since what is waited for may not come back to Python for minutes.
        """
        if self.quiet or not self._terminal:
            self.note(f"{text} ...")
            yield
            return
        start, ended = self._clock(), threading.Event()

        def draw() -> None:
            while not ended.is_set():
                self._draw(f"{text} ... {human_time(self._clock() - start)}")
                ended.wait(1.0)

        thread = threading.Thread(target=draw, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self._erase()

    def close(self) -> None:
        """Leave the last state standing, on a line of its own."""
        if self._shown:
            self._draw(self._latest)
            self._print("")
            self._shown = ""

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _draw(self, text: str) -> None:
        # A line longer than the terminal would wrap, and a carriage return goes back over its last part only.
        width = shutil.get_terminal_size().columns - 1
        self.stream.write("\r" + text[:width] + "\x1b[K")
        self.stream.flush()
        self._shown, self._drawn_at = text, self._clock()

    def _erase(self) -> None:
        self.stream.write("\r\x1b[K")
        self._shown = ""

    def _print(self, text: str) -> None:
        self.stream.write(text + "\n")
        self.stream.flush()


def _number(value: float) -> str:
    """Four significant digits, without a needless exponent or zero decimals."""
    if value != 0 and (abs(value) >= 1e6 or abs(value) < 1e-3):
        return f"{value:.3g}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
