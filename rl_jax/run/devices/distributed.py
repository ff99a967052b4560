"""Runs of several processes: joining them, exchanging values, and noticing that one has ended.

All processes run the same command. Each holds the shards of the training state that lie on its devices. Only the first process
writes files and prints.
"""

import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from rl_jax.errors import RLJaxError

#: Seconds without a heartbeat after which a process counts as lost.
TIMEOUT_SECONDS = 20
#: Exit status of a process whose run has lost another process.
LOST_PROCESS = 3


def join() -> None:
    """Connect to the other processes of the run, before anything is computed.

    On SLURM, Kubernetes, Cloud TPU and MPI jax finds the coordinator. Elsewhere it is read from ``JAX_COORDINATOR_ADDRESS``
    (``host:port`` of the first process), ``JAX_NUM_PROCESSES`` and ``JAX_PROCESS_ID``.

    Raises:
        RLJaxError: the coordinator is not known, or the other processes do not connect.
    """
    import jax

    names = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    values = [os.environ.get(name) for name in names]
    if any(values) and not all(values):
        raise RLJaxError(f"--distributed needs all of {', '.join(names)}, or none where a cluster's scheduler knows them")
    try:
        num_processes, process_id = (int(value) if value else None for value in values[1:])
        jax.distributed.initialize(
            values[0],
            num_processes,
            process_id,
            heartbeat_timeout_seconds=TIMEOUT_SECONDS,
            shutdown_timeout_seconds=TIMEOUT_SECONDS,
        )
    except (ValueError, RuntimeError) as error:
        raise RLJaxError(
            f"cannot join the other processes ({str(error).splitlines()[0]}): set {', '.join(names)} in each of them"
        ) from None


def is_first() -> bool:
    """Whether this is the first process, the only one that writes files and prints."""
    import jax

    return jax.process_index() == 0


def max_over_processes(value: int) -> int:
    """The maximum of all processes' values. All processes must call it."""
    import jax
    import numpy as np

    if jax.process_count() == 1:
        return value
    from jax.experimental import multihost_utils

    return int(multihost_utils.process_allgather(np.asarray(value, np.int32)).max())


def broadcast_text(text: str) -> str:
    """The text of the first process, returned in all. All processes must call it; at most 4,096 bytes."""
    import jax
    import numpy as np

    if jax.process_count() == 1:
        return text
    from jax.experimental import multihost_utils

    buffer = np.zeros((4096,), np.uint8)
    if is_first():
        encoded = text.encode()
        buffer[: len(encoded)] = np.frombuffer(encoded, np.uint8)
    return bytes(multihost_utils.broadcast_one_to_all(buffer)).rstrip(b"\0").decode()


@contextmanager
def exiting_at_once() -> Iterator[None]:
    """Exit at once on an error. At Python's normal exit this process would wait for the others, and they for it."""
    try:
        yield
    except BaseException as error:
        jax = sys.modules.get("jax")  # without it nothing has been joined
        if jax is None or not jax.distributed.is_initialized() or (isinstance(error, SystemExit) and error.code != 2):
            raise
        if not isinstance(error, SystemExit):
            traceback.print_exception(error)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(2 if isinstance(error, SystemExit) else 1)


def is_lost_process(error: Exception) -> bool:
    """Whether an error may come from the end of another process.

    Errors of the runtime begin with their status. jax raises them as they are where it waits for a result, and as a ``ValueError``
    where it starts a program.
    """
    jax = sys.modules.get("jax")  # without it nothing has been joined
    status = re.match(r"[A-Z_]+:", str(error))
    return jax is not None and status is not None and status[0] != "RESOURCE_EXHAUSTED:" and jax.process_count() > 1


def exit_lost(cause: str) -> NoReturn:
    """Exit at once: a process that waits for a lost one would wait forever."""
    print(
        f"rl-jax: error: another process of this run is gone ({cause.splitlines()[0][:200]}): start all again with --resume",
        file=sys.stderr,
    )
    sys.stderr.flush()
    os._exit(LOST_PROCESS)
