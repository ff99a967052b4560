"""Checkpoints: the whole training state, written by orbax, with a manifest, so that each one is either complete or ignored.

A checkpoint is the folder ``checkpoints/<steps>`` (orbax's own format, with the largest arrays beside it in ``large/``) and
``manifests/<steps>.json``, which is written last and atomically. It holds the checksum of every file and names the run. A folder
without a manifest was cut off by a kill and does not count; a file that does not match is noticed before anything is read from it.
Where the newest or best checkpoint is asked for, damaged ones are skipped with a warning.
"""

import math
import os
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from rl_jax.argument_checks import check_argument
from rl_jax.errors import RLJaxError
from rl_jax.run.devices.placement import put
from rl_jax.run.devices.tree_io import describe, flatten, key_to_words, words_to_key
from rl_jax.run.stopping import say
from rl_jax.run.storage import checkpoint_files as files
from rl_jax.run.storage import large_arrays
from rl_jax.run.storage.manifests import Damaged, Manifests, step_of
from rl_jax.run.storage.provenance import Provenance
from rl_jax.types import PyTree
from rl_jax.values import Range, short


class Checkpoints:
    """The checkpoints of one run folder, named by environment steps.

    Three kinds are kept: the newest ``keep`` of the evaluation schedule, the best, and the last two that were saved by time since
    the newest scheduled one.

    Args:
        run: the run folder.
        keep: number of newest scheduled checkpoints to keep, besides the one with the highest score.
        provenance: of the run: written into each manifest, and compared with each that is read. ``None``: not compared.
    """

    def __init__(self, run: str | os.PathLike[str], keep: int = 3, provenance: Provenance | None = None):
        root = Path(run).resolve()
        self._folder, self._manifests, self._keep = root / "checkpoints", Manifests(root / "manifests"), keep
        self._provenance, self._warned = provenance, set[str]()

    def path(self, step: int) -> Path:
        """The folder of the checkpoint of ``step`` environment steps."""
        return self._folder / str(step)

    def steps(self) -> list[int]:
        """Environment steps of the checkpoints, ascending."""
        return self._manifests.steps()

    def best(self) -> int | None:
        """The step of the checkpoint with the highest score, the newest of equals; ``None`` if none has a score."""
        return next(iter(self.by_score()), None)

    def by_score(self) -> list[int]:
        """Steps of all checkpoints that have a score, the best first. Those with a damaged manifest are left out."""
        manifests = self._manifests.readable().items()
        scores = {step: manifest["score"] for step, manifest in manifests if manifest["score"] is not None}
        return sorted(scores, key=lambda step: (scores[step], step), reverse=True)

    def save(self, step: int, state: PyTree, score: float | None = None, scheduled: bool = True) -> None:
        """Write a checkpoint and delete older ones beyond ``keep``. When this returns, the checkpoint is complete on the disk.

        All processes call this, and the first one writes. The run folder must exist. A score that is NaN counts as none.

        Raises:
            RLJaxError: ``step`` is no number of steps, ``score`` no number, or the state holds what no checkpoint can keep.
        """
        check_argument("a checkpoint's step", step, Annotated[int, Range(0, 10**18 - 1)])
        step, score = int(step), _finite_or_none(score)
        flat = {name: key_to_words(leaf) for name, leaf in flatten(state).items()}
        full = {name: leaf for name, leaf in flat.items() if leaf.size}  # orbax refuses empty ones
        if jax.process_index() == 0:
            self._manifests.folder.mkdir(exist_ok=True)
            files.remove(self.path(step))
        files.write(self.path(step), full)
        if jax.process_index():
            return
        digests = files.file_digests(self.path(step))
        manifest = {"score": score, "scheduled": scheduled, "files": digests, "arrays": describe(flat)}
        manifest |= {"versions": {name: version(name) for name in ("rl_jax", "jax")}}  # for readers; they are not compared
        manifest |= {"large": files.largest(full)} | (self._provenance.seal(step) if self._provenance else {})
        self._manifests.write(step, manifest)
        self._delete_old()

    def _delete_old(self) -> None:
        """Delete old checkpoints and those without a manifest; manifests first, so that none is left without its files."""
        steps, readable = self.steps(), self._manifests.readable()
        scheduled = [step for step, manifest in readable.items() if manifest.get("scheduled", True)]
        between = [step for step in readable if step not in scheduled and step > max(scheduled, default=-1)]
        keep = {*scheduled[-self._keep :], *between[-2:], self.best()}
        keep |= {step for step in steps if step not in readable and step > min(scheduled[-self._keep :], default=-1)}
        for step in set(steps) - keep:
            self._manifests.forget(step)
        for path in self._folder.iterdir():
            own = step_of(path.name.partition(".orbax-checkpoint-tmp")[0]) is not None  # files of others stay
            if own and path.name not in map(str, keep):
                files.remove(path)

    def discard_after(self, step: int) -> None:
        """Delete all checkpoints after ``step``: the run will write them again."""
        for later in self.steps():
            if later > step:
                self._manifests.forget(later)
        for path in self._folder.glob("*"):
            if (step_of(path.name) or 0) > step:
                files.remove(path)

    def check(self, step: int) -> dict[str, Any]:
        """The manifest of a checkpoint, after checking it and all files against their checksums, and the run against its own.

        Raises:
            Damaged: a file or the manifest is missing or does not match its checksum.
            Mismatch: the checkpoint is of another run or another step.
        """
        manifest = self._checked_manifest(step)
        # Compared before orbax reads: its errors come from many threads at once.
        try:
            digests = files.file_digests(self.path(step))
        except OSError as error:
            raise self._damaged(step, f"its files cannot be read: {error.strerror}") from None
        # A piece that was all zeros has no file.
        extra = [name for name in digests if name not in manifest["files"] and name.startswith("large/")]
        if extra or any(digests.get(name) != digest for name, digest in manifest["files"].items()):
            raise self._damaged(step, "its files do not match their checksums")
        return manifest

    def _checked_manifest(self, step: int, quiet: bool = False) -> dict[str, Any]:
        try:
            manifest = self._manifests.read(step)
        except Damaged as error:
            raise self._damaged(step, str(error)) from None
        if self._provenance:
            unknown = self._provenance.check(step, manifest, f"checkpoint {self.path(step)}")
            if unknown and not quiet:
                self._warn(unknown)
        return manifest

    def check_newest(self) -> None:
        """Compare the newest readable manifest with the run's configuration.

        Raises:
            Mismatch: with the fields that differ.
        """
        for step in reversed(self.steps()):
            try:
                self._checked_manifest(step, quiet=True)
                return
            except Damaged:
                continue

    def first_whole(self, order: Iterable[int] | None = None) -> int | None:
        """The first undamaged checkpoint in an order of preference (default: newest first); skipped ones give a warning.

        Raises:
            Mismatch: one is of another run or another step.
        """
        skipped: list[str] = []
        for step in list(reversed(self.steps()) if order is None else order):
            try:
                self.check(step)
            except Damaged as error:
                skipped.append(str(error).partition("; ")[0])
                continue
            if skipped:
                more_text = f" and {len(skipped) - 1} more" if len(skipped) > 1 else ""
                self._warn(f"{skipped[0]}{more_text}: that of step {step} is taken")
            return step
        return None

    def _warn(self, text: str) -> None:
        if text not in self._warned and jax.process_index() == 0:
            say(f"rl-jax: warning: {text}")
        self._warned.add(text)

    def restore(self, step: int, like: PyTree, checked: bool = False) -> PyTree:
        """Read a checkpoint into the structure of ``like``, which may be shapes.

        Args:
            step: of the checkpoint.
            like: training states; the result has their shardings.
            checked: whether :meth:`check` was called before, so that its checksums are not computed again.

        Raises:
            RLJaxError: it is missing, damaged, of another program or run, or was deleted while it was read.
        """
        try:
            return self._restore(step, like, checked)
        except RLJaxError:
            raise
        except Exception as error:  # whatever orbax raises when files go
            if step in self.steps():
                raise
            raise Damaged(
                f"checkpoint {self.path(step)} was deleted while it was read, as by its run, which goes on: repeat the command"
            ) from error

    def _restore(self, step: int, like: PyTree, checked: bool) -> PyTree:
        if step not in self.steps():
            existing = ", ".join(str(each) for each in self.steps()) or "none"
            raise RLJaxError(f"{self._folder.parent} has no checkpoint {step}; it has: {existing}")
        manifest = self._checked_manifest(step) if checked else self.check(step)
        local_device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        words = flatten(jax.eval_shape(lambda tree: jax.tree.map(key_to_words, tree), like))
        flat = {name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=local_device) for name, leaf in words.items()}
        shardings = {name: getattr(leaf, "sharding", None) or local_device for name, leaf in flatten(like).items()}
        if manifest["arrays"] != describe(flat):
            raise RLJaxError(
                f"checkpoint {self.path(step)} belongs to another program (its arrays have other names or shapes): "
                f"use the configuration and the version of rl_jax that wrote it"
            )
        large = manifest.get("large", [])  # missing in manifests of the first versions
        small = {name: leaf for name, leaf in flat.items() if leaf.size and name not in large}
        restored = {name: jnp.zeros(leaf.shape, leaf.dtype) for name, leaf in flat.items() if not leaf.size}
        if small:
            with ocp.StandardCheckpointer(multiprocessing_options=files.alone()) as reader:
                restored |= reader.restore(self.path(step), small)
        for name in restored:
            if isinstance(shardings[name], jax.sharding.NamedSharding):
                restored[name] = put(restored[name], shardings[name])
        for name in large:
            restored[name] = large_arrays.read(files.place(self.path(step), name), flat[name], shardings[name])
        leaves, structure = jax.tree.flatten(like)
        values = zip((restored[name] for name in flat), leaves, strict=True)
        return jax.tree.unflatten(structure, [words_to_key(value, leaf) for value, leaf in values])

    def _damaged(self, step: int, cause: str) -> Damaged:
        other_steps = ", ".join(str(each) for each in self.steps() if each != step)
        fix = f"the others are {other_steps}" if other_steps else "there is no other one"
        return Damaged(f"checkpoint {self.path(step)} is damaged ({cause}); {fix}")


def _finite_or_none(score: Any) -> float | None:
    """A score as a number of JSON; ``None`` for NaN."""
    try:
        number = math.nan if score is None else float(score)
    except (TypeError, ValueError):
        raise RLJaxError(f"a checkpoint's score must be a number or None, not {short(score)}") from None
    return None if math.isnan(number) else number
