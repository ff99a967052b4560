"""The metrics of a run on disk: a file of JSON lines that survives a kill.

A row is a flat dictionary: ``steps`` (environment steps so far), ``seed``, ``wall`` (seconds), and named numbers such
as ``episode/return``. The file is the record; loggers (:mod:`rl_jax.run.report.loggers`) are copies of it.
"""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from rl_jax.errors import RLJaxError
from rl_jax.run.stopping import say
from rl_jax.values import short

Row = dict[str, Any]
#: What a row cannot be placed without.
WHERE = ("steps", "run", "seed")


class Logger(Protocol):
    """Something that rows are copied to while a run goes on."""

    def log(self, rows: Sequence[Row]) -> None: ...

    def close(self) -> None: ...


class MetricsFile:
    """Rows of a run, one JSON object per line, in the order in which they were measured.

    Strict JSON has no NaN and no infinity: both are written as ``null`` and read back as NaN ("no episode has finished
    yet" is the usual reason). A row that is none of a run's, as after a damage of the disk, is left out, and said.

    Args:
        path: of the file; it need not be there yet.
        labels: what tells the runs of the folder apart: rows of others are none of theirs. None: not known.
    """

    def __init__(self, path: str | os.PathLike[str], labels: Sequence[Row] | None = None):
        self.path, self._labels = Path(path), labels
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
                end = _parse(file.read(), self.path).end
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
        rows = _parse(self.path.read_bytes(), self.path, self._labels, strict=False).said(self.path)
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
        return read(self.path, self._labels)

    def rows(self) -> list[Row]:
        """All that are rows; none if there is no file, as before the first one. What cannot be read is left out like other damage."""
        if not self.path.exists():
            return []
        return _parse(self.path.read_bytes(), self.path, self._labels, strict=False).said(self.path)


def read(path: str | os.PathLike[str], labels: Sequence[Row] | None = None) -> list[Row]:
    """The rows of a metrics file, ``null`` as NaN; a half-written last line is left out.

    Args:
        path, labels: as of :class:`MetricsFile`.

    Raises:
        RLJaxError: if the file is missing or a line before the last is not a JSON object.
    """
    path = Path(path)
    try:
        return _parse(path.read_bytes(), path, labels).said(path)
    except FileNotFoundError:
        raise RLJaxError(f"there is no metrics file at {path}: give the folder of a run that has started") from None


def _line(row: Row) -> str:
    return json.dumps({name: plain(value) for name, value in row.items()}, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """A JSON value: scalars of any array library as Python numbers, what is not finite as ``None``."""
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _Parsed(NamedTuple):
    """A file's rows, the byte at which the last whole one ends (a half-written one begins there), and the lines left out."""

    rows: list[Row]
    end: int
    faults: list[str]

    def said(self, path: Path) -> list[Row]:
        """The rows, once it is said which lines were left out."""
        if self.faults:
            more = f" and {len(self.faults) - 1} more" if len(self.faults) > 1 else ""
            say(f"rl-jax: warning: {path}, {self.faults[0]}{more}: left out")
        return self.rows


def _parse(content: bytes, path: Path, labels: Sequence[Row] | None = None, strict: bool = True) -> _Parsed:
    """The rows in ``content``; unless ``strict``, lines that are no JSON are left out like other damaged ones."""
    rows: list[Row] = []
    faults: list[str] = []
    known = None if labels is None else {whose(label): label for label in labels}
    position = end = 0
    lines = content.splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        position += len(line)
        if line.strip():
            try:
                row = dict(json.loads(line).items())
                if fault := _fault(row, known):
                    faults.append(f"line {number} ({fault})")
                else:
                    rows.append({name: math.nan if value is None else value for name, value in row.items()})
            except (ValueError, AttributeError, RecursionError):
                if number == len(lines) and not line.endswith(b"\n"):
                    break  # the process was killed while writing it
                if strict:
                    raise RLJaxError(f"{path}, line {number} is not a JSON object: delete that line") from None
                faults.append(f"line {number} (not a JSON object)")
        end = position
    return _Parsed(rows, end, faults)


def whose(row: Row) -> tuple[Any, Any]:
    """Which run of a folder a row is of: its number, as the seeds of a sweep's settings are the same, and its seed."""
    return row.get("run"), row.get("seed")


def _fault(row: Row, known: dict[tuple[Any, Any], Row] | None) -> str | None:
    """Why an object that was read is no row of a run, if it is none."""
    for name, value in row.items():
        if name == "failed":
            if not isinstance(value, str):
                return "failed is no reason"
        elif not _is_number(value) and (value is not None or name in WHERE):
            return f"{short(name, quoted=False)} is no number"
    if row.get("steps", 0) < 0:
        return "steps is below zero"
    if "failed" in row and not {"steps", "seed"} <= row.keys():
        return "it does not say which run failed, and when"
    label = None if known is None else known.get(whose(row))
    if known is not None and "steps" in row and (label is None or not label.items() <= row.items()):
        return "it is of no run of this folder"
    return None


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, int | float) and math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


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
