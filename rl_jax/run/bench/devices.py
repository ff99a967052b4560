"""Weak scaling: as many times the work as there are devices, each number of devices in a process of its own.

``python -m rl_jax.run.bench.devices NUMBER CASE SECONDS SMALL`` prints one row as JSON.
"""

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import jax

import rl_jax as rl
from rl_jax.agents import CONFIGS
from rl_jax.errors import RLJaxError
from rl_jax.loop import Trainer
from rl_jax.run.bench.row import Row, Setup, bytes_of, finished, timed
from rl_jax.run.devices import Devices
from rl_jax.run.job import Job, Wanted
from rl_jax.types import PyTree


def scale_devices(setup: Setup) -> Iterator[Row]:
    """PPO on 1, 2, 4 and 8 devices, with 64 environments of one run, or one run, for each.

    A CPU is cut into devices that share its cores: work beyond the cores takes longer by as much as there is more of it.

    Raises:
        RLJaxError: a process failed.
    """
    for case in ("envs",) if setup.small else ("envs", "seeds"):
        for number in (1, 2) if setup.small else (1, 2, 4, 8):
            if jax.default_backend() != "cpu" and number > jax.device_count():
                continue
            command = [
                sys.executable,
                "-m",
                "rl_jax.run.bench.devices",
                str(number),
                case,
                str(setup.seconds),
                str(int(setup.small)),
            ]
            flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={number}"
            done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, "XLA_FLAGS": flags})
            if done.returncode:
                raise RLJaxError(f"scale-devices failed with {number} devices: {done.stderr[-500:]}")
            yield Row(**json.loads(done.stdout.splitlines()[-1]))


def measure(number: int, case: str, setup: Setup) -> Row:
    """One number of devices, all of which this process has."""
    envs, length = (8, 8) if setup.small else (64, 128)
    seeds, num_envs = (1, number * envs) if case == "envs" else (number, envs)
    trainer = CONFIGS["ppo"](num_envs=num_envs, rollout_length=length).trainer(rl.make("CartPole-v1"))
    devices = Devices.choose(number, "envs" if case == "envs" else "seeds")
    job = Job(trainer, list(range(seeds)), 10**7, 8, devices=devices)
    job.compile()
    state, metrics = job.advance(job.init(), 4)
    repeats = 2

    def collecting(trainer: Trainer, state: PyTree) -> PyTree:
        def once(_: jax.Array, state: Any) -> Any:
            return trainer._collect(state)[0].replace(updates=state.updates.next())  # type: ignore[attr-defined]

        return jax.lax.fori_loop(0, repeats, once, state)

    job._compile(Wanted("collect", collecting, ("state",), "state", (job.state_shape(),)))
    collect = job.program("collect")
    seconds_collect = min(timed(lambda: collect(job._trainer(), state), setup.seconds / 2)) / repeats
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begin < setup.seconds:
        start = time.perf_counter()
        state, metrics = job.advance(state, repeats)
        times.append((time.perf_counter() - start) / repeats)
    row = Row("scale-devices", case, "CartPole-v1", "ppo", num_envs, seeds, 64, seeds * trainer.steps_per_update)
    row = dataclasses.replace(row, devices=number, seconds_compile=job.seconds_compile, seconds_collect=seconds_collect)
    row.bytes_peak, row.result = bytes_of(job.program("advance")), float(metrics["episode/return"].mean())
    return finished(row, times, None, setup.peak)


if __name__ == "__main__":
    setup = Setup(float(sys.argv[3]), peak=0.0, small=sys.argv[4] == "1")
    print(json.dumps(dataclasses.asdict(measure(int(sys.argv[1]), sys.argv[2], setup))))
