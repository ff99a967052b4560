"""Weak scaling: as many times the work as there are devices, each number of devices in a process of its own."""

import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import jax

import rl_jax as rl
from rl_jax.agents.configs import CONFIGS
from rl_jax.loop import Trainer
from rl_jax.run.bench.apart import measured_apart, report, told
from rl_jax.run.bench.row import Row, Setup, bytes_of, finished, timed
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.devices.placement import Devices, Layout
from rl_jax.run.devices.run_programs import ProgramSpec
from rl_jax.types import PyTree


def scale_devices(setup: Setup) -> Iterator[Row]:
    """PPO on 1, 2, 4 and 8 devices, with 64 environments of one run, or one run, for each.

    A CPU is cut into devices that share its cores: work beyond the cores takes longer by as much as there is more of it.

    Raises:
        RLJaxError: a process failed.
    """
    for case in ("envs",) if setup.small else ("envs", "seeds"):
        for number in (1, 2) if setup.small else (1, 2, 4, 8):
            if jax.default_backend() == "cpu":
                yield measured_apart("rl_jax.run.bench.devices", number, setup, number, case)
            elif number <= jax.device_count():  # two processes would want one memory
                yield measure(number, case, setup)


def measure(number: int, case: str, setup: Setup) -> Row:
    """One number of devices, all of which this process has."""
    envs, length = (8, 8) if setup.small else (64, 128)
    seeds, num_envs = (1, number * envs) if case == "envs" else (number, envs)
    trainer = CONFIGS["ppo"](num_envs=num_envs, rollout_length=length).trainer(rl.make("CartPole-v1"))
    devices = Devices.choose(number, "envs" if case == "envs" else "seeds")
    jax.clear_caches()
    job = CompiledRuns(trainer, list(range(seeds)), 10**7, 8, devices=devices)
    job.compile()
    state, metrics = job.advance(job.init(), 4)
    repeats = 2

    def collecting(trainer: Trainer, state: PyTree) -> PyTree:
        def once(_: jax.Array, state: Any) -> Any:
            return trainer._collect(state)[0].replace(updates=state.updates.next())  # type: ignore[attr-defined]

        return jax.lax.fori_loop(0, repeats, once, state)

    job._compile(ProgramSpec("collect", collecting, (Layout.TRAIN_STATE,), Layout.TRAIN_STATE, (job.state_shape(),)))
    collect = job.program("collect")
    seconds_collect = min(timed(lambda: collect(job._placed_trainer(), state), setup.seconds / 2)) / repeats
    times: list[float] = []
    begin, worked = time.perf_counter(), time.process_time()
    while len(times) < 3 or time.perf_counter() - begin < setup.seconds:
        start = time.perf_counter()
        state, metrics = job.advance(state, repeats)
        times.append((time.perf_counter() - start) / repeats)
    worked = (time.process_time() - worked) / (len(times) * repeats)
    row = Row("scale-devices", case, "CartPole-v1", "ppo", num_envs, seeds, 64, seeds * trainer.steps_per_update)
    row = dataclasses.replace(row, devices=number, seconds_compile=job.seconds_compile, seconds_collect=seconds_collect)
    row.seconds_processor = worked if jax.default_backend() == "cpu" else None
    row.bytes_peak, row.result = bytes_of(job.program("advance")), float(metrics["episode/return"].mean())
    return finished(row, times, None, setup.peak)


if __name__ == "__main__":
    setup, (number, case) = told()
    report(measure(int(number), case, setup))
