"""The setup of a run: its devices, and the folder that it writes to."""

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import jax

from rl_jax.errors import RLJaxError
from rl_jax.run.devices import distributed
from rl_jax.run.devices.placement import Devices
from rl_jax.run.options import RunOptions
from rl_jax.run.stopping import Stopped, before_leaving
from rl_jax.run.storage import config
from rl_jax.run.storage.metadata import metadata
from rl_jax.run.storage.ownership import Busy, Owned, leave, make, own
from rl_jax.run.storage.run_config import RunConfig
from rl_jax.run.training.resuming import check_resumed


def cores_that_divide(num_runs: int) -> int:
    """The largest number of this machine's cores that divides ``num_runs``."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(n for n in range(1, cores + 1) if num_runs % n == 0)


def set_cpu_devices(options: RunOptions, num_runs: int) -> None:
    """Set the number of CPU devices before jax starts. Its default is one device, of which small programs use one core."""
    if not options.distributed:
        make_cpu_devices(options.devices or cores_that_divide(num_runs))


def make_cpu_devices(num_devices: int) -> None:
    """Make jax split the CPU into ``num_devices`` devices, unless ``XLA_FLAGS`` sets a number or jax has started."""
    if num_devices > 1 and "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        with contextlib.suppress(RuntimeError):  # jax has started already
            jax.config.update("jax_num_cpu_devices", num_devices)


def set_precision(options: RunOptions) -> None:
    """Set the precision of jax's matrix products to ``--matmul-precision``; ``metadata.json`` records it."""
    if options.matmul_precision:
        jax.config.update("jax_default_matmul_precision", options.matmul_precision)


def devices_that_share(num_runs: int) -> int:
    """The default number of devices for ``num_runs`` runs: that of CPU devices that :func:`make_cpu_devices` made, else 1."""
    cores = cores_that_divide(num_runs)
    return cores if jax.default_backend() == "cpu" and jax.device_count() >= cores else 1


def choose_devices(options: RunOptions, num_envs: int, num_runs: int) -> Devices:
    """The devices of a run, of all processes that have joined.

    Raises:
        RLJaxError: there are fewer devices, or they do not divide the environments or runs that they share.
    """
    num_devices, shard = options.devices, options.shard or ("seeds" if num_runs > 1 else "envs")
    if num_devices is None and options.distributed:
        num_devices = jax.device_count()
    elif num_devices is None:
        num_devices = devices_that_share(num_runs) if shard == "seeds" else 1
    devices = Devices.choose(num_devices, shard)
    if options.distributed and num_devices % jax.process_count():
        raise RLJaxError(f"--devices {num_devices} must be a multiple of the {jax.process_count()} processes; or leave it out")
    devices.check(num_envs, num_runs)
    return devices


@contextmanager
def run_folder(run: RunConfig) -> Iterator[Owned]:
    """The run's folder, which the first process owns and creates. The others get its path."""
    if not distributed.is_first():
        if not (path := distributed.broadcast_text("")):
            raise RLJaxError("the first process has refused to begin: correct what it says")
        with contextlib.ExitStack() as no_locks:
            yield Owned(Path(path), Path(path), no_locks)
        return
    with contextlib.ExitStack() as locks:
        try:
            owned = locks.enter_context(_first_folder(run))
        except BaseException:
            distributed.broadcast_text("")
            raise
        distributed.broadcast_text(str(owned.real_path))
        with before_leaving(lambda: leave(owned)):
            try:
                yield owned
            except Stopped:
                leave(owned)
                raise
            except (OSError, ValueError):
                owned.check()  # raises a clearer error if the folder is gone
                raise


@contextmanager
def _first_folder(run: RunConfig) -> Iterator[Owned]:
    """The new run folder, created with its configuration; or the resumed one, checked to be the same run."""
    options = run.options
    if options.resume:
        with own(options.resume) as owned:
            check_resumed(owned, run)
            yield owned
        return
    with _own_new_folder(options, run.agent) as owned:
        make(owned, options.overwrite)
        run.save(owned.real_path / "config.json", dataclasses.replace(options, out=owned.path))
        config.write_json(owned.real_path / "metadata.json", metadata())
        yield owned


@contextmanager
def _own_new_folder(options: RunOptions, agent: str) -> Iterator[Owned]:
    """The folder ``--out``, or one under ``runs`` whose name is not taken."""
    if options.out:
        with own(options.out) as owned:
            yield owned
        return
    name = f"{options.env}-{agent}-s{options.seed}-{datetime.now():%Y%m%d-%H%M%S}".replace("/", "_").replace(":", "_")
    for number in itertools.count(1):
        with contextlib.ExitStack() as locks:
            try:
                owned = locks.enter_context(own(Path("runs") / (name if number == 1 else f"{name}-{number}")))
            except Busy:
                continue
            if not owned.real_path.exists():
                yield owned
                return
