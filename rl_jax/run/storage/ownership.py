"""Who may write a run folder: one process at a time, and only the folder that it began with.

Two locks, both gone with the process however it ends. ``.NAME.lock`` lies beside the folder, so that it outlives the folder's
deletion and renaming; ``.lock`` lies within, so that it goes along with a folder that is renamed.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rl_jax.errors import RLJaxError
from rl_jax.run.stopping import say
from rl_jax.run.storage.config import load

#: What a start leaves behind that ends before its first row.
UNBEGUN = {"config.json", "config.json.part", "metadata.json", "metadata.json.part", ".lock", "checkpoints", "manifests"}
#: Errors of a file system that has no locks.
LOCKLESS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)


class Busy(RLJaxError):
    """Another process writes the folder."""


@dataclass
class Owned:
    """A folder that no other process writes.

    Attributes:
        path: the folder, as the user spelled it.
        real_path: the same, absolute and without symbolic links; another spelling may lead elsewhere tomorrow.
        held: its locks.
        fresh: whether this process has made it.
    """

    path: Path
    real_path: Path
    held: contextlib.ExitStack
    fresh: bool = False
    _identity: tuple[int, int] | None = None

    def settle(self) -> None:
        """From here on the folder must stay what it is now."""
        self._identity = identity(self.real_path)

    def check(self) -> None:
        """Raise unless the folder is still there, and the same.

        Raises:
            RLJaxError: it was removed, renamed or replaced; nothing is written any more.
        """
        if self._identity is None or (identity(self.real_path) == self._identity and (self.real_path / "config.json").exists()):
            return
        if self.real_path.is_dir() and set(os.listdir(self.real_path)) <= {"checkpoints", "manifests", ".lock"}:
            shutil.rmtree(self.real_path, ignore_errors=True)  # written by this process while the folder was being removed
        raise RLJaxError(
            f"{self.path} was removed, renamed or replaced while this run was writing it: the run ends, and nothing "
            f"was made anew; if it was renamed, continue with --resume and its new name"
        )


def identity(folder: Path) -> tuple[int, int] | None:
    """What stays the same when a folder is renamed, and differs when another takes its place; None where there is none."""
    try:
        found = os.stat(folder)
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def own(path: str | os.PathLike[str]) -> Iterator[Owned]:
    """Be the only writer of a folder, from before it is made, resumed or deleted until the end.

    Any command that writes a folder takes this first. It makes nothing but the lock, and the folder's parents.

    Raises:
        Busy: another process has it.
        RLJaxError: its parent cannot be written, and it is not there either; or it has no parent.
    """
    path = Path(path)
    real_path = _resolved(path)
    if not real_path.name:
        raise RLJaxError(f"{path} is the root of the file system: name a folder within it with --out")
    with contextlib.ExitStack() as held:
        try:
            real_path.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(_locked(_aside(real_path, "lock"), path))
        except OSError as error:
            if not real_path.is_dir() or error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise _unwritable(path, error) from None  # else nobody can delete or rename it: the lock within is enough
        if (real_path / "config.json").exists():
            try:
                held.enter_context(_locked(real_path / ".lock", path))
            except OSError as error:
                raise _unwritable(path, error) from None
        shutil.rmtree(_aside(real_path, "replaced"), ignore_errors=True)  # a deletion that a kill cut off
        owned = Owned(path, real_path, held)
        owned.settle()
        yield owned


def _unwritable(path: Path, error: OSError) -> RLJaxError:
    return RLJaxError(f"cannot write to {path} ({error.strerror}): choose another --out")


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, a circle of links, a null byte
        raise RLJaxError(f"cannot write to {path} ({getattr(error, 'strerror', error)}): choose another --out") from None


def _aside(folder: Path, suffix: str) -> Path:
    """A hidden name beside a folder."""
    name = folder.name if len(folder.name.encode()) < 200 else hashlib.sha256(folder.name.encode()).hexdigest()
    return folder.with_name(f".{name}.{suffix}")


@contextmanager
def _locked(file: Path, path: Path) -> Iterator[None]:
    """Hold the lock on a file that is removed at the end; it is the name that counts, so it is looked at once more."""
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in LOCKLESS:
                os.close(descriptor)
                raise Busy(f"another process is writing {path}: wait for its end, or stop it") from None
            say(f"rl-jax: warning: the file system of {path} has no locks: see to it that no other process writes there")
        found = os.fstat(descriptor)
        mine = found.st_dev, found.st_ino
        if identity(file) == mine:
            break
        os.close(descriptor)  # its last holder has just removed it
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if identity(file) == mine:
                file.unlink()
        os.close(descriptor)


def make(owned: Owned, overwrite: bool) -> None:
    """Make an owned folder, empty, or refuse. What a start has left that never came to a checkpoint is no obstacle.

    Raises:
        RLJaxError: it exists and holds something, or it cannot be written.
    """
    real_path, path = owned.real_path, owned.path
    if real_path.exists() and (not real_path.is_dir() or set(os.listdir(real_path)) - {".lock"}):
        if not overwrite and not unbegun(real_path):
            raise RLJaxError(
                f"{path} exists already: add --overwrite to delete it, --resume {path} to continue it, or another --out"
            )
        try:
            load(real_path / "config.json")
        except RLJaxError:
            raise RLJaxError(f"{path} is no run folder, so --overwrite will not delete it: choose another --out") from None
        if inner := sorted(real_path.glob("*/config.json")):
            raise RLJaxError(f"{path} holds another run, {inner[0].parent}, so --overwrite will not delete it: move that away")
        if Path.cwd().resolve().is_relative_to(real_path):
            raise RLJaxError(f"cannot replace {path}, as it is the working directory: go up with cd first")
        try:
            real_path.rename(_aside(real_path, "replaced"))
        except OSError as error:
            raise RLJaxError(f"cannot replace {path} ({error.strerror}): choose another --out") from None
        shutil.rmtree(_aside(real_path, "replaced"), ignore_errors=True)
    try:
        real_path.mkdir(exist_ok=True)
        owned.held.enter_context(_locked(real_path / ".lock", path))
    except OSError as error:
        raise _unwritable(path, error) from None
    owned.fresh = True
    owned.settle()


def unbegun(folder: Path) -> bool:
    """Whether a folder is a run's in which nothing was trained: there is its configuration, perhaps its first state, and no row."""
    names = set(os.listdir(folder))
    saved = {path.stem for path in (folder / "manifests").glob("*.json")} | {
        path.name for path in (folder / "checkpoints").glob("*")
    }
    return "config.json" in names and names <= UNBEGUN and not any(name.isdigit() and name != "0" for name in saved)


def leave(owned: Owned) -> str:
    """Before an end by a signal: take back a folder that this process has made if nothing was trained in it, and the locks' files.

    Returns:
        How to continue, if there is something.
    """
    begun = identity(owned.real_path) is not None and not unbegun(owned.real_path)
    if owned.fresh and not begun:
        shutil.rmtree(owned.real_path, ignore_errors=True)
    for file in (owned.real_path / ".lock", _aside(owned.real_path, "lock")):
        with contextlib.suppress(OSError):
            file.unlink()
    return f"continue with --resume {owned.path}" if begun else ""


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
def unreplaced(folder: Path, before: tuple[int, int] | None) -> Iterator[None]:
    """Around reading a folder, whose :func:`identity` was ``before``: what is read is of one run.

    Raises:
        RLJaxError: the folder was replaced, removed or renamed meanwhile.
    """
    replaced = RLJaxError(f"{folder} was removed, renamed or replaced while it was read: repeat the command")
    try:
        yield
    except (RLJaxError, OSError):
        if identity(folder) != before:
            raise replaced from None
        raise
    if identity(folder) != before:
        raise replaced
