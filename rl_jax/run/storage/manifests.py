"""Manifests: one small file for each checkpoint, written last, which says what the checkpoint holds and whose it is."""

import json
import os
from pathlib import Path
from typing import Any

from rl_jax.errors import RLJaxError
from rl_jax.run.storage.provenance import Mismatch, digest_of

#: What a manifest of any version has.
ALWAYS = ("score", "files", "arrays")


class Damaged(RLJaxError):
    """A checkpoint or its manifest is not what was written."""


def step_of(name: str) -> int | None:
    """The environment steps that a name stands for, as this module writes them; None for a foreign name."""
    return int(name) if name.isascii() and name.isdigit() and len(name) < 19 and str(int(name)) == name else None


class Manifests:
    """The folder ``manifests`` of one run. Files in it that are not its own are left alone.

    Args:
        folder: the folder.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def path(self, step: int) -> Path:
        """The file of a checkpoint."""
        return self.folder / f"{step}.json"

    def steps(self) -> list[int]:
        """Environment steps of all checkpoints that have one, ascending; whether they are whole is not looked at."""
        named = ((step_of(path.stem), path) for path in self.folder.glob("*.json"))
        return sorted(step for step, path in named if step is not None and path.is_file())

    def read(self, step: int) -> dict[str, Any]:
        """One manifest.

        Raises:
            Damaged: it cannot be read, or is not what was written.
            Mismatch: it is that of another step.
        """
        path = self.path(step)
        try:
            content = json.loads(path.read_text())
            [content[name] for name in ALWAYS]
            files_are_texts = all(isinstance(value, str) for value in content["files"].values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Damaged(f"its manifest cannot be read: {error}") from None
        checksum = content.pop("sha256", None)
        if not files_are_texts or checksum not in (None, digest_of(content)) or (checksum is None and "step" in content):
            raise Damaged("its manifest does not match its own checksum")
        if content.get("step", step) != step:
            raise Mismatch(f"{path} is of step {content['step']}: put back the manifest and the checkpoint that were there")
        return content

    def readable(self) -> dict[int, dict[str, Any]]:
        """All manifests that can be read, by step."""
        found = {}
        for step in self.steps():
            try:
                found[step] = self.read(step)
            except (Damaged, Mismatch):
                continue
        return found

    def write(self, step: int, content: dict[str, Any]) -> None:
        """Write one under its final name at once."""
        content = {"step": step, **content}
        temporary = self.folder / f"{step}.part"
        with open(temporary, "w") as file:
            json.dump({**content, "sha256": digest_of(content)}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path(step))

    def forget(self, step: int) -> None:
        """Delete one; its checkpoint does not count any more."""
        self.path(step).unlink(missing_ok=True)
