"""Resuming a run: checks that its options are the same, finds its checkpoint, and extends it to more steps."""

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
from rl_jax.run.storage.run_config import RunConfig, made_by


def check_resumed(owned: Owned, run: RunConfig) -> None:
    """Refuse to resume a run with other options or parts than it was started with. With more ``--steps`` it is extended.

    Raises:
        RLJaxError: with the options that differ from ``config.json``, or the fields of it that differ from the checkpoint.
    """
    folder, options = owned.path, run.options
    if options.out and options.out.resolve() != owned.real_path:
        raise RLJaxError(f"a resumed run stays in its folder {folder}: leave out --out")
    check_writable(folder)
    saved = config.load(owned.real_path / "config.json")
    saved_command = saved.get("command", "train"), saved["agent"]
    if saved_command != (run.command, run.agent):  # replaced since it was first read
        raise RLJaxError(f"{folder} is of {made_by(*saved_command, folder)}, not of '{run.command} {run.agent}': use that")
    checkpoints = Checkpoints(owned.real_path, options.keep, Provenance.of(saved))
    checkpoints.check_newest()
    fixed_options = (*IDENTITY, *RECORD)
    saved_options = config.plain(RunOptions()) | saved["run"]  # an option that is newer than the run had its default
    old = {name: saved_options[name] for name in fixed_options} | saved["hyperparameters"]
    new = {name: config.plain(getattr(options, name)) for name in fixed_options} | config.plain_values(run.hyperparameters)
    if changed := config.differences(old, {name: value for name, value in new.items() if name != "steps"}):
        raise RLJaxError(f"cannot resume {folder} with other options: {', '.join(changed)}; leave them out, or start a new run")
    if saved.get("trainer", "") != run.trainer:
        raise RLJaxError(
            f"cannot resume {folder} with another trainer: its parts, their numbers or their static fields are not those that it "
            f"was started with; put these back, or start a new run"
        )
    if saved.get("data", "") != run.data:
        raise RLJaxError(
            f"cannot resume {folder}: the data set {options.data} is another than it was; put it back, or start a new run"
        )
    if options.steps != old["steps"]:
        _extend(owned, saved, old["steps"], options.steps, checkpoints)


def _extend(owned: Owned, saved: dict[str, Any], old: int, new: int, checkpoints: Checkpoints) -> None:
    """Plan a run for more steps, from its newest whole checkpoint on; ``config.json`` keeps the earlier lengths."""
    if new < old:
        steps_done = max(checkpoints.steps(), default=0)
        raise RLJaxError(
            f"--steps {new} is fewer than the {old} that {owned.path} was planned for, and {steps_done} are done: "
            f"a run can be extended to more steps, not cut short"
        )
    step = newest(checkpoints, owned.real_path, owned.path) or 0
    checkpoints.discard_after(step)
    content = {**saved, "run": {**saved["run"], "steps": new}}
    content["extended"] = [*saved.get("extended", []), {"at": step, "steps": old}]
    config.write_json(owned.real_path / "config.json", content)
    result = owned.real_path / results.NAME
    if result.exists():
        result.replace(owned.real_path / f"result_{old}.json")
    say(
        f"{owned.path} is extended from {human_count(old)} to {human_count(new)} steps: it goes on after step {step}, "
        f"with schedules and annealing over the new length, of which {step / new:.0%} are done"
    )


def newest(checkpoints: Checkpoints, real_path: Path, folder: Path) -> int | None:
    """Environment steps of the newest whole checkpoint; ``None`` if the run has trained nothing yet and may start from step 0.

    Raises:
        RLJaxError: the run has trained and has no whole checkpoint. It never starts again by itself.
    """
    step, steps = checkpoints.first_whole(), checkpoints.steps()
    started = [other for other in (step_of(path.name) for path in (real_path / "checkpoints").glob("*")) if other]
    if step is not None:
        if (unfinished := [other for other in started if other > step and other not in steps]) and distributed.is_first():
            say(
                f"rl-jax: warning: checkpoint {folder / 'checkpoints' / str(max(unfinished))} has no manifest, as after a kill, "
                f"and does not count: that of step {step} is taken"
            )
        return step
    rows = real_path / "metrics.jsonl"
    if started or any(steps) or (rows.exists() and rows.stat().st_size):
        missing = "no whole checkpoint" if steps else "no manifest"
        raise RLJaxError(
            f"{folder} has been trained, but {missing} is left to continue from (manifests/, checkpoints/): "
            f"put them back, or start anew with another --out"
        )
    return None


def result_of(owned: Owned, steps: int, options: RunOptions) -> dict[str, Any] | None:
    """The result of a resumed run that has finished its ``steps``; ``None`` if it has not, or its result is missing or damaged."""
    if not options.resume:
        return None
    checkpoints = Checkpoints(owned.real_path)
    try:
        checkpoints.check(steps)
    except RLJaxError:
        return None
    try:
        result = results.read(owned.real_path)
        if result.get("steps") != steps:
            raise results.Unfit(f"is of {result.get('steps')} steps, not of {steps}")
    except FileNotFoundError:
        return None
    except results.Unfit as unfit:
        if distributed.is_first():
            say(f"rl-jax: warning: {owned.path / results.NAME} {unfit}: it is made again")
        return None
    if distributed.is_first() and not options.quiet:
        say(f"{owned.path} is finished: its result")
    return result
