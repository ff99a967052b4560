"""Two libraries side by side: one process per measurement, in turn, so that a busy machine slows both."""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence


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
