"""The metrics of a run on disk: a file of JSON lines that survives a kill.

A row is a flat dictionary: ``steps`` (environment steps so far), ``seed``, ``wall`` (seconds), and named numbers such
as ``episode/return``. The file is the record; loggers (:mod:`rl_jax.run.loggers`) are copies of it.
"""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from rl_jax.errors import RLJaxError

Row = dict[str, Any]


class Logger(Protocol):
    """Something that rows are copied to while a run goes on."""

    def log(self, rows: Sequence[Row]) -> None: ...

    def close(self) -> None: ...


class MetricsFile:
    """Rows of a run, one JSON object per line, in the order in which they were measured.

    Strict JSON has no NaN and no infinity: both are written as ``null`` and read back as NaN ("no episode has finished
    yet" is the usual reason).
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self._begun = False

    def log(self, rows: Sequence[Row]) -> None:
        """Add rows at the end; when this returns they are on the disk. A line half-written by a kill goes first."""
        text = "".join(_line(row) for row in rows)
        if not self._begun:  # later on, a folder that is gone stays gone
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._begun = True
        created = not self.path.exists()
        with open(self.path, "ab+") as file:
            size = file.seek(0, os.SEEK_END)
            if size and _byte(file, size - 1) != b"\n":
                file.seek(0)
                _, end = _parse(file.read(), self.path)
                file.truncate(end)
                # A whole row that lost only its line end is kept: nothing remains of a half-written one but line ends.
                if end and _byte(file, end - 1) != b"\n":
                    text = "\n" + text
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        if created:
            _sync_folder(self.path.parent)

    def close(self) -> None:
        """Nothing is open between two calls."""

    def truncate_after(self, steps: int) -> list[int]:
        """Forget rows beyond ``steps``, as a run resumed from a checkpoint at ``steps`` will measure them again.

        So will they be of the failure of a run at ``steps`` itself: it came in the train step after them. Rows without ``steps``
        stay; lines that cannot be read go.

        Returns:
            ``steps`` of each row of measurements that is left and has them.
        """
        self._begun = True
        if not self.path.exists():
            return []
        rows = _parse(self.path.read_bytes(), self.path, strict=False)[0]
        kept = [
            row for row in rows if "steps" not in row or row["steps"] < steps or (row["steps"] == steps and "failed" not in row)
        ]
        self.replace(kept)
        return [row["steps"] for row in kept if "steps" in row and "failed" not in row]

    def replace(self, rows: Sequence[Row]) -> None:
        """Write the file anew, in one piece: a kill leaves either the old or the new one."""
        temporary = self.path.with_name(f"{self.path.name}.tmp")
        with open(temporary, "wb") as file:
            file.write("".join(_line(row) for row in rows).encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.path)
        _sync_folder(self.path.parent)

    def read(self) -> list[Row]:
        """All rows; see :func:`read`."""
        return read(self.path)

    def rows(self) -> list[Row]:
        """All rows; none if there is no file, as before the first row."""
        return self.read() if self.path.exists() else []


def read(path: str | os.PathLike[str]) -> list[Row]:
    """The rows of a metrics file, ``null`` as NaN; a half-written last line is left out.

    Raises:
        RLJaxError: if the file is missing or a line before the last is not a JSON object.
    """
    path = Path(path)
    try:
        return _parse(path.read_bytes(), path)[0]
    except FileNotFoundError:
        raise RLJaxError(f"there is no metrics file at {path}: give the folder of a run that has started") from None


def _line(row: Row) -> str:
    return json.dumps({name: plain(value) for name, value in row.items()}, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """A JSON value: scalars of any array library as Python numbers, what is not finite as ``None``."""
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _parse(content: bytes, path: Path, strict: bool = True) -> tuple[list[Row], int]:
    """Rows, and the byte at which the last whole one ends (a half-written one begins there); unless ``strict``, only what is one."""
    rows: list[Row] = []
    position = end = 0
    lines = content.splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        position += len(line)
        if line.strip():
            try:
                row = json.loads(line)
                row = {name: math.nan if value is None else value for name, value in row.items()}
                if not isinstance(row.get("steps", 0), int | float):
                    raise ValueError
                rows.append(row)
            except (ValueError, AttributeError, RecursionError):
                if not strict:
                    continue
                if number == len(lines) and not line.endswith(b"\n"):
                    break  # the process was killed while writing it
                raise RLJaxError(f"{path}, line {number} is not a JSON object: delete that line") from None
        end = position
    return rows, end


def _byte(file: Any, position: int) -> bytes:
    file.seek(position)
    return bytes(file.read(1))


def _sync_folder(folder: Path) -> None:
    """Make a new name in ``folder`` durable (POSIX keeps names apart from contents)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
