"""What went wrong, in one line: mistakes, full disks, missing devices, too little memory; all else is a defect."""

import contextlib
import errno
import os
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

from rl_jax.errors import RLJaxError

#: What a disk may refuse, and the way out.
DISK = {
    errno.ENOSPC: "make room and repeat, a run with --resume",
    errno.EDQUOT: "make room and repeat, a run with --resume",
    errno.EACCES: "correct its permissions, or choose another path",
    errno.EPERM: "correct its permissions, or choose another path",
    errno.EROFS: "choose another path",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.ENOTDIR: "a part of it is a file: choose another path",
    errno.EISDIR: "it is a folder: name a file",
    errno.ELOOP: "a link there leads to itself: choose another path",
    errno.EIO: "look after the disk",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ESTALE: "look after the network's file system",
}
#: What makes a command smaller.
SMALLER = {
    "evaluate": "fewer --episodes",
    "render": "fewer --max-steps",
    "bench": "--small",
    "reproduce": "--quick",
    "plot": "fewer runs",
}
#: Added to the traceback of anything else.
UNEXPECTED = (
    "rl-jax: this should not happen: a defect of rl_jax, of a library or of your environment. If it is not your own code, please "
    "report the lines above with the command."
)


def explanation(error: BaseException, command: str = "train") -> str | None:
    """One line that says what to do; ``None`` for what nobody foresaw."""
    if isinstance(error, RLJaxError):
        return str(error)
    if isinstance(error, MemoryError) or (type(error).__name__ == "JaxRuntimeError" and "RESOURCE_EXHAUSTED" in str(error)):
        asked = re.search(r"allocating ([\d.]+ ?\w+)", str(error))
        smaller = SMALLER.get(command, "fewer --num-envs, --seeds or a smaller network")
        return f"out of memory{f' (of {asked[1]} asked for)' if asked else ''}: use {smaller}"
    if isinstance(error, OSError) and error.errno in DISK:
        where = f" {error.filename}" if error.filename else " a file"
        return f"cannot read or write{where} ({error.strerror}): {DISK[error.errno]}"
    return no_device(error)


def no_device(error: BaseException) -> str | None:
    """A platform that was asked for and is not there; jax raises all kinds of errors for that, all from one file."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or not frames[-1].filename.endswith("xla_bridge.py"):
        return None
    asked = os.environ.get("JAX_PLATFORMS")
    why = f" for JAX_PLATFORMS={asked}" if asked else ""
    text = str(error).partition(" (set JAX_PLATFORMS")[0][:200]
    reason = f" ({text})" if text else ""
    gpu = ", or install jax for a GPU, such as pip install 'jax[cuda12]'"
    return f"jax finds no device{why}{reason}: set JAX_PLATFORMS=cpu to compute on the CPU{gpu}"


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Says which path it was that could not be written, where the operating system does not."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def line(text: str, most: int = 2000) -> str:
    """A text as one line of printable characters."""
    text = " ".join(text.split())
    text = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    text = re.sub(r"\S{400,}", lambda word: f"{word[0][:60]}... ({len(word[0])} characters)", text)
    return text if len(text) <= most else f"{text[: most - 3]}..."
