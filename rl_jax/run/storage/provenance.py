"""Whose a checkpoint is: the run, its step, and everything that decided its numbers."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from rl_jax.errors import RLJaxError
from rl_jax.run.options import IDENTITY, RECORD, RunOptions
from rl_jax.values import option


class Mismatch(RLJaxError):
    """A checkpoint is of another run, or of another moment of it."""


def digest_of(content: Any) -> str:
    """SHA-256 of a JSON value, however its names are ordered."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Provenance:
    """What a run folder's ``config.json`` says about whose its checkpoints are.

    Attributes:
        run: the run's own identifier; None in runs of earlier versions.
        fields: everything that decides the numbers, by name.
        extended: for each ``--resume --steps MORE``, in order: ``at``, the environment steps done then, and ``steps``, how many
            had been planned until then.
    """

    run: str | None
    fields: dict[str, Any]
    extended: tuple[dict[str, int], ...] = ()

    @classmethod
    def of(cls, content: dict[str, Any]) -> "Provenance":
        """From the content of a ``config.json``."""
        run = {name: content["run"][name] for name in (*IDENTITY, *RECORD) if name in content["run"]}
        what = {"command": content.get("command", "train"), "agent": content["agent"]}
        what |= {"trainer": content["trainer"]} if "trainer" in content else {}
        extended = content.get("extended", [])
        known = isinstance(extended, list) and all(
            isinstance(one, dict) and set(one) == {"at", "steps"} and all(type(value) is int for value in one.values())
            for one in extended
        )
        if not known:
            raise RLJaxError(
                f"config.json: extended is {json.dumps(extended)}, which is no history of a run: put back what it was"
            )
        return cls(content.get("id"), {**what, **run, **content["hyperparameters"]}, tuple(extended))

    def at(self, step: int) -> dict[str, Any]:
        """The fields as they were when the checkpoint of ``step`` environment steps was written."""
        before = [one for one in self.extended if one["at"] < step]
        later = [one for one in self.extended if one["at"] >= step]
        planned = {"steps": later[0]["steps"]} if later else {}
        return {**self.fields, **planned, "extended": before}

    def seal(self, step: int) -> dict[str, Any]:
        """What a manifest says about whose its checkpoint is."""
        fields = self.at(step)
        return {"run": self.run, "fields": fields, "fields_sha256": digest_of(fields)}

    def check(self, step: int, manifest: dict[str, Any], name: str) -> str:
        """Compare a manifest with the run's configuration.

        Returns:
            What could not be compared, as the manifest is of an earlier version; "" if all was.

        Raises:
            Mismatch: with the names of what differs.
        """
        if "fields" not in manifest:
            if self.run is not None:
                raise Mismatch(f"{name} does not say whose it is (run, fields), and the run's own checkpoints do: {_ADVICE}")
            return f"{name} was written by an earlier version, which did not record whose it is (run, fields): not compared"
        old, new = manifest["fields"], self.at(step)
        pairs = {key: (old.get(key, _absent(key)), new.get(key, _absent(key))) for key in {**old, **new}}
        changed = {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
        if changed:
            words = ", ".join(f"{option(key)} {before} (config.json: {now})" for key, (before, now) in changed.items())
            raise Mismatch(f"{name} was made with {words}: {_ADVICE}")
        if manifest.get("run") != self.run:
            raise Mismatch(
                f"{name} is of another run of the same options (id {manifest.get('run')}, not {self.run}): {_ADVICE}"
            )
        return ""


def _absent(key: str) -> Any:
    """What a field is where it does not stand: a run of before there was such an option had its default."""
    known = RunOptions.__dataclass_fields__.get(key) if key in (*IDENTITY, *RECORD) else None
    return "nothing" if known is None else known.default


_ADVICE = "put back the config.json or the checkpoint that was there; options of a run cannot be changed"
