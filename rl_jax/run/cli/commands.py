"""The commands of ``rl-jax``, called with parsed options."""

import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.agents import CONFIGS
from rl_jax.agents.configs import sweepable
from rl_jax.errors import RLJaxError, import_extra
from rl_jax.loop import counter as streams
from rl_jax.loop.collect import collect, reset_envs
from rl_jax.ops import unrolled_threefry
from rl_jax.run.devices import distributed
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.devices.device_memory import check_memory
from rl_jax.run.devices.tree_io import digest
from rl_jax.run.failures import writing
from rl_jax.run.options import RunOptions
from rl_jax.run.report.loggers import TENSORBOARD, WANDB
from rl_jax.run.report.progress import Progress
from rl_jax.run.storage import config, results
from rl_jax.run.storage.identity import run_labels
from rl_jax.run.storage.metadata import device_text
from rl_jax.run.storage.ownership import check_writable
from rl_jax.run.storage.results import sealed
from rl_jax.run.training.budget import evaluation_budget
from rl_jax.run.training.evaluating import FINAL_EVALUATION
from rl_jax.run.training.folder import RunFolder
from rl_jax.run.training.outcome import failure_text, failures_text, summarise
from rl_jax.run.training.resuming import result_of
from rl_jax.run.training.setup import choose_devices, run_folder, set_cpu_devices, set_precision
from rl_jax.run.training.sweep import report, sweep_runs
from rl_jax.run.training.train import finish, plot_run
from rl_jax.run.training.train import train as train_runs


def _use_compilation_cache(enabled: bool) -> None:
    """Make jax cache compiled programs on disk, in ``RL_JAX_CACHE`` or ``~/.cache/rl_jax``."""
    if enabled:
        home = Path(os.environ.get("RL_JAX_CACHE", Path.home() / ".cache" / "rl_jax"))
        jax.config.update("jax_compilation_cache_dir", str(home / "xla"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def _check_extras(options: RunOptions) -> None:
    """Raise before any work if a logger's package is missing or broken."""
    for requested, extra in ((options.tensorboard, TENSORBOARD), (options.wandb, WANDB)):
        if requested:
            import_extra(*extra)


#: Exit status when some runs of a batch have failed and the others have finished.
SOME_FAILED = 4


def train(agent: str, options: RunOptions, values: dict[str, Any]) -> None:
    """``rl-jax train``: train an agent on each seed. The summary is printed as one line of JSON."""
    _check_extras(options)
    configuration = CONFIGS[agent](**values)
    configuration.check()
    set_cpu_devices(options, options.seeds)
    set_precision(options)
    _use_compilation_cache(options.compile_cache)
    if options.distributed:
        distributed.join()
    trainer = config.make_trainer(configuration, options, config.make_env(options))
    config.check_learns(trainer, options)
    devices = choose_devices(options, trainer.num_envs, options.seeds)
    episodes = evaluation_budget(trainer, options).episodes
    check_memory(trainer, options.seeds, episodes)
    seeds = list(range(options.seed, options.seed + options.seeds))
    runs = CompiledRuns(trainer, seeds, options.steps, episodes, devices=devices, prng=options.prng)
    runs.check()
    title = f"{agent.upper()} on {options.env}"
    with run_folder("train", agent, options, values) as owned, writing(owned.path):
        summary = result_of(owned, runs.updates * runs.trainer.steps_per_update, options)
        if summary is None:
            summary = train_runs(runs, owned, options, title, run_labels(seeds), bool(options.resume))
            summary = sealed({"env": options.env, "agent": agent, **summary}, owned.real_path)
            if distributed.is_first():
                finish(owned.path, summary, title, options.quiet)
        elif distributed.is_first() and not (owned.real_path / "curve.png").exists():
            plot_run(owned.path, title)
    if distributed.is_first():
        print(json.dumps(summary))
        _exit_if_failed(summary)


def sweep(agent: str, options: RunOptions, values: dict[str, Any]) -> None:
    """``rl-jax sweep``: train a grid of hyperparameters times seeds. The summary is printed as one line of JSON."""
    _check_extras(options)
    grid = {name: values[name] for name in sweepable(CONFIGS[agent])}
    base = CONFIGS[agent](**{**values, **{name: points[0] for name, points in grid.items() if points}})
    set_cpu_devices(options, math.prod(map(len, grid.values())) * options.seeds)
    set_precision(options)
    _use_compilation_cache(options.compile_cache)
    if options.distributed:
        distributed.join()
    runs, labels = sweep_runs(base, grid, options)
    runs.devices = choose_devices(options, runs.trainer.num_envs, len(runs.seeds))
    runs.check()
    varied = [name for name, points in grid.items() if len(points) > 1]
    title = f"{agent.upper()} on {options.env}, {options.seeds} seeds each"
    with run_folder("sweep", agent, options, values) as owned, writing(owned.path):
        summary = result_of(owned, runs.updates * runs.trainer.steps_per_update, options)
        if summary is None:
            summary = train_runs(runs, owned, options, title, labels, bool(options.resume))
            if distributed.is_first():
                table = report(owned.path, varied, labels, summary["eval_returns"], title, options.quiet)
                summary = sealed({"env": options.env, "agent": agent, **summary, "table": table}, owned.real_path)
                config.write_json(owned.path / results.NAME, summary)
        elif distributed.is_first() and not (owned.real_path / "sweep.png").exists():
            report(owned.path, varied, labels, summary["eval_returns"], title, options.quiet)
    if distributed.is_first():
        print(json.dumps(summary))
        _exit_if_failed(summary)


def _exit_if_failed(summary: dict[str, Any]) -> None:
    """Exit with :data:`SOME_FAILED` and one line on standard error if a run of the batch has failed."""
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
    # Far from the numbers of evaluations during training, which are train steps.
    stream = (FINAL_EVALUATION - 1 - args.seed) % 2**31
    runs.compile_evaluation(greedy=not args.stochastic)
    start = time.perf_counter()
    progress = Progress(0, args.quiet)

    def watch(steps: int, limit: int, running: int) -> bool:
        progress.doing(
            f"{steps:,} of at most {limit:,} steps, {running} of {args.episodes * len(runs.seeds)} episodes still run"
        )
        return False

    with progress:
        scores = runs.evaluate(state, stream, not args.stochastic, args.max_steps, watch)
    assert scores is not None
    seconds = time.perf_counter() - start
    summary = {
        "env": folder.options.env,
        "agent": folder.agent,
        "steps": step,
        "seeds": len(runs.seeds),
        "device": device_text(),
        "seconds_compile": round(runs.seconds_compile, 3),
        "seconds_run": round(seconds, 3),
        "steps_per_second": round(float(scores.lengths.sum()) / seconds, 1),
        **summarise(scores, folder.failures(step)),
        "policy": "stochastic" if args.stochastic else "greedy",
        "params_sha256": digest(runs.trainer.params(state)),
    }
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
    from rl_jax.run.pictures.render import check_target, render_episode

    folder = RunFolder.open(args.run)
    runs = folder.compiled_runs()
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
    if not runs.single:
        state = jax.tree.map(lambda leaf: leaf[0], state)
    check_writable(out.parent)
    _use_compilation_cache(folder.options.compile_cache)
    trainer, key = (
        runs.trainer,
        jax.random.fold_in(unrolled_threefry(jax.random.key(args.seed, impl=runs.prng)), streams.EVALUATE),
    )
    limit = min(args.max_steps, trainer.time_limit or args.max_steps)

    @jax.jit
    def play(key: jax.Array) -> Any:
        key_start, key_steps = jax.random.split(key)
        collector = reset_envs(trainer.curriculum, state.curriculum, trainer.agent.initial_carry(1), key_start, 1)

        def policy(carry: Any, obs: jax.Array, first: jax.Array, key: jax.Array) -> Any:
            obs = trainer.experience.observe(state.experience, obs)
            return trainer.agent.act(state.agent, carry, obs, first, key, not args.stochastic)

        rollout = collect(
            trainer.env,
            trainer.base.action_space,
            trainer.curriculum,
            state.curriculum,
            policy,
            lambda carry, obs: jnp.zeros((1,)),  # no value is needed, as nothing is learned
            collector,
            key_steps,
            limit,
            trainer.time_limit,
        )[1]
        return jax.tree.map(lambda x: x[:, 0], (rollout.env_state, rollout.reward, rollout.done))

    states, rewards, done = play(key)
    length = int(np.argmax(done)) + 1 if np.any(done) else limit
    states, rewards = jax.tree.map(lambda x: np.asarray(x[:length]), (states, rewards))
    with writing(out):
        params = trainer.env.default_params
        render_episode(trainer.env, params, states, rewards, out, fps=args.fps, every=args.every)
    print(
        json.dumps(
            {"env": folder.options.env, "steps": step, "length": length, "return": float(rewards.sum()), "out": str(out)}
        )
    )


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


__all__ = ["bench", "evaluate", "plot", "render", "reproduce", "sweep", "train"]
