"""Suites that need a number of devices of their own, which jax makes of a CPU once: each in a process apart."""

import dataclasses
import json
import os
import subprocess
import sys

from rl_jax.errors import RLJaxError
from rl_jax.run.bench.row import Row, Setup


def measured_apart(module: str, devices: int, setup: Setup, *words: object) -> Row:
    """The row that ``python -m module SETUP WORDS`` prints, in a process where a CPU is ``devices`` devices.

    Raises:
        RLJaxError: the process failed.
    """
    told = json.dumps({"seconds": setup.seconds, "peak": setup.peak, "small": setup.small})
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    command = [sys.executable, "-m", module, told, *map(str, words)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, "XLA_FLAGS": flags})
    if done.returncode:
        raise RLJaxError(f"{module.rpartition('.')[2]} failed with {devices} devices: {done.stderr[-500:]}")
    return Row(**json.loads(done.stdout.splitlines()[-1]))


def told() -> tuple[Setup, list[str]]:
    """What :func:`measured_apart` told this process."""
    return Setup(**json.loads(sys.argv[1])), sys.argv[2:]


def report(row: Row) -> None:
    """Tell the process that waits for it."""
    print(json.dumps(dataclasses.asdict(row)))
