"""``rl_jax.run``: a trainer of one's own with all that ``rl-jax train`` and ``rl-jax sweep`` give."""

import contextlib
import dataclasses
import math
import operator
import os
import signal
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rl_jax.agents.configs.spellings import meant
from rl_jax.errors import RLJaxError
from rl_jax.loop import Trainer, check_trainer
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.devices.device_memory import check_memory
from rl_jax.run.options import PYTHON, RunOptions
from rl_jax.run.python.leaves import check_paths, settings_of_grid
from rl_jax.run.python.loading import Run, load
from rl_jax.run.report.loggers import check_extras
from rl_jax.run.stopping import Stopped, say
from rl_jax.run.storage import config
from rl_jax.run.storage.identity import run_labels
from rl_jax.run.storage.metrics import MetricsFile
from rl_jax.run.storage.run_config import RunConfig, made_by
from rl_jax.run.storage.trainer_digest import trainer_digest
from rl_jax.run.training.budget import evaluation_budget
from rl_jax.run.training.chunks import OnChunk
from rl_jax.run.training.complete import Finished, complete
from rl_jax.run.training.folder import SEEDS, SWEEP
from rl_jax.run.training.setup import choose_devices
from rl_jax.run.training.sweep import batched_runs, check_grid
from rl_jax.values import short

#: Options of a run that a trainer has decided, and what decides them.
OF_TRAINER = ("env", "env_args", "time_limit", "reset_pool", "episode_info")
#: Options that only a process of the command line's own can have, and those that have an argument of their own.
LEFT_OUT = ("config", "compile_cache", "distributed", "seed", "seeds", "steps", "out", "resume")
#: Options that need a folder.
IN_FOLDER = ("render_every", "tensorboard", "wandb")


def run(
    trainer: Trainer,
    steps: int | None = None,
    seeds: int | Sequence[int] | np.ndarray | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | bool | None = None,
    name: str | None = None,
    sweep: Mapping[str, Sequence[float]] | None = None,
    on_chunk: OnChunk | None = None,
    **options: Any,
) -> Run:
    """Train a trainer, with progress, rows of metrics, evaluations and a result; in a run folder also with checkpoints and plots.

    It is what ``rl-jax train`` does, by the same code. Ctrl-C and SIGTERM save the run first. Without ``out`` nothing is left on
    disk: no checkpoint is written, and what is returned holds everything.

    Args:
        trainer: of any parts.
        steps: environment steps of each run, over its parallel environments; default: those of the resumed run.
        seeds: their number (0, 1, ...), or the seeds themselves; default 1.
        out: the run folder.
        resume: a run folder to continue, bit for bit; ``True``: ``out``, if it is there. The trainer must be the same.
        name: what the run is called in plots; default: the agent's name.
        sweep: values of leaves of the trainer by path, such as ``{"agent.learning_rate": [1e-3, 1e-4]}``: each combination, on all
            seeds, in one program.
        on_chunk: called on the host with a :class:`~rl_jax.run.training.chunks.Chunk` after each chunk of train steps, which is a row
            of metrics; ``"stop"`` or ``True`` ends the run, which is saved, evaluated, and says ``stopped_early``.
        options: others of ``rl-jax train``, by their names: ``eval_episodes``, ``eval_max_steps``, ``checkpoints``,
            ``checkpoint_minutes``, ``keep``, ``render_every``, ``tensorboard``, ``wandb``, ``prng``, ``matmul_precision``, ``devices``,
            ``shard``, ``overwrite``, ``quiet``.

    Raises:
        RLJaxError: a part is not as it must be, an option cannot be, or the folder is another run's.
        KeyboardInterrupt: Ctrl-C, after the run was saved; SystemExit for other signals.
    """
    if not isinstance(trainer, Trainer):
        how = "call its .trainer(env)" if hasattr(trainer, "trainer") else "make one by rl_jax.Trainer.create"
        raise RLJaxError(f"rl_jax.run takes a trainer, not a {type(trainer).__name__}: {how}")
    _check_names(options)
    with contextlib.ExitStack() as stack:
        folder = _resumed(out, resume)
        keeps = folder is not None or out is not None
        if not keeps:
            if needing := [option for option in IN_FOLDER if options.get(option)]:
                raise RLJaxError(f"{needing[0]} writes into the run folder, and there is none: name one as out")
            out = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rl_jax-"))) / "run"
        requested = {**options, "out": None if out is None else Path(out), "resume": folder}
        plan = _planned(trainer, steps, seeds, name, sweep, requested, folder)
        check_trainer(trainer)
        if plan.options.matmul_precision:
            stack.enter_context(jax.default_matmul_precision(plan.options.matmul_precision))
        check_extras(plan.options)
        config.check_learns(trainer, plan.options)
        seed_list = _seed_list(plan)
        runs = _compiled_runs(trainer, plan, seed_list)
        grid = plan.hyperparameters.get(SWEEP)
        labels = run_labels(seed_list, grid)
        varied = [path for path, values in (grid or {}).items() if len(values) > 1]
        try:
            finished = complete(plan, runs, labels, f"{plan.agent} on {trainer.env.name}", varied, on_chunk, keeps)
        except Stopped as stopped:
            say(f"rl-jax: {stopped}")
            raise (KeyboardInterrupt if stopped.number == signal.SIGINT else SystemExit(128 + stopped.number)) from None
        return _run(finished, runs, labels, trainer, keeps)


def _check_names(options: Mapping[str, Any]) -> None:
    known = {field.name for field in dataclasses.fields(RunOptions)} - {*OF_TRAINER, *LEFT_OUT}
    for option in options:
        if option in OF_TRAINER:
            raise RLJaxError(f"{option} is the trainer's: give it to rl_jax.Trainer.create")
        if option not in known:
            near = meant(option, {*known, "steps", "seeds", "out", "resume", "name", "sweep", "on_chunk"})
            raise RLJaxError(
                f"rl_jax.run has no {short(option, quoted=False)}; "
                f"{f'did you mean {near[0]}?' if near else 'help(rl_jax.run) lists all'}"
            )


def _resumed(out: Any, resume: Any) -> Path | None:
    """The folder to continue, if there is one."""
    if resume is None or resume is False:
        return None
    if resume is not True:
        folder = Path(resume)
    elif out is None:
        raise RLJaxError("resume=True continues the folder out: name that")
    else:
        folder = Path(out)
        if not (folder / "config.json").exists():
            return None
    if not folder.is_dir():
        raise RLJaxError(f"cannot resume: there is no run folder {folder}")
    return folder


def _planned(
    trainer: Trainer, steps: Any, seeds: Any, name: str | None, sweep: Any, options: dict[str, Any], folder: Path | None
) -> RunConfig:
    """What the run is asked to do; what is left out is as in the folder that is resumed, or has its default."""
    hyperparameters: dict[str, Any] = {}
    if folder is None:
        if steps is None:
            raise RLJaxError("how long? Give steps, such as rl_jax.run(trainer, steps=100_000)")
        saved, agent, seeds = (
            {},
            str(getattr(trainer.agent, "name", type(trainer.agent).__name__)),
            1 if seeds is None else seeds,
        )
    else:
        content = config.load(folder / "config.json")
        if content.get("command", "train") != PYTHON:
            raise RLJaxError(
                f"{folder} is of {made_by(content.get('command', 'train'), content['agent'], folder)}: continue it there"
            )
        restored = config.restore(RunOptions, content["run"], folder / "config.json")
        saved, agent, hyperparameters = vars(restored), content["agent"], dict(content["hyperparameters"])
        saved = {**saved, "overwrite": False, "quiet": False}
    chosen = {**options, "env": trainer.env.name, **({} if steps is None else {"steps": _integer(steps)})}
    if seeds is not None:
        seed_list = _checked_seeds(seeds)
        chosen |= {"seed": seed_list[0], "seeds": len(seed_list)}
        in_a_row = seed_list == list(range(seed_list[0], seed_list[0] + len(seed_list)))
        if not in_a_row or SEEDS in hyperparameters:
            hyperparameters[SEEDS] = seed_list
    if sweep is not None:
        hyperparameters[SWEEP] = check_paths(trainer, sweep)
    run_options = RunOptions(**{**saved, **chosen})
    run_options.check()
    if SWEEP in hyperparameters:
        check_grid(hyperparameters[SWEEP], run_options.seeds, str)
    return RunConfig(PYTHON, name or agent, run_options, hyperparameters, trainer_digest(trainer))


def _integer(value: Any) -> Any:
    """An integer of NumPy or JAX as one of Python; anything else unchanged, for the checks of options to refuse."""
    try:
        return value if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return value


def _checked_seeds(seeds: Any) -> list[int]:
    """The seeds, of their number or of a list or array of them."""
    number = _integer(seeds)
    if type(number) is int and number >= 1:
        return list(range(number))
    several = (
        isinstance(seeds, Sequence | np.ndarray | jax.Array) and not isinstance(seeds, str) and getattr(seeds, "ndim", 1) == 1
    )
    seed_list = list(map(_integer, seeds)) if several else []
    if (
        not seed_list
        or not all(type(seed) is int and 0 <= seed < 2**32 for seed in seed_list)
        or len({*seed_list}) < len(seed_list)
    ):
        raise RLJaxError(f"seeds is {short(seeds)}: give their number, such as 4, or different ones, such as [3, 5, 8]")
    return seed_list


def _seed_list(plan: RunConfig) -> list[int]:
    options = plan.options
    seeds: list[int] = plan.hyperparameters.get(SEEDS) or list(range(options.seed, options.seed + options.seeds))
    return seeds


def _compiled_runs(trainer: Trainer, plan: RunConfig, seeds: list[int]) -> CompiledRuns:
    options, grid = plan.options, plan.hyperparameters.get(SWEEP)
    if grid is None:
        episodes = evaluation_budget(trainer, options).episodes
        check_memory(trainer, len(seeds), episodes)
        runs = CompiledRuns(trainer, seeds, options.steps, episodes, prng=options.prng)
    else:
        runs = batched_runs(trainer, settings_of_grid(trainer, grid), math.prod(map(len, grid.values())), seeds, options)
    runs.devices = choose_devices(options, trainer.num_envs, len(runs.seeds))
    return runs


def _run(finished: Finished, runs: CompiledRuns, labels: list[dict[str, Any]], trainer: Trainer, keeps: bool) -> Run:
    """What is returned; of a run that had been finished before, its last checkpoint."""
    if finished.state is None:
        return load(finished.folder, trainer)
    content = config.load(finished.folder / "config.json")
    rows = MetricsFile(finished.folder / "metrics.jsonl", labels).rows()
    result = finished.result if keeps else {**finished.result, "out": None}
    return Run(finished.folder if keeps else None, labels, result["steps"], rows, content, result, finished.state, runs)
