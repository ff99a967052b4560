"""Before the long work: devices, and the folder that the run is written to."""

import contextlib
import dataclasses
import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import jax

from rl_jax.errors import RLJaxError
from rl_jax.run import config, distributed
from rl_jax.run.checkpoint import Checkpoints
from rl_jax.run.devices import Devices
from rl_jax.run.job import Job
from rl_jax.run.metadata import metadata
from rl_jax.run.options import IDENTITY, RECORD, RunOptions
from rl_jax.run.ownership import check_writable, prepare_folder


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


def run_folder(command: str, agent: str, options: RunOptions, hyperparameters: dict[str, Any]) -> Path:
    """The run's folder, made by the first process and known to all."""
    if not distributed.first():
        if not (path := distributed.told("")):
            raise RLJaxError("the first process has refused to begin: correct what it says")
        return Path(path)
    try:
        folder = _first_folder(command, agent, options, hyperparameters)
    except BaseException:
        distributed.told("")
        raise
    distributed.told(str(folder.resolve()))
    return folder


def _first_folder(command: str, agent: str, options: RunOptions, hyperparameters: dict[str, Any]) -> Path:
    """The run's folder, made and filled with its configuration; or the resumed one, checked to be the same run."""
    if options.resume:
        saved = config.load(options.resume / "config.json")
        same = (*IDENTITY, *RECORD)
        before = config.plain(RunOptions()) | saved["run"]  # options that it does not know had no other values then
        old = {name: before[name] for name in same} | saved["hyperparameters"]
        new = {name: config.plain(getattr(options, name)) for name in same} | config.plain_values(hyperparameters)
        if changed := config.differences(old, new):
            raise RLJaxError(
                f"cannot resume {options.resume} with other options: {', '.join(changed)}; leave them out, or start a new run"
            )
        if options.out and options.out.resolve() != options.resume.resolve():
            raise RLJaxError(f"a resumed run stays in its folder {options.resume}: leave out --out")
        check_writable(options.resume)
        return options.resume
    name = f"{options.env}-{agent}-s{options.seed}-{datetime.now():%Y%m%d-%H%M%S}".replace("/", "_").replace(":", "_")
    folder = options.out or Path("runs") / name
    prepare_folder(folder, options.overwrite)
    config.save(folder / "config.json", command, agent, dataclasses.replace(options, out=folder), hyperparameters)
    config.write_json(folder / "metadata.json", metadata())
    return folder


def finished(folder: Path, job: Job, options: RunOptions) -> bool:
    """Whether a resumed run had come to its end already; then its result is printed again."""
    if not options.resume or Checkpoints(folder).steps()[-1:] != [job.updates * job.trainer.steps_per_update]:
        return False
    try:
        result = json.loads((folder / "result.json").read_text())
    except (OSError, ValueError):
        return False
    if distributed.first():
        if not options.quiet:
            print(f"{folder} is finished: its result", file=sys.stderr)
        print(json.dumps(result))
    return True
