"""``result.json``: the line that a run printed at its end, sealed, so that it counts for that run alone and as it was written."""

import json
from pathlib import Path
from typing import Any

from rl_jax.run.storage.config import load
from rl_jax.run.storage.provenance import digest_of

NAME = "result.json"


class Unfit(ValueError):
    """A result is not what the run wrote at its end."""


def sealed(summary: dict[str, Any], place: Path) -> dict[str, Any]:
    """A result with the ``id`` of the run in the folder ``place``, and a checksum over all of it."""
    content = {**summary, "id": load(place / "config.json").get("id")}
    return {**content, "sha256": digest_of(content)}


def read(place: Path) -> dict[str, Any]:
    """The result in a run folder.

    Raises:
        FileNotFoundError: there is none.
        Unfit: it is damaged, or of another run; the text goes on after its name.
    """
    try:
        content = json.loads((place / NAME).read_text())
        checksum = content.pop("sha256", None)
        whole = checksum == digest_of(content)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        raise Unfit("is damaged") from None
    if checksum is None:
        raise Unfit("has no checksum (sha256), as those of earlier versions")
    if not whole:
        raise Unfit("is damaged (it does not match its checksum, sha256)")
    run = load(place / "config.json")
    expected = {"id": run.get("id"), "agent": run["agent"], **{name: run["run"].get(name) for name in ("env", "seeds")}}
    if differing := [name for name, value in expected.items() if content.get(name) != value]:
        raise Unfit(f"is of another run ({', '.join(differing)})")
    return {**content, "sha256": checksum}
