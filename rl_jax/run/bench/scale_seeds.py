"""Many runs side by side: on one device, and on all cores as devices, which is what commands do."""

import time
from collections.abc import Iterator

import jax
import numpy as np

import rl_jax as rl
from rl_jax.agents.configs import CONFIGS
from rl_jax.run.bench.apart import measured_apart, report, told
from rl_jax.run.bench.flops import count
from rl_jax.run.bench.row import Row, Setup, bytes_of, finished
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.devices.placement import Devices
from rl_jax.run.training.setup import cores_that_divide

#: Train steps before the clock, and under it: the same ones of every run, since what is being learned changes how much is reset.
BEFORE, UNDER = 2, 4


def scale_seeds(setup: Setup) -> Iterator[Row]:
    """PPO with 1 to 256 runs, each row the same train steps of every run."""
    for seeds in (1, 2) if setup.small else (1, 2, 8, 64, 256):
        if jax.default_backend() == "cpu":
            for devices in sorted({1, cores_that_divide(seeds)}):
                yield measured_apart("rl_jax.run.bench.scale_seeds", devices, setup, seeds, devices)
        else:  # two processes would want one memory
            yield measure(seeds, 1, setup)


def measure(seeds: int, devices: int, setup: Setup) -> Row:
    """One number of runs on devices that this process has."""
    envs, length = (8, 8) if setup.small else (64, 128)
    trainer = CONFIGS["ppo"](num_envs=envs, rollout_length=length).trainer(rl.make("CartPole-v1"))
    jax.clear_caches()
    job = CompiledRuns(trainer, list(range(seeds)), 10**7, 8, devices=Devices.choose(devices, "seeds"))
    job.compile()
    where = "one device" if devices == 1 else f"{devices} devices"
    row = Row("scale-seeds", where, "CartPole-v1", "ppo", envs, seeds, 64, seeds * trainer.steps_per_update, length=length)
    row.devices, row.seconds_compile, row.bytes_peak = devices, job.seconds_compile, bytes_of(job.program("advance"))
    times: list[float] = []
    while len(times) < 5 or sum(times) * UNDER < setup.seconds:
        state, _ = job.advance(job.init(), BEFORE)
        jax.block_until_ready(state)
        start = time.perf_counter()
        state, metrics = job.advance(state, UNDER)
        times.append((time.perf_counter() - start) / UNDER)
    row.result = float(metrics["episode/return"].mean())
    once = count(trainer._train_step, jax.eval_shape(trainer.init, jax.random.key(0), 1))
    # The first call warms up. Means of four parts of the rest: of many short calls the best would be luckier than of few long ones.
    parts = [float(np.mean(part)) for part in np.array_split(times[1:], 4)]
    return finished(row, parts, seeds * once, setup.peak)


if __name__ == "__main__":
    setup, words = told()
    report(measure(int(words[0]), int(words[1]), setup))
