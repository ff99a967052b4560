"""A grid of hyperparameters times seeds, as one program."""

import dataclasses
import itertools
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.agents.configs import sweepable
from rl_jax.data import Dataset
from rl_jax.errors import RLJaxError
from rl_jax.loop import Trainer
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.devices.device_memory import check_memory
from rl_jax.run.options import RunOptions
from rl_jax.run.report import stats
from rl_jax.run.report.curves import ENOUGH, spread_name
from rl_jax.run.report.intervals import interval_text
from rl_jax.run.storage.config import check_learns, load_data, make_env, make_trainer
from rl_jax.run.storage.identity import run_labels
from rl_jax.run.training.budget import evaluation_budget
from rl_jax.values import option

#: Most runs of one program: thousands of them take seconds to prepare.
MOST_RUNS = 10_000


def settings(base: Any, grid: dict[str, tuple[float, ...]]) -> list[tuple[dict[str, float], Any]]:
    """Every point of the grid, with the configuration at that point."""
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    return [(point, dataclasses.replace(base, **point)) for point in points]


def first_repeated(values: Sequence[float]) -> list[float]:
    """The first value that occurs twice when rounded to ``float32``, as programs hold it; empty if all differ."""
    as_float32 = np.asarray(values, np.float32).tolist()
    return [value for i, value in enumerate(as_float32) if value in as_float32[:i]][:1]


def check_grid(grid: Mapping[str, Sequence[float]], num_seeds: int, shown: Callable[[str], str] = option) -> None:
    """Refuse a grid that has a value twice, or more runs than one program takes.

    Args:
        grid: the values of what is varied, by name.
        num_seeds: seeds of each setting.
        shown: how a name is shown in an error.

    Raises:
        RLJaxError: with what to leave out.
    """
    for name, values in grid.items():
        if repeated := first_repeated(values):
            raise RLJaxError(
                f"{shown(name)} has {repeated[0]:g} twice: it would count the same seeds twice; leave out one of them"
            )
    num_settings = math.prod(map(len, grid.values()))
    if num_settings * num_seeds > MOST_RUNS:
        raise RLJaxError(
            f"a sweep of {num_settings} settings times --seeds {num_seeds} is {num_settings * num_seeds} runs, and one program takes "
            f"{MOST_RUNS}: use fewer values or --seeds"
        )


def sweep_runs(
    base: Any, grid: dict[str, tuple[float, ...]], options: RunOptions
) -> tuple[CompiledRuns, list[dict[str, Any]], Dataset | None]:
    """The runs of a sweep over options of an agent, a label for each of them, and the data set that all learn from, if they do.

    Raises:
        RLJaxError: no option has several values, one has a value twice, or the runs are too many or do not fit into memory.
    """
    if not any(len(values) > 1 for values in grid.values()):
        names = ", ".join(option(name) for name in sweepable(type(base)))
        raise RLJaxError(f"give at least one option several values, such as --learning-rate 3e-4 1e-3; these can vary: {names}")
    check_grid(grid, options.seeds)
    env = make_env(options)
    data = load_data(base, options, env)
    first_trainer = make_trainer(base, options, env, data)
    check_learns(first_trainer, options)
    trainers = (make_trainer(configuration, options, env, data) for _, configuration in settings(base, grid))
    seeds = list(range(options.seed, options.seed + options.seeds))
    runs = batched_runs(first_trainer, trainers, math.prod(map(len, grid.values())), seeds, options)
    return runs, run_labels(seeds, grid), data


def batched_runs(
    first_trainer: Trainer, trainers: Iterable[Trainer], num_settings: int, seeds: list[int], options: RunOptions
) -> CompiledRuns:
    """The runs of several settings, each on all seeds, as one program.

    Args:
        first_trainer: that of the first setting, or one like it.
        trainers: those of all settings, made once the runs are known to fit into memory.
        num_settings: their number.
        seeds: of each setting.
        options: of the run.

    Raises:
        RLJaxError: the runs do not fit into memory, or the settings differ in more than numbers.
    """
    num_runs = num_settings * len(seeds)
    episodes = evaluation_budget(first_trainer, options).episodes
    check_memory(first_trainer, num_runs, episodes)

    def stack(*leaves: Any) -> jax.Array:
        """One leaf of each setting, repeated for its seeds ``[B, ...]``. A weak type stays weak."""
        if all(leaf is leaves[0] or (isinstance(leaf, float | int) and leaf == leaves[0]) for leaf in leaves):
            array = jnp.asarray(leaves[0])
            return jnp.broadcast_to(array, (num_runs, *array.shape))
        return jnp.repeat(jnp.stack([jnp.asarray(leaf) for leaf in leaves]), len(seeds), axis=0)

    all_trainers = list(trainers)
    kinds = [(jax.tree.structure(trainer), *map(jnp.shape, jax.tree.leaves(trainer))) for trainer in all_trainers]
    if any(kind != kinds[0] for kind in kinds):
        raise RLJaxError(
            "the settings of this sweep are several programs: a value that is varied sets a static field or a shape; let it be a "
            "number of a part (a leaf), or start one sweep for each"
        )
    stacked = jax.tree.map(stack, *all_trainers)
    return CompiledRuns(stacked, seeds * num_settings, options.steps, episodes, batched=True, prng=options.prng)


def report(
    folder: Path, varied: list[str], labels: list[dict[str, Any]], returns: list[float | None], title: str, quiet: bool
) -> list[dict[str, Any]]:
    """Print the table of a sweep, best first, draw ``sweep.png``, and return the rows of the table."""
    from rl_jax.run.report.sweep_plot import sweep_plot

    groups: dict[tuple[float, ...], list[float]] = {}
    for label, value in zip(labels, returns, strict=True):
        groups.setdefault(tuple(label[name] for name in varied), []).append(np.nan if value is None else value)
    table: list[dict[str, Any]] = []
    for values, scores in groups.items():
        finite = np.asarray([score for score in scores if np.isfinite(score)])
        low, high = stats.bootstrap_interval(finite) if finite.size > 1 else (None, None)
        row: dict[str, Any] = {
            "iqm": float(stats.iqm(finite)) if finite.size else None,
            "ci95": [low, high],
            "runs": len(scores),
        }
        row |= {"mean": float(finite.mean()) if finite.size else None, "failed": len(scores) - finite.size}
        table.append({**dict(zip(varied, values, strict=True)), **row})
    table.sort(key=lambda row: -np.inf if row["iqm"] is None else row["iqm"], reverse=True)
    plot = sweep_plot(folder / ".sweep.png", varied, list(groups), np.asarray(list(groups.values())), title=title)
    plot.replace(folder / "sweep.png")  # the file is complete or missing: a resumed sweep draws it if it is missing
    if not quiet:
        spread_text = spread_name(max(row["runs"] - row["failed"] for row in table))
        print("  ".join(f"{name:>16}" for name in varied) + f"       IQM      mean   {spread_text}", file=sys.stderr)
        for row in table:
            cells = "  ".join(f"{row[name]:>16g}" for name in varied)
            finite = np.asarray(groups[tuple(row[name] for name in varied)])
            finite = finite[np.isfinite(finite)]
            low, high = row["ci95"] if finite.size >= ENOUGH or finite.size < 2 else (finite.min(), finite.max())
            interval = "" if low is None else interval_text(low, high, finite.tolist(), " .. ", "{:.1f}".format)
            interval += f" ({spread_name(finite.size)})" if finite.size > 1 and spread_name(finite.size) != spread_text else ""
            interval += f"   {row['failed']} of {row['runs']} failed" if row["failed"] else ""
            middle = "  ".join(f"{np.nan if row[name] is None else row[name]:>8.1f}" for name in ("iqm", "mean"))
            print(f"{cells}  {middle}   {interval}", file=sys.stderr)
    return table
