"""The commands of ``rl-jax``, called with parsed options."""

import json
import math
import os
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import jax

from rl_jax.agents.configs import sweepable
from rl_jax.agents.configs.by_name import config_class, is_own, title_of
from rl_jax.data import Dataset
from rl_jax.errors import RLJaxError
from rl_jax.loop import Trainer, check_trainer
from rl_jax.run.devices import distributed
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.devices.device_memory import check_memory
from rl_jax.run.failures import writing
from rl_jax.run.options import RunOptions
from rl_jax.run.report.loggers import check_extras
from rl_jax.run.storage import config
from rl_jax.run.storage.identity import run_labels
from rl_jax.run.storage.ownership import check_writable
from rl_jax.run.storage.run_config import RunConfig
from rl_jax.run.storage.trainer_digest import trainer_digest
from rl_jax.run.training.budget import evaluation_budget
from rl_jax.run.training.complete import Finished, complete
from rl_jax.run.training.folder import RunFolder
from rl_jax.run.training.outcome import failure_text, failures_text
from rl_jax.run.training.playing import EpisodePlayer, draw_episode, evaluation
from rl_jax.run.training.setup import choose_devices, set_cpu_devices, set_precision
from rl_jax.run.training.sweep import sweep_runs


def _use_compilation_cache(enabled: bool) -> None:
    """Make jax cache compiled programs on disk, in ``RL_JAX_CACHE`` or ``~/.cache/rl_jax``."""
    if enabled:
        home = Path(os.environ.get("RL_JAX_CACHE", Path.home() / ".cache" / "rl_jax"))
        jax.config.update("jax_compilation_cache_dir", str(home / "xla"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


#: Exit status when some runs of a batch have failed and the others have finished.
SOME_FAILED = 4


def _prepare(options: RunOptions, num_runs: int) -> None:
    """Set what jax reads when it starts, then join the other processes."""
    set_cpu_devices(options, num_runs)
    set_precision(options)
    _use_compilation_cache(options.compile_cache)
    if options.distributed:
        distributed.join()


def _run_config(
    command: str, agent: str, options: RunOptions, values: dict[str, Any], trainer: Trainer, data: Dataset | None
) -> RunConfig:
    """What ``config.json`` says of a run; a trainer with parts of one's own is checked before anything is compiled."""
    digest_of_trainer = ""
    if is_own(agent):
        check_trainer(trainer)
        digest_of_trainer = trainer_digest(trainer)
    return RunConfig(command, agent, options, values, digest_of_trainer, "" if data is None else data.sha256())


def train(agent: str, options: RunOptions, values: dict[str, Any]) -> None:
    """``rl-jax train``: train an agent on each seed. The summary is printed as one line of JSON."""
    check_extras(options)
    configuration = config.configured(config_class(agent), values)
    _prepare(options, options.seeds)
    env = config.make_env(options)
    data = config.load_data(configuration, options, env)
    trainer = config.make_trainer(configuration, options, env, data)
    run = _run_config("train", agent, options, values, trainer, data)
    config.check_learns(trainer, options)
    devices = choose_devices(options, trainer.num_envs, options.seeds)
    episodes = evaluation_budget(trainer, options).episodes
    check_memory(trainer, options.seeds, episodes)
    seeds = list(range(options.seed, options.seed + options.seeds))
    runs = CompiledRuns(trainer, seeds, options.steps, episodes, devices=devices, prng=options.prng)
    _print_result(complete(run, runs, run_labels(seeds), f"{title_of(agent)} on {options.env}", []))


def sweep(agent: str, options: RunOptions, values: dict[str, Any]) -> None:
    """``rl-jax sweep``: train a grid of hyperparameters times seeds. The summary is printed as one line of JSON."""
    check_extras(options)
    kind = config_class(agent)
    grid = {name: values[name] for name in sweepable(kind)}
    base = kind(**{**values, **{name: points[0] for name, points in grid.items() if points}})
    _prepare(options, math.prod(map(len, grid.values())) * options.seeds)
    runs, labels, data = sweep_runs(base, grid, options)
    run = _run_config("sweep", agent, options, values, runs.trainer_of(0), data)
    runs.devices = choose_devices(options, runs.trainer.num_envs, len(runs.seeds))
    varied = [name for name, points in grid.items() if len(points) > 1]
    title = f"{title_of(agent)} on {options.env}, {options.seeds} seeds each"
    _print_result(complete(run, runs, labels, title, varied))


def _print_result(finished: Finished) -> None:
    """Print the result, and exit with :data:`SOME_FAILED` and one line on standard error if a run of the batch has failed."""
    if not distributed.is_first():
        return
    summary = finished.result
    print(json.dumps(summary))
    if summary.get("failed"):
        print(f"rl-jax: {failures_text(summary['failed'], summary['runs'])}", file=sys.stderr)
        raise SystemExit(SOME_FAILED)


def evaluate(args: Any) -> None:
    """``rl-jax evaluate``: play episodes with the agents of a run folder. The summary is printed as one line of JSON."""
    folder = RunFolder.open(args.run)
    runs = folder.compiled_runs(args.episodes)
    check_memory(runs.trainer, len(runs.seeds), args.episodes)
    step, state = folder.state(runs, args.checkpoint)
    _use_compilation_cache(folder.options.compile_cache)
    scores = evaluation(runs, state, folder.failures(step), not args.stochastic, args.seed, args.max_steps, args.quiet)
    summary = {"env": folder.options.env, "agent": folder.agent, "steps": step, **scores}
    if summary["eval_unfinished"] and not args.quiet:
        unfinished_text = f"{summary['eval_unfinished']} of {summary['eval_episodes']} episodes"
        print(f"{unfinished_text} did not end within the limit and count with what they have earned so far", file=sys.stderr)
    if summary["eval_nonfinite"] and not args.quiet:
        nonfinite_text = f"{summary['eval_nonfinite']} of {summary['eval_episodes']} episodes"
        print(
            f"{nonfinite_text} have a return that is NaN or infinite, and are left out: look at the environment",
            file=sys.stderr,
        )
    if summary["failed"] and not args.quiet:
        print(failures_text(summary["failed"], len(runs.seeds)), file=sys.stderr)
    print(json.dumps(summary))


def render(args: Any) -> None:
    """``rl-jax render``: one episode of the first seed."""
    from rl_jax.run.pictures.drawing import drawing_of
    from rl_jax.run.pictures.render import check_target

    folder = RunFolder.open(args.run)
    runs = folder.compiled_runs()
    if args.tapes is not None:
        return _print_tapes(args, folder, runs)
    drawing = drawing_of(runs.trainer.env, runs.trainer.env.default_params)
    out = args.out or args.run / f"episode{drawing.suffix}"
    check_target(out, drawing)
    if drawing.suffix != ".gif" and (args.fps is not None or args.every != 1):
        raise RLJaxError(
            f"--fps and --every are for GIFs, and {folder.options.env} is drawn as {drawing.suffix}: leave them out"
        )
    step, state = folder.state(runs, args.checkpoint)
    if failure := folder.failures(step).by_run.get(0):
        print(f"{failure_text(failure)}; what is drawn is as it was before", file=sys.stderr)
    check_writable(out.parent)
    _use_compilation_cache(folder.options.compile_cache)
    states, rewards = EpisodePlayer(runs, not args.stochastic, args.seed, args.max_steps).play(state)
    draw_episode(runs, states, rewards, out, args.fps, args.every)
    episode = {"length": len(rewards), "return": float(rewards.sum()), "out": str(out)}
    print(json.dumps({"env": folder.options.env, "steps": step, **episode}))


def _print_tapes(args: Any, folder: RunFolder, runs: CompiledRuns) -> None:
    """Episodes of the first seed's next train step, in the terminal."""
    from rl_jax.run.pictures.print_tapes import check_tapes, in_colour, tapes

    trainer = runs.trainer_of(0)
    world = check_tapes(trainer.env, args.tapes, trainer.num_envs)
    pictures = [field for field in fields(args) if field.name not in ("run", "checkpoint", "tapes")]
    if unused := [f"--{field.name.replace('_', '-')}" for field in pictures if getattr(args, field.name) != field.default]:
        raise RLJaxError(
            f"--tapes prints a train step's episodes, and {' and '.join(unused)} would change a picture: leave one out"
        )
    _, state = folder.state(runs, args.checkpoint)
    _use_compilation_cache(folder.options.compile_cache)
    rollout = jax.jit(lambda trainer, state: trainer.collect(state)[1])(trainer, runs.state_of(state, 0))
    print(tapes(world, rollout, args.tapes, in_colour()))


def record(args: Any) -> None:
    """``rl-jax record``: see :func:`rl_jax.run.cli.record.record_run`."""
    from rl_jax.run.cli.record import record_run

    folder = RunFolder.open(args.run)
    _use_compilation_cache(folder.options.compile_cache)
    print(json.dumps(record_run(folder, args)))


def plot(args: Any) -> None:
    """``rl-jax plot``: see :func:`rl_jax.run.cli.comparison.plot`."""
    from rl_jax.run.cli.comparison import plot as draw_plot

    draw_plot(args)


def bench(args: Any) -> None:
    """``rl-jax bench``: see :func:`rl_jax.run.bench.command.bench`."""
    from rl_jax.run.bench.command import bench as run_bench

    with writing(args.out):
        run_bench(args)


def reproduce(args: Any) -> None:
    """``rl-jax reproduce``: see :func:`rl_jax.run.claims.command.reproduce`."""
    from rl_jax.run.claims.command import reproduce as run_recipes

    _use_compilation_cache(args.compile_cache)
    with writing(args.out):
        run_recipes(args)


__all__ = ["bench", "evaluate", "plot", "record", "render", "reproduce", "sweep", "train"]
