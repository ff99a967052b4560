"""Two libraries side by side: one process per measurement, in turn, so that a busy machine slows both."""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any


def child(python: str, *arguments: str, script: str | None = None) -> dict:
    """The last line that a process of a script (default: of this one) prints, as JSON.

    Raises:
        SystemExit: it failed; with the end of what it said.
    """
    command = [python, script or sys.argv[0], *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def in_turn(kinds: dict[str, tuple[str, ...]], rounds: int, what: str) -> dict[str, list[dict]]:
    """``rounds`` times a process of every kind, A B A B ...; ``kinds`` maps a name to a python and its arguments."""
    runs: dict[str, list[dict]] = {name: [] for name in kinds}
    for i in range(rounds):
        for name, (python, *arguments) in kinds.items():
            runs[name].append(child(python, *arguments))
            print(what, i, name, runs[name][-1], file=sys.stderr)
    return runs


class Worker:
    """A process that is made ready once, and then measures each time that it is asked to (``peers/served.py``).

    Raises:
        SystemExit: it ended; with the end of what it said.
    """

    def __init__(self, *command: str) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._said, text=True)
        self._command = " ".join(command)

    def __call__(self, measure: str = "") -> Any:
        """What it says next, having been asked for ``measure``; without one: what it says of itself when it is ready."""
        assert self._process.stdin is not None and self._process.stdout is not None
        if measure:
            self._process.stdin.write(f"{measure}\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            self._said.seek(0)
            raise SystemExit(f"{self._command} failed:\n{self._said.read().decode()[-2000:]}")
        return json.loads(answer)

    def close(self) -> None:
        """Let it end, and wait for that."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def ratios(over: Sequence[float], under: Sequence[float]) -> dict[str, float]:
    """The quotients of two series, pair by pair: ``median``, ``min`` and ``max``."""
    pairs = [a / b for a, b in zip(over, under, strict=True)]
    return {"median": statistics.median(pairs), "min": min(pairs), "max": max(pairs)}


def speeds(runs: dict[str, list[dict]], steps: int, other: str) -> dict:
    """What every table of speeds has: medians of steps per second and of seconds to compile, and ``rl_jax`` over ``other``."""
    rates = {name: [steps / run["run"] for run in results] for name, results in runs.items()}
    return {
        "steps_per_second": {name: statistics.median(values) for name, values in rates.items()},
        "seconds_compile": {name: statistics.median(run["compile"] for run in results) for name, results in runs.items()},
        **{f"ratio_{name}": value for name, value in ratios(rates["rl_jax"], rates[other]).items()},
    }
