"""Checkpoints: the whole training state, written by orbax, with a manifest that makes each one whole or nothing.

A checkpoint is the folder ``checkpoints/<steps>`` (orbax's own format, with the largest arrays beside it in ``large/``) and
``manifests/<steps>.json``, which is written last, under its final name at once, and holds the checksum of every file and whose the
checkpoint is. A folder without a manifest was cut off by a kill and does not count; a file that does not match is noticed before
anything is read from it. Every checkpoint but the one in use is optional: what is damaged is passed over, and said.
"""

import math
import os
import shutil
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from rl_jax.errors import RLJaxError
from rl_jax.given import check_given
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

    Kept are the newest ``keep`` of those that the evaluation schedule makes, the best, and, since the newest of those, the last
    two that were made because time had passed.

    Args:
        run: the run folder.
        keep: number of newest scheduled checkpoints to keep, besides the one with the highest score.
        provenance: whose they are; written with each and compared with each that is read. None: not known.
    """

    def __init__(self, run: str | os.PathLike[str], keep: int = 3, provenance: Provenance | None = None):
        root = Path(run).resolve()
        self._folder, self._manifests, self._keep = root / "checkpoints", Manifests(root / "manifests"), keep
        self._provenance, self._said = provenance, set[str]()

    def path(self, step: int) -> Path:
        """The folder of a checkpoint."""
        return self._folder / str(step)

    def steps(self) -> list[int]:
        """Environment steps of the checkpoints, ascending."""
        return self._manifests.steps()

    def best(self) -> int | None:
        """The checkpoint with the highest score; the newest of equals. Those whose manifest is damaged have none."""
        return next(iter(self.by_score()), None)

    def by_score(self) -> list[int]:
        """All that have a score, the best first."""
        scores = {step: about["score"] for step, about in self._manifests.readable().items() if about["score"] is not None}
        return sorted(scores, key=lambda step: (scores[step], step), reverse=True)

    def save(self, step: int, state: PyTree, score: float | None = None, scheduled: bool = True) -> None:
        """Write a checkpoint; when this returns it is whole on the disk, and older ones beyond ``keep`` are gone.

        Of several processes, all call this and the first one writes. The run folder must be there. A score that is NaN is none.

        Raises:
            RLJaxError: ``step`` is no number of steps, ``score`` no number, or the state holds what no checkpoint can keep.
        """
        check_given("a checkpoint's step", step, Annotated[int, Range(0, 10**18 - 1)])
        step, score = int(step), _number(score)
        flat = {name: key_to_words(leaf) for name, leaf in flatten(state).items()}
        full = {name: leaf for name, leaf in flat.items() if leaf.size}  # orbax refuses empty ones
        if jax.process_index() == 0:
            self._manifests.folder.mkdir(exist_ok=True)
            _remove(self.path(step))
        files.write(self.path(step), full)
        if jax.process_index():
            return
        about = {"score": score, "scheduled": scheduled, "files": files.file_digests(self.path(step)), "arrays": describe(flat)}
        about |= {"versions": {name: version(name) for name in ("rl_jax", "jax")}}  # for people: not compared
        about |= {"large": files.largest(full)} | (self._provenance.seal(step) if self._provenance else {})
        self._manifests.write(step, about)
        self._forget()

    def _forget(self) -> None:
        """Delete what is neither new nor best, and what a kill cut off; manifests first, so that none outlives its files."""
        steps, readable = self.steps(), self._manifests.readable()
        scheduled = [step for step, about in readable.items() if about.get("scheduled", True)]
        between = [step for step in readable if step not in scheduled and step > max(scheduled, default=-1)]
        kept = {*scheduled[-self._keep :], *between[-2:], self.best()}
        kept |= {step for step in steps if step not in readable and step > min(scheduled[-self._keep :], default=-1)}
        for step in set(steps) - kept:
            self._manifests.forget(step)
        for path in self._folder.iterdir():
            ours = step_of(path.name.partition(".orbax-checkpoint-tmp")[0]) is not None  # foreign names stay
            if ours and path.name not in map(str, kept):
                _remove(path)

    def discard_after(self, step: int) -> None:
        """Delete checkpoints beyond ``step``, whole or not: the run is about to make others."""
        for later in self.steps():
            if later > step:
                self._manifests.forget(later)
        for path in self._folder.glob("*"):
            if (step_of(path.name) or 0) > step:
                _remove(path)

    def check(self, step: int) -> dict[str, Any]:
        """A checkpoint's manifest, once it and all files have been found to be what was written, by this run.

        Raises:
            Damaged: they are not.
            Mismatch: it is of another run or another step.
        """
        manifest = self._checked_manifest(step)
        # Compared before reading: orbax's own errors come from many threads at once.
        try:
            found = files.file_digests(self.path(step))
        except OSError as error:
            raise self._damaged(step, f"its files cannot be read: {error.strerror}") from None
        more = [name for name in found if name not in manifest["files"] and name.startswith("large/")]  # pieces that were zeros
        if more or any(found.get(name) != digest for name, digest in manifest["files"].items()):
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
                self._say(unknown)
        return manifest

    def check_newest(self) -> None:
        """Compare the newest manifest that can be read with the run's configuration.

        Raises:
            Mismatch: with the names of what differs.
        """
        for step in reversed(self.steps()):
            try:
                self._checked_manifest(step, quiet=True)
                return
            except Damaged:
                continue

    def whole(self, order: Iterable[int] | None = None) -> int | None:
        """The first whole checkpoint in an order of preference (default: the newest first). What was passed over is said.

        Raises:
            Mismatch: one is of another run or another step.
        """
        passed: list[str] = []
        for step in list(reversed(self.steps()) if order is None else order):
            try:
                self.check(step)
            except Damaged as error:
                passed.append(str(error).partition("; ")[0])
                continue
            if passed:
                more = f" and {len(passed) - 1} more" if len(passed) > 1 else ""
                self._say(f"{passed[0]}{more}: that of step {step} is taken")
            return step
        return None

    def _say(self, text: str) -> None:
        if text not in self._said and jax.process_index() == 0:
            say(f"rl-jax: warning: {text}")
        self._said.add(text)

    def restore(self, step: int, like: PyTree, checked: bool = False) -> PyTree:
        """Read a checkpoint into the structure of ``like`` (shapes suffice); its files are not read twice if they were ``checked``.

        Raises:
            RLJaxError: it is missing, belongs to another program, another run, is damaged, or was deleted while it was read.
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
            have = ", ".join(str(s) for s in self.steps()) or "none"
            raise RLJaxError(f"{self._folder.parent} has no checkpoint {step}; it has: {have}")
        manifest = self._checked_manifest(step) if checked else self.check(step)
        here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        words = flatten(jax.eval_shape(lambda tree: jax.tree.map(key_to_words, tree), like))
        flat = {name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here) for name, leaf in words.items()}
        places = {name: getattr(leaf, "sharding", None) or here for name, leaf in flatten(like).items()}
        if manifest["arrays"] != describe(flat):
            raise RLJaxError(
                f"checkpoint {self.path(step)} belongs to another program (its arrays have other names or shapes): "
                f"use the configuration and the version of rl_jax that wrote it"
            )
        large = manifest.get("large", [])  # there were none in the first versions
        small = {name: leaf for name, leaf in flat.items() if leaf.size and name not in large}
        restored = {name: jnp.zeros(leaf.shape, leaf.dtype) for name, leaf in flat.items() if not leaf.size}
        if small:
            with ocp.StandardCheckpointer(multiprocessing_options=files.alone()) as reader:
                restored |= reader.restore(self.path(step), small)
        for name in restored:
            if isinstance(places[name], jax.sharding.NamedSharding):
                restored[name] = put(restored[name], places[name])
        for name in large:
            restored[name] = large_arrays.read(files.place(self.path(step), name), flat[name], places[name])
        leaves, structure = jax.tree.flatten(like)
        values = zip((restored[name] for name in flat), leaves, strict=True)
        return jax.tree.unflatten(structure, [words_to_key(v, leaf) for v, leaf in values])

    def _damaged(self, step: int, cause: str) -> Damaged:
        others = ", ".join(str(other) for other in self.steps() if other != step)
        fix = f"the others are {others}" if others else "there is no other one"
        return Damaged(f"checkpoint {self.path(step)} is damaged ({cause}); {fix}")


def _number(score: Any) -> float | None:
    """A score as JSON has it."""
    try:
        number = math.nan if score is None else float(score)
    except (TypeError, ValueError):
        raise RLJaxError(f"a checkpoint's score must be a number or None, not {short(score)}") from None
    return None if math.isnan(number) else number


def _remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
