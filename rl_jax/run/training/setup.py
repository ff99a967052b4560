"""Before the long work: devices, and the folder that the run is written to."""

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import jax

from rl_jax.errors import RLJaxError
from rl_jax.run.devices import distributed
from rl_jax.run.devices.placement import Devices
from rl_jax.run.options import RunOptions
from rl_jax.run.stopping import Stopped, before_leaving
from rl_jax.run.storage import config
from rl_jax.run.storage.metadata import metadata
from rl_jax.run.storage.ownership import Busy, Owned, leave, make, own
from rl_jax.run.training.resuming import check_resumed


def cores_that_divide(runs: int) -> int:
    """The most of this machine's cores that can share ``runs`` runs evenly."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(n for n in range(1, cores + 1) if runs % n == 0)


def count_cpu_devices(options: RunOptions, runs: int) -> None:
    """Tell jax, before it first looks, how many devices to make of a CPU: it makes one, and small programs use one core of it."""
    if not options.distributed:
        make_cpu_devices(options.devices or cores_that_divide(runs))


def make_cpu_devices(number: int) -> None:
    """Make ``number`` devices of a CPU, unless the user has said how many, or jax has looked already."""
    if number > 1 and "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        with contextlib.suppress(RuntimeError):  # it has looked: this is no fresh process
            jax.config.update("jax_num_cpu_devices", number)


def set_precision(options: RunOptions) -> None:
    """Tell jax how precise matrix products shall be; it is recorded with the run."""
    if options.matmul_precision:
        jax.config.update("jax_default_matmul_precision", options.matmul_precision)


def devices_that_share(runs: int) -> int:
    """How many devices share ``runs`` runs by default: a CPU's cores, where they were made devices, else one."""
    cores = cores_that_divide(runs)
    return cores if jax.default_backend() == "cpu" and jax.device_count() >= cores else 1


def choose_devices(options: RunOptions, num_envs: int, runs: int) -> Devices:
    """What the run is spread over; joined already are the other processes.

    Raises:
        RLJaxError: there are not so many devices, or they do not divide what they share.
    """
    number, shard = options.devices, options.shard or ("seeds" if runs > 1 else "envs")
    if number is None and options.distributed:
        number = jax.device_count()
    elif number is None:
        number = devices_that_share(runs) if shard == "seeds" else 1
    devices = Devices.choose(number, shard)
    if options.distributed and number % jax.process_count():
        raise RLJaxError(f"--devices {number} must be a multiple of the {jax.process_count()} processes; or leave it out")
    devices.check(num_envs, runs)
    return devices


@contextmanager
def run_folder(command: str, agent: str, options: RunOptions, hyperparameters: dict[str, Any]) -> Iterator[Owned]:
    """The run's folder, owned and made by the first process and known to all."""
    if not distributed.first():
        if not (path := distributed.told("")):
            raise RLJaxError("the first process has refused to begin: correct what it says")
        with contextlib.ExitStack() as nothing:
            yield Owned(Path(path), Path(path), nothing)
        return
    with contextlib.ExitStack() as held:
        try:
            owned = held.enter_context(_first_folder(command, agent, options, hyperparameters))
        except BaseException:
            distributed.told("")
            raise
        distributed.told(str(owned.place))
        with before_leaving(lambda: leave(owned)):
            try:
                yield owned
            except Stopped:
                leave(owned)
                raise
            except (OSError, ValueError):
                owned.check()  # says why, if the folder is gone
                raise


@contextmanager
def _first_folder(command: str, agent: str, options: RunOptions, hyperparameters: dict[str, Any]) -> Iterator[Owned]:
    """The run's folder, made and filled with its configuration; or the resumed one, checked to be the same run."""
    if options.resume:
        with own(options.resume) as owned:
            check_resumed(owned, command, agent, options, hyperparameters)
            yield owned
        return
    with _claimed(options, agent) as owned:
        make(owned, options.overwrite)
        options = dataclasses.replace(options, out=owned.path)
        config.save(owned.place / "config.json", command, agent, options, hyperparameters)
        config.write_json(owned.place / "metadata.json", metadata())
        yield owned


@contextmanager
def _claimed(options: RunOptions, agent: str) -> Iterator[Owned]:
    """The folder that was asked for, or one under ``runs`` whose name nobody has."""
    if options.out:
        with own(options.out) as owned:
            yield owned
        return
    name = f"{options.env}-{agent}-s{options.seed}-{datetime.now():%Y%m%d-%H%M%S}".replace("/", "_").replace(":", "_")
    for number in itertools.count(1):
        with contextlib.ExitStack() as held:
            try:
                owned = held.enter_context(own(Path("runs") / (name if number == 1 else f"{name}-{number}")))
            except Busy:
                continue
            if not owned.place.exists():
                yield owned
                return
