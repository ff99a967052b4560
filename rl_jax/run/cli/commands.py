"""What each command does, once its options are known."""

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
from rl_jax.run.training.budget import plan as evaluation_budget
from rl_jax.run.training.evaluating import FINAL_EVALUATION
from rl_jax.run.training.folder import RunFolder
from rl_jax.run.training.outcome import failed_run, failed_text, summarise
from rl_jax.run.training.resuming import result_of
from rl_jax.run.training.setup import choose_devices, count_cpu_devices, run_folder, set_precision
from rl_jax.run.training.sweep import report, sweep_job
from rl_jax.run.training.train import finish, plot_run
from rl_jax.run.training.train import train as run_job


def _compilation_cache(on: bool) -> None:
    """Let jax keep compiled programs between runs."""
    if on:
        home = Path(os.environ.get("RL_JAX_CACHE", Path.home() / ".cache" / "rl_jax"))
        jax.config.update("jax_compilation_cache_dir", str(home / "xla"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def _check_extras(options: RunOptions) -> None:
    """Refuse before any work what would fail for a missing or broken package."""
    for wanted, names in ((options.tensorboard, TENSORBOARD), (options.wandb, WANDB)):
        if wanted:
            import_extra(*names)


#: Exit status when some runs of a batch have failed and the others have come to their end.
SOME_FAILED = 4


def train(agent: str, options: RunOptions, values: dict[str, Any]) -> None:
    """``rl-jax train``."""
    _check_extras(options)
    configuration = CONFIGS[agent](**values)
    configuration.check()
    count_cpu_devices(options, options.seeds)
    set_precision(options)
    _compilation_cache(options.compile_cache)
    if options.distributed:
        distributed.join()
    trainer = config.make_trainer(configuration, options, config.make_env(options))
    config.check_learns(trainer, options)
    devices = choose_devices(options, trainer.num_envs, options.seeds)
    episodes = evaluation_budget(trainer, options).episodes
    check_memory(trainer, options.seeds, episodes)
    seeds = list(range(options.seed, options.seed + options.seeds))
    job = CompiledRuns(trainer, seeds, options.steps, episodes, devices=devices, prng=options.prng)
    job.check()
    title = f"{agent.upper()} on {options.env}"
    with run_folder("train", agent, options, values) as owned, writing(owned.path):
        summary = result_of(owned, job.updates * job.trainer.steps_per_update, options)
        if summary is None:
            summary = run_job(job, owned, options, title, run_labels(seeds), bool(options.resume))
            summary = sealed({"env": options.env, "agent": agent, **summary}, owned.place)
            if distributed.first():
                finish(owned.path, summary, title, options.quiet)
        elif distributed.first() and not (owned.place / "curve.png").exists():
            plot_run(owned.path, title)
    if distributed.first():
        print(json.dumps(summary))
        _tell_failed(summary)


def sweep(agent: str, options: RunOptions, values: dict[str, Any]) -> None:
    """``rl-jax sweep``."""
    _check_extras(options)
    grid = {name: values[name] for name in sweepable(CONFIGS[agent])}
    base = CONFIGS[agent](**{**values, **{name: points[0] for name, points in grid.items() if points}})
    count_cpu_devices(options, math.prod(map(len, grid.values())) * options.seeds)
    set_precision(options)
    _compilation_cache(options.compile_cache)
    if options.distributed:
        distributed.join()
    job, labels = sweep_job(base, grid, options)
    job.devices = choose_devices(options, job.trainer.num_envs, len(job.seeds))
    job.check()
    varied = [name for name, points in grid.items() if len(points) > 1]
    title = f"{agent.upper()} on {options.env}, {options.seeds} seeds each"
    with run_folder("sweep", agent, options, values) as owned, writing(owned.path):
        summary = result_of(owned, job.updates * job.trainer.steps_per_update, options)
        if summary is None:
            summary = run_job(job, owned, options, title, labels, bool(options.resume))
            if distributed.first():
                table = report(owned.path, varied, labels, summary["eval_returns"], title, options.quiet)
                summary = sealed({"env": options.env, "agent": agent, **summary, "table": table}, owned.place)
                config.write_json(owned.path / results.NAME, summary)
        elif distributed.first() and not (owned.place / "sweep.png").exists():
            report(owned.path, varied, labels, summary["eval_returns"], title, options.quiet)
    if distributed.first():
        print(json.dumps(summary))
        _tell_failed(summary)


def _tell_failed(summary: dict[str, Any]) -> None:
    """A run of a batch that failed is no success: one line, and a status of its own."""
    if summary.get("failed"):
        print(f"rl-jax: {failed_text(summary['failed'], summary['runs'])}", file=sys.stderr)
        raise SystemExit(SOME_FAILED)


def evaluate(given: Any) -> None:
    """``rl-jax evaluate``."""
    folder = RunFolder.open(given.run)
    job = folder.job(given.episodes)
    check_memory(job.trainer, len(job.seeds), given.episodes)
    step, state = folder.state(job, given.checkpoint)
    _compilation_cache(folder.options.compile_cache)
    # A stream far from those used while training, whose numbers are train steps.
    stream = (FINAL_EVALUATION - 1 - given.seed) % 2**31
    job.compile_evaluation(greedy=not given.stochastic)
    start = time.perf_counter()
    progress = Progress(0, given.quiet)

    def watch(steps: int, limit: int, running: int) -> bool:
        progress.doing(
            f"{steps:,} of at most {limit:,} steps, {running} of {given.episodes * len(job.seeds)} episodes still run"
        )
        return False

    with progress:
        scores = job.evaluate(state, stream, not given.stochastic, given.max_steps, watch)
    assert scores is not None
    seconds = time.perf_counter() - start
    summary = {
        "env": folder.options.env,
        "agent": folder.agent,
        "steps": step,
        "seeds": len(job.seeds),
        "device": device_text(),
        "seconds_compile": round(job.seconds_compile, 3),
        "seconds_run": round(seconds, 3),
        "steps_per_second": round(float(scores.lengths.sum()) / seconds, 1),
        **summarise(scores, folder.failures(step)),
        "policy": "stochastic" if given.stochastic else "greedy",
        "params_sha256": digest(job.trainer.params(state)),
    }
    if summary["eval_unfinished"] and not given.quiet:
        unfinished = f"{summary['eval_unfinished']} of {summary['eval_episodes']} episodes"
        print(f"{unfinished} did not end within the limit and count with what they have earned so far", file=sys.stderr)
    if summary["eval_nonfinite"] and not given.quiet:
        nonfinite = f"{summary['eval_nonfinite']} of {summary['eval_episodes']} episodes"
        print(f"{nonfinite} have a return that is NaN or infinite, and are left out: look at the environment", file=sys.stderr)
    if summary["failed"] and not given.quiet:
        print(failed_text(summary["failed"], len(job.seeds)), file=sys.stderr)
    print(json.dumps(summary))


def render(given: Any) -> None:
    """``rl-jax render``: one episode of the first seed."""
    from rl_jax.run.pictures.drawing import drawing_of
    from rl_jax.run.pictures.render import check_target, render_episode

    folder = RunFolder.open(given.run)
    job = folder.job()
    how = drawing_of(job.trainer.env, job.trainer.env.default_params)
    out = given.out or given.run / f"episode{how.suffix}"
    check_target(out, how)
    if how.suffix != ".gif" and (given.fps is not None or given.every != 1):
        raise RLJaxError(f"--fps and --every are for GIFs, and {folder.options.env} is drawn as {how.suffix}: leave them out")
    step, state = folder.state(job, given.checkpoint)
    if found := folder.failures(step).found.get(0):
        print(f"{failed_run(found)}; what is drawn is as it was before", file=sys.stderr)
    if not job.single:
        state = jax.tree.map(lambda leaf: leaf[0], state)
    check_writable(out.parent)
    _compilation_cache(folder.options.compile_cache)
    trainer, key = (
        job.trainer,
        jax.random.fold_in(unrolled_threefry(jax.random.key(given.seed, impl=job.prng)), streams.EVALUATE),
    )
    limit = min(given.max_steps, trainer.time_limit or given.max_steps)

    @jax.jit
    def play(key: jax.Array) -> Any:
        key_start, key_steps = jax.random.split(key)
        collector = reset_envs(trainer.curriculum, state.curriculum, trainer.agent.initial_carry(1), key_start, 1)

        def policy(carry: Any, obs: jax.Array, first: jax.Array, key: jax.Array) -> Any:
            obs = trainer.experience.observe(state.experience, obs)
            return trainer.agent.act(state.agent, carry, obs, first, key, not given.stochastic)

        rollout = collect(
            trainer.env,
            trainer.base.action_space,
            trainer.curriculum,
            state.curriculum,
            policy,
            lambda carry, obs: jnp.zeros((1,)),  # nothing is learned: no value is needed
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
        render_episode(trainer.env, params, states, rewards, out, fps=given.fps, every=given.every)
    print(
        json.dumps(
            {"env": folder.options.env, "steps": step, "length": length, "return": float(rewards.sum()), "out": str(out)}
        )
    )


def plot(given: Any) -> None:
    """``rl-jax plot``."""
    from rl_jax.run.cli.comparison import plot as run

    run(given)


def bench(given: Any) -> None:
    """``rl-jax bench``."""
    from rl_jax.run.bench.command import bench as run

    with writing(given.out):
        run(given)


def reproduce(given: Any) -> None:
    """``rl-jax reproduce``."""
    from rl_jax.run.claims.command import reproduce as run

    _compilation_cache(given.compile_cache)
    with writing(given.out):
        run(given)


__all__ = ["bench", "evaluate", "plot", "render", "reproduce", "sweep", "train"]
