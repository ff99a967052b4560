"""Several processes, one run: joining, agreeing, and noticing that another is gone.

All processes run the same commands on the same state, of which each holds its devices' part. The first one alone writes files
and talks; the others follow.
"""

import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from rl_jax.errors import RLJaxError

#: Seconds after which a process that says nothing counts as gone.
PATIENCE = 20
#: Exit status where another process ended first.
LOST = 3


def join() -> None:
    """Meet the other processes, before anything is computed.

    The place to meet is found by jax on SLURM, Kubernetes, Cloud TPU and MPI; elsewhere from ``JAX_COORDINATOR_ADDRESS``
    (``host:port`` of the first process), ``JAX_NUM_PROCESSES`` and ``JAX_PROCESS_ID``.

    Raises:
        RLJaxError: the environment does not say where the others are, or they do not come.
    """
    import jax

    names = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    given = [os.environ.get(name) for name in names]
    if any(given) and not all(given):
        raise RLJaxError(f"--distributed needs all of {', '.join(names)}, or none where a cluster's scheduler knows them")
    try:
        processes, number = (int(value) if value else None for value in given[1:])
        jax.distributed.initialize(
            given[0], processes, number, heartbeat_timeout_seconds=PATIENCE, shutdown_timeout_seconds=PATIENCE
        )
    except (ValueError, RuntimeError) as error:
        raise RLJaxError(
            f"cannot join the other processes ({str(error).splitlines()[0]}): set {', '.join(names)} in each of them"
        ) from None


def first() -> bool:
    """Whether this is the process that writes and talks."""
    import jax

    return jax.process_index() == 0


def largest(value: int) -> int:
    """The largest of all processes' values; all of them ask together."""
    import jax
    import numpy as np

    if jax.process_count() == 1:
        return value
    from jax.experimental import multihost_utils

    return int(multihost_utils.process_allgather(np.asarray(value, np.int32)).max())


def told(text: str) -> str:
    """The first process's text, in all of them."""
    import jax
    import numpy as np

    if jax.process_count() == 1:
        return text
    from jax.experimental import multihost_utils

    letters = np.zeros((4096,), np.uint8)
    if first():
        data = text.encode()
        letters[: len(data)] = np.frombuffer(data, np.uint8)
    return bytes(multihost_utils.broadcast_one_to_all(letters)).rstrip(b"\0").decode()


@contextmanager
def ending() -> Iterator[None]:
    """A process that fails ends at once: at Python's usual end it would wait for the others, and they for it."""
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


def parted(error: Exception) -> bool:
    """Whether an error is one of the runtime that may come from another process's end.

    The runtime's errors begin with their status. jax gives them as they are where a result is waited for, and as a ``ValueError``
    where they are noticed while a program is started.
    """
    jax = sys.modules.get("jax")  # without it nothing has been joined
    status = re.match(r"[A-Z_]+:", str(error))
    return jax is not None and status is not None and status[0] != "RESOURCE_EXHAUSTED:" and jax.process_count() > 1


def leave(cause: str) -> NoReturn:
    """End at once: who waits for a process that is gone waits for ever."""
    print(
        f"rl-jax: error: another process of this run is gone ({cause.splitlines()[0][:200]}): start all again with --resume",
        file=sys.stderr,
    )
    sys.stderr.flush()
    os._exit(LOST)
