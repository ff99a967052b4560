"""One line of a benchmark, and how it is measured."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from rl_jax.run.devices.compiling import compiler_options
from rl_jax.run.storage.metadata import device_text


@dataclasses.dataclass
class Row:
    """What was measured.

    Attributes:
        suite, case: what was run.
        env, agent: names; empty where there is none.
        envs, seeds, width: parallel environments, runs, units of a hidden layer.
        steps: environment steps of one call (items, for a replay), over all seeds.
        device: in words.
        seconds_compile: of this program, from a cold start.
        seconds_run: of the fastest call.
        spread: the slowest call's time over the fastest one's.
        steps_per_second: ``steps / seconds_run``.
        bytes_peak: arguments, results and temporaries of the program, as XLA plans them.
        flops: operations of all matrix products per second.
        share: the same as a share of ``matmul_peak``.
        result: the mean return of what was trained, where something was.
        length, capacity: steps of a rollout, transitions that a buffer holds.
        devices: that shared the work.
        seconds_collect: of ``seconds_run``, acting in the environments; where it was measured apart.
        seconds_processor: that a CPU's cores worked during one call, in the mean; where it was measured.
    """

    suite: str
    case: str
    env: str = ""
    agent: str = ""
    envs: int = 0
    seeds: int = 1
    width: int = 0
    steps: int = 0
    device: str = ""
    seconds_compile: float = 0.0
    seconds_run: float = 0.0
    spread: float = 1.0
    steps_per_second: float = 0.0
    bytes_peak: int = 0
    flops: float | None = None
    share: float | None = None
    result: float | None = None
    length: int = 0
    capacity: int = 0
    devices: int = 1
    seconds_collect: float | None = None
    seconds_processor: float | None = None


@dataclasses.dataclass(frozen=True)
class Setup:
    """What all suites are told.

    Attributes:
        seconds: of measuring, per row.
        peak: of matrix products, operations per second.
        small: sizes for a test of the machinery.
        profiles: where profiles of training go, if they are wanted.
    """

    seconds: float
    peak: float
    small: bool = False
    profiles: Path | None = None


def compiled(function: Callable[..., Any], *arguments: Any, donate: tuple[int, ...] = ()) -> tuple[Any, float, int]:
    """A program, the seconds that it took to make, and the bytes that it needs."""
    jax.clear_caches()  # what was traced for another row would make this one look quick
    start = time.perf_counter()
    program = jax.jit(function, donate_argnums=donate).lower(*arguments).compile(compiler_options())
    seconds = time.perf_counter() - start
    return program, seconds, bytes_of(program)


def bytes_of(program: Any) -> int:
    """Arguments, results and temporaries, what is used twice counted once."""
    about = program.memory_analysis()
    if about is None:
        return 0
    total = about.argument_size_in_bytes + about.output_size_in_bytes + about.temp_size_in_bytes
    return int(total - about.alias_size_in_bytes)


def timed(call: Callable[[], Any], seconds: float, least: int = 3) -> list[float]:
    """Seconds of each of at least ``least`` calls, for about ``seconds``; the first call is not counted."""
    jax.block_until_ready(call())
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < least or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return times


def finished(row: Row, times: list[float], operations: float | None, peak: float) -> Row:
    """A row with what follows from the times of its calls."""
    best = min(times)
    flops = None if operations is None else operations / best
    return dataclasses.replace(
        row,
        device=device_text(),
        seconds_run=best,
        spread=max(times) / best,
        steps_per_second=row.steps / best,
        flops=flops,
        share=None if flops is None or not peak else flops / peak,
    )


def matmul_peak(seconds: float = 1.0, small: bool = False) -> float:
    """Operations per second of large ``float32`` matrix products on this device, the best of several sizes."""
    best = 0.0
    sizes = (512, 1024, 2048) if jax.default_backend() == "cpu" else (4096, 8192)
    for size in (64,) if small else sizes:
        x = jnp.ones((size, size), jnp.float32) / size

        def products(x: jax.Array) -> jax.Array:
            return jax.lax.fori_loop(0, 8, lambda _, y: y @ x, x)

        program = compiled(products, x)[0]
        times = timed(lambda program=program, x=x: program(x), seconds / 3)  # type: ignore[misc]
        best = max(best, 8 * 2 * size**3 / min(times))
    return best
