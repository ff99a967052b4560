"""What long work has found so far, kept on disk piece by piece, so that the same command goes on after an interruption."""

import hashlib
import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import jax

import rl_jax
from rl_jax.run.storage.config import write_json
from rl_jax.run.storage.metadata import device_text


@cache
def sources_digest() -> str:
    """SHA-256 over this library's source files: what they compute may differ as soon as one does."""
    total, root = hashlib.sha256(), Path(rl_jax.__file__).parent
    for path in sorted(root.rglob("*.py")):
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


class PartialResults:
    """Pieces of a result, each a file of JSON that says what it was made from.

    Args:
        folder: where they lie; made when the first is kept.
        made_from: all else that decides a piece: the work's own settings. The library's sources, jax's version and the device
            count besides.
    """

    def __init__(self, folder: Path, made_from: dict[str, Any]):
        self._folder = folder
        about = {"sources": sources_digest(), "jax": jax.__version__, "device": device_text(), **made_from}
        self._made_from = json.loads(json.dumps(about))

    def _path(self, name: str) -> Path:
        # Names may differ in what a file's name cannot hold.
        return (
            self._folder / f"{re.sub(r'[^A-Za-z0-9.]+', '-', name)[:60]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}.json"
        )

    def find(self, name: str) -> Any | None:
        """A piece that was kept, if it was made from the same; ``None`` otherwise."""
        try:
            content = json.loads(self._path(name).read_text())
            return content["piece"] if content["made_from"] == self._made_from else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, name: str, piece: Any) -> None:
        """Write a piece, whole or not at all; numbers come back to the bit."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_json(self._path(name), {"made_from": self._made_from, "piece": piece})

    def forget(self, names: Iterable[str]) -> None:
        """Delete pieces."""
        for name in names:
            self._path(name).unlink(missing_ok=True)
