"""Who may write a run folder: it is made, kept to one process, and never deleted by mistake."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rl_jax.errors import RLJaxError
from rl_jax.run.config import load


def prepare_folder(folder: Path, overwrite: bool) -> None:
    """Make an empty run folder, or refuse.

    Raises:
        RLJaxError: it exists and holds something, or it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not overwrite:
            raise RLJaxError(
                f"{folder} exists already: add --overwrite to delete it, --resume {folder} to continue it, or another --out"
            )
        try:
            load(folder / "config.json")
        except RLJaxError:
            raise RLJaxError(f"{folder} is no run folder, so --overwrite will not delete it: choose another --out") from None
        shutil.rmtree(folder.resolve())
    check_writable(folder)


def check_writable(folder: Path) -> None:
    """Raise a clear error unless files can be made in ``folder`` (created if absent)."""
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise RLJaxError(f"cannot write to {folder} ({error.strerror}): choose another --out") from None


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Two processes must not write one run; the lock goes with the process, however it ends."""
    with open(folder / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RLJaxError(f"another process is writing {folder}: wait for its end, or stop it") from None
        except OSError:
            pass  # a file system without locks
        yield
