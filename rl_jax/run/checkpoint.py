"""Checkpoints: the whole training state, written by orbax, with a manifest that makes each one whole or nothing.

A checkpoint is the folder ``checkpoints/<steps>`` (orbax's own format, with the largest arrays beside it in ``large/``) and
``manifests/<steps>.json``, which is written last, under its final name at once, and holds the checksum of every file. A folder
without a manifest was cut off by a kill and does not count; a file that does not match is reported before anything is read
from it.
"""

import errno
import hashlib
import itertools
import json
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
import jax.numpy as jnp
import orbax.checkpoint as ocp

from rl_jax.errors import RLJaxError
from rl_jax.run import large_arrays
from rl_jax.run.devices import on_host, put
from rl_jax.run.leaves import describe, flatten, plain, unplain
from rl_jax.run.memory import human_bytes
from rl_jax.types import PyTree

# Orbax logs every save; people get our one line where something matters.
logging.getLogger("absl").setLevel(logging.ERROR)

#: Bytes that must be free on the disk besides a checkpoint's arrays, for all that describes them.
SPARE = 2**20
#: Bytes of arrays that orbax may write and read together, which takes as many again; the largest are left to ``large_arrays``.
TOGETHER = 2**26


def _alone() -> ocp.options.MultiprocessingOptions:
    """Orbax within this process: of several, one writes, and each reads for itself."""
    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    me = jax.process_index()
    return ocp.options.MultiprocessingOptions(primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"process_{me}")


def _file_digests(folder: Path) -> dict[str, str]:
    def of(name: str) -> str:
        with open(folder / name, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(names, pool.map(of, names), strict=True))


def _large(flat: dict[str, Any]) -> list[str]:
    """Names of the largest arrays: those beyond the first ``TOGETHER`` bytes, counted from the smallest array on."""
    names = sorted(flat, key=lambda name: flat[name].nbytes)
    ends = itertools.accumulate(flat[name].nbytes for name in names)
    return sorted(name for name, end in zip(names, ends, strict=True) if end > TOGETHER)


def _place(path: Path, name: str) -> Path:
    """The folder of a large array: its name begins with its number, so that what is cut off does not matter."""
    return path / "large" / re.sub(r"\W+", "_", name).strip("_")[:100]


def _write(path: Path, flat: dict[str, Any]) -> None:
    """Write all arrays; a full disk is an ``OSError``, as everywhere else, and not a ``ValueError`` out of several threads."""
    large = _large(flat)
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
            with ocp.StandardCheckpointer(multiprocessing_options=_alone()) as writer:
                writer.save(path, small)
        for name in large:
            large_arrays.write(_place(path, name), flat[name])
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


class Checkpoints:
    """The checkpoints of one run folder, named by environment steps; the newest ``keep`` and the best are kept.

    Args:
        run: the run folder.
        keep: number of newest checkpoints to keep, besides the one with the highest score.
    """

    def __init__(self, run: Path, keep: int = 3):
        self._folder, self._manifests, self._keep = run.resolve() / "checkpoints", run.resolve() / "manifests", keep

    def path(self, step: int) -> Path:
        """The folder of a checkpoint."""
        return self._folder / str(step)

    def steps(self) -> list[int]:
        """Environment steps of the whole checkpoints, ascending."""
        return sorted(int(path.stem) for path in self._manifests.glob("*.json") if path.stem.isdigit())

    def best(self) -> int | None:
        """The checkpoint with the highest score; the newest of equals."""
        scores = {step: self._manifest(step)["score"] for step in self.steps()}
        scored = [step for step, score in scores.items() if score is not None]
        return max(scored, key=lambda step: (scores[step], step)) if scored else None

    def _manifest(self, step: int) -> dict[str, Any]:
        try:
            manifest = json.loads((self._manifests / f"{step}.json").read_text())
            manifest["files"], manifest["arrays"], manifest["score"]
            return manifest
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._damaged(step, f"its manifest cannot be read: {error}") from None

    def save(self, step: int, state: PyTree, score: float | None = None) -> None:
        """Write a checkpoint; when this returns it is whole on the disk, and older ones beyond ``keep`` are gone.

        Of several processes, all call this and the first one writes.
        """
        flat = {name: plain(leaf) for name, leaf in flatten(state).items()}
        full = {name: leaf for name, leaf in flat.items() if leaf.size}  # orbax refuses empty ones
        if jax.process_index() == 0:
            self._manifests.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(self.path(step), ignore_errors=True)
        _write(self.path(step), full)
        if jax.process_index():
            return
        files = _file_digests(self.path(step))
        about = {"score": score, "files": files, "arrays": describe(flat), "large": _large(full)}
        temporary = self._manifests / f"{step}.part"
        with open(temporary, "w") as file:
            json.dump(about, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._manifests / f"{step}.json")
        self._forget()

    def _forget(self) -> None:
        """Delete what is neither new nor best, and what a kill cut off; manifests first, so that none outlives its files."""
        steps = self.steps()
        kept = {*steps[-self._keep :], self.best()}
        for step in set(steps) - kept:
            (self._manifests / f"{step}.json").unlink()
        for path in self._folder.iterdir():
            if path.name not in {str(step) for step in kept}:
                shutil.rmtree(path, ignore_errors=True)

    def discard_after(self, step: int) -> None:
        """Forget checkpoints beyond ``step``: the run is about to make them again."""
        for later in self.steps():
            if later > step:
                (self._manifests / f"{later}.json").unlink()

    def restore(self, step: int, like: PyTree) -> PyTree:
        """Read a checkpoint into the structure of ``like`` (shapes suffice).

        Raises:
            RLJaxError: it is missing, belongs to another program, or is damaged.
        """
        if step not in self.steps():
            have = ", ".join(str(s) for s in self.steps()) or "none"
            raise RLJaxError(f"{self._folder.parent} has no checkpoint {step}; it has: {have}")
        manifest = self._manifest(step)
        here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        words = flatten(jax.eval_shape(lambda tree: jax.tree.map(plain, tree), like))
        flat = {name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here) for name, leaf in words.items()}
        places = {name: getattr(leaf, "sharding", None) or here for name, leaf in flatten(like).items()}
        if manifest["arrays"] != describe(flat):
            raise RLJaxError(
                f"checkpoint {self.path(step)} belongs to another program (its arrays have other names or shapes): "
                f"use the configuration and the version of rl_jax that wrote it"
            )
        # Compared before reading: orbax's own errors come from many threads at once.
        if _file_digests(self.path(step)) != manifest["files"]:
            raise self._damaged(step, "its files do not match their checksums")
        large = manifest.get("large", [])  # there were none in the first versions
        small = {name: leaf for name, leaf in flat.items() if leaf.size and name not in large}
        restored = {name: jnp.zeros(leaf.shape, leaf.dtype) for name, leaf in flat.items() if not leaf.size}
        if small:
            with ocp.StandardCheckpointer(multiprocessing_options=_alone()) as reader:
                restored |= reader.restore(self.path(step), small)
        for name in restored:
            if isinstance(places[name], jax.sharding.NamedSharding):
                restored[name] = put(restored[name], places[name])
        for name in large:
            restored[name] = large_arrays.read(_place(self.path(step), name), flat[name], places[name])
        leaves, structure = jax.tree.flatten(like)
        values = zip((restored[name] for name in flat), leaves, strict=True)
        return jax.tree.unflatten(structure, [unplain(v, leaf) for v, leaf in values])

    def _damaged(self, step: int, cause: str) -> RLJaxError:
        earlier = [other for other in self.steps() if other < step]
        manifest = self._manifests / f"{step}.json"
        fix = f"delete {manifest} to go back to {earlier[-1]}" if earlier else "there is no earlier one: start again"
        return RLJaxError(f"checkpoint {self.path(step)} is damaged ({cause}); {fix}")
