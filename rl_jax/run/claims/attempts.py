"""Committed results, and the attempts before them: none is overwritten, and none is forgotten beside a verdict.

``experiments/results/SLUG.json`` is the last recorded attempt, ``experiments/results/attempts/SLUG-N.json`` each one before it, as
it was recorded. Numbers, seeds or predictions that differ make another attempt.
"""

import json
from pathlib import Path
from typing import Any

from rl_jax.errors import RLJaxError
from rl_jax.run.claims import library
from rl_jax.run.storage.config import write_json

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


def committed(recipe_file: Path) -> Path:
    """Where the last recorded attempt of a recipe lies, if there is one."""
    return recipe_file.resolve().parents[1] / "results" / f"{recipe_file.stem}.json"


def last(recipe_file: Path) -> dict[str, Any] | None:
    """The last recorded attempt."""
    file = committed(recipe_file)
    return json.loads(file.read_text()) if file.exists() else None


def values_of(result: dict[str, Any]) -> dict[str, Any]:
    """Every value of every arm."""
    return {name: arm["values"] for name, arm in result["arms"].items()}


def asked(result: dict[str, Any]) -> tuple[Any, ...]:
    """What a result answers: seeds, predictions, gates and pairing."""
    gates = [row["gate"] for row in result.get("gates", ())]
    return result["seeds"], [row["prediction"] for row in result["predictions"]], gates, result.get("paired", False)


def numbered(result: dict[str, Any], before: dict[str, Any] | None, recorded: bool) -> dict[str, Any]:
    """A result with its place among the attempts: its number as ``attempt``, and those ``earlier``.

    Args:
        result: what was found.
        before: the last recorded attempt.
        recorded: whether it is written down. If not, the same predictions on the same seeds are the same attempt whatever the
            machine makes of them; a record is the same attempt only with the same numbers.
    """
    if before is None:
        return {**result, "attempt": 1, "earlier": []}
    number, earlier = before.get("attempt", 1), before.get("earlier", [])
    if asked(result) != asked(before) or (recorded and values_of(result) != values_of(before)):
        about = {"attempt": number, "verdict": before["verdict"], "seeds": before["seeds"], "date": before["date"]}
        number, earlier = number + 1, [*earlier, {**about, "file": f"attempts/{result['slug']}-{number}.json"}]
    return {**result, "attempt": number, "earlier": earlier}


def record(result: dict[str, Any], recipe_file: Path) -> Path:
    """Write a numbered result where the documentation finds it; a last attempt that it is not is kept beside it.

    Returns:
        The root of the clone.

    Raises:
        RLJaxError: the recipe lies in no clone's ``experiments/``.
    """
    file = committed(recipe_file)
    if file.parent.parent.name != "experiments":
        raise RLJaxError(f"--record writes into a clone's experiments/results, and {recipe_file} is in none: leave it out")
    file.parent.mkdir(parents=True, exist_ok=True)
    before = last(recipe_file)
    if before is not None and before.get("attempt", 1) < result["attempt"]:
        kept = file.parent / result["earlier"][-1]["file"]
        kept.parent.mkdir(exist_ok=True)
        write_json(kept, before)
    write_json(file, {"family": library.family(recipe_file), **result})
    return file.parents[2]


def ordinal(number: int) -> str:
    """A number in words, up to ten."""
    return _ORDINALS[number - 1] if number <= len(_ORDINALS) else f"number {number}"


def history(result: dict[str, Any]) -> str:
    """``second attempt; first: undecided``; nothing for a first attempt, or a result without a verdict."""
    if not result.get("earlier"):
        return ""
    before = ", ".join(f"{ordinal(about['attempt'])}: {about['verdict']}" for about in result["earlier"])
    return f"{ordinal(result['attempt'])} attempt; {before}"
