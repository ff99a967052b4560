"""The files of one checkpoint: how arrays lie on the disk, and their checksums."""

import errno
import hashlib
import itertools
import logging
import os
import re
import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from rl_jax.run.devices.device_memory import human_bytes
from rl_jax.run.devices.placement import on_host
from rl_jax.run.storage import large_arrays

# Orbax logs every save; people get our one line where something matters.
logging.getLogger("absl").setLevel(logging.ERROR)

#: How files begin that file systems and desktops leave anywhere.
FOREIGN = (".DS_Store", "._", ".nfs", "Thumbs.db", "desktop.ini")
#: Bytes that must be free on the disk besides a checkpoint's arrays, for all that describes them.
SPARE = 2**20
#: Bytes of arrays that orbax may write and read together, which takes as many again; the largest are left to ``large_arrays``.
TOGETHER = 2**26


def alone() -> ocp.options.MultiprocessingOptions:
    """Orbax within this process: of several, one writes, and each reads for itself."""
    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    me = jax.process_index()
    return ocp.options.MultiprocessingOptions(primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"process_{me}")


def file_digests(folder: Path) -> dict[str, str]:
    def digest(name: str) -> str:
        with open(folder / name, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(FOREIGN))
    names = sorted(path.relative_to(folder).as_posix() for path in files)
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(names, pool.map(digest, names), strict=True))


def largest(flat: dict[str, Any]) -> list[str]:
    """Names of the largest arrays: those beyond the first ``TOGETHER`` bytes, counted from the smallest array on."""
    names = sorted(flat, key=lambda name: flat[name].nbytes)
    ends = itertools.accumulate(flat[name].nbytes for name in names)
    return sorted(name for name, end in zip(names, ends, strict=True) if end > TOGETHER)


def place(path: Path, name: str) -> Path:
    """The folder of a large array: its name begins with its number, so that what is cut off does not matter."""
    return path / "large" / re.sub(r"\W+", "_", name).strip("_")[:100]


def write(path: Path, flat: dict[str, Any]) -> None:
    """Write all arrays; a full disk is an ``OSError``, as everywhere else, and not a ``ValueError`` out of several threads."""
    large = largest(flat)
    small = {name: leaf for name, leaf in flat.items() if name not in large}
    if jax.process_count() > 1:  # orbax would ask every process for its part
        small = {name: on_host(leaf) for name, leaf in small.items()}
    if jax.process_index():  # hands over what the writing process has not
        for name in large:
            large_arrays.write(None, flat[name])
        return

    def failed(code: int) -> OSError:
        size = human_bytes(sum(leaf.nbytes for leaf in flat.values()))
        return OSError(code, f"{os.strerror(code)}; a checkpoint takes up to {size}", str(path))

    # How far the large ones can be compressed is only known once it is done.
    if shutil.disk_usage(path.parent.parent).free < sum(leaf.nbytes for leaf in small.values()) + SPARE:
        raise failed(errno.ENOSPC)
    # What goes wrong in orbax's threads is raised here as well; they need not print it too.
    loggers, hooks = [logging.getLogger(name) for name in ("absl", "asyncio")], (threading.excepthook, sys.excepthook)
    threading.excepthook, sys.excepthook = lambda _: None, lambda *_: None
    for logger in loggers:
        logger.disabled = True
    try:
        if small:  # orbax refuses to write nothing
            with ocp.StandardCheckpointer(multiprocessing_options=alone()) as writer:
                writer.save(path, small)
        for name in large:
            large_arrays.write(place(path, name), flat[name])
    except ValueError as error:
        code = re.search(r"\[os_error_code='(\d+)'\]", str(error))
        if code is None:
            raise
        for part in path.parent.glob(f"{path.name}*"):
            shutil.rmtree(part, ignore_errors=True)
        raise failed(int(code[1])) from error
    finally:
        threading.excepthook, sys.excepthook = hooks
        for logger in loggers:
            logger.disabled = False


def remove(path: Path) -> None:
    """Delete a file or a folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
