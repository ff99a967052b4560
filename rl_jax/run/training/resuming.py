"""Continuing a run: from which checkpoint, whether that is the same run, and over which length."""

from pathlib import Path
from typing import Any

from rl_jax.errors import RLJaxError
from rl_jax.run.devices import distributed
from rl_jax.run.options import IDENTITY, RECORD, RunOptions
from rl_jax.run.report.progress import human_count
from rl_jax.run.stopping import say
from rl_jax.run.storage import config, results
from rl_jax.run.storage.checkpoint import Checkpoints
from rl_jax.run.storage.manifests import step_of
from rl_jax.run.storage.ownership import Owned, check_writable
from rl_jax.run.storage.provenance import Provenance


def check_resumed(owned: Owned, command: str, agent: str, options: RunOptions, hyperparameters: dict[str, Any]) -> None:
    """Refuse to continue a run with other options than it was begun with, but for more steps, over which it is extended.

    Raises:
        RLJaxError: with the names of the options that differ, or of what differs between its configuration and its checkpoint.
    """
    folder = owned.path
    if options.out and options.out.resolve() != owned.place:
        raise RLJaxError(f"a resumed run stays in its folder {folder}: leave out --out")
    check_writable(folder)
    saved = config.load(owned.place / "config.json")
    if (was := (saved.get("command", "train"), saved["agent"])) != (command, agent):  # replaced since it was first read
        raise RLJaxError(f"{folder} is of 'rl-jax {was[0]} {was[1]}', not of '{command} {agent}': use that")
    checkpoints = Checkpoints(owned.place, options.keep, Provenance.of(saved))
    checkpoints.check_newest()
    same = (*IDENTITY, *RECORD)
    before = config.plain(RunOptions()) | saved["run"]  # options that it does not know had no other values then
    old = {name: before[name] for name in same} | saved["hyperparameters"]
    new = {name: config.plain(getattr(options, name)) for name in same} | config.plain_values(hyperparameters)
    if changed := config.differences(old, {name: value for name, value in new.items() if name != "steps"}):
        raise RLJaxError(f"cannot resume {folder} with other options: {', '.join(changed)}; leave them out, or start a new run")
    if options.steps != old["steps"]:
        _extend(owned, saved, old["steps"], options.steps, checkpoints)


def _extend(owned: Owned, saved: dict[str, Any], old: int, new: int, checkpoints: Checkpoints) -> None:
    """Plan a run for more steps, from its newest whole checkpoint on; ``config.json`` keeps what had been planned before."""
    if new < old:
        done = max(checkpoints.steps(), default=0)
        raise RLJaxError(
            f"--steps {new} is fewer than the {old} that {owned.path} was planned for, and {done} are done: "
            f"a run can be extended to more steps, not cut short"
        )
    at = newest(checkpoints, owned.place, owned.path) or 0
    checkpoints.discard_after(at)
    content = {**saved, "run": {**saved["run"], "steps": new}}
    content["extended"] = [*saved.get("extended", []), {"at": at, "steps": old}]
    config.write_json(owned.place / "config.json", content)
    result = owned.place / results.NAME
    if result.exists():
        result.replace(owned.place / f"result_{old}.json")
    say(
        f"{owned.path} is extended from {human_count(old)} to {human_count(new)} steps: it goes on after step {at}, "
        f"with schedules and annealing over the new length, of which {at / new:.0%} are done"
    )


def newest(checkpoints: Checkpoints, place: Path, folder: Path) -> int | None:
    """The newest whole checkpoint; None if nothing has been done yet, so that nothing is lost by beginning.

    Raises:
        RLJaxError: something has been done, and there is none: a run never begins anew by itself.
    """
    found, steps = checkpoints.whole(), checkpoints.steps()
    begun = [step for step in (step_of(path.name) for path in (place / "checkpoints").glob("*")) if step]
    if found is not None:
        if (cut := [step for step in begun if step > found and step not in steps]) and distributed.first():
            say(
                f"rl-jax: warning: checkpoint {folder / 'checkpoints' / str(max(cut))} has no manifest, as after a kill, and does "
                f"not count: that of step {found} is taken"
            )
        return found
    rows = place / "metrics.jsonl"
    if begun or any(steps) or (rows.exists() and rows.stat().st_size):
        what = "no whole checkpoint" if steps else "no manifest"
        raise RLJaxError(
            f"{folder} has been trained, but {what} is left to continue from (manifests/, checkpoints/): "
            f"put them back, or start anew with another --out"
        )
    return None


def result_of(owned: Owned, steps: int, options: RunOptions) -> dict[str, Any] | None:
    """The result of a run that had come to its end of ``steps`` already; None if there is still something to do."""
    if not options.resume:
        return None
    checkpoints = Checkpoints(owned.place)
    try:
        checkpoints.check(steps)
    except RLJaxError:
        return None
    try:
        result = results.read(owned.place)
        if result.get("steps") != steps:
            raise results.Unfit(f"is of {result.get('steps')} steps, not of {steps}")
    except FileNotFoundError:
        return None
    except results.Unfit as unfit:
        if distributed.first():
            say(f"rl-jax: warning: {owned.path / results.NAME} {unfit}: it is made again")
        return None
    if distributed.first() and not options.quiet:
        say(f"{owned.path} is finished: its result")
    return result
