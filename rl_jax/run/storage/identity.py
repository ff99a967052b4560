"""What tells the runs of one folder apart: their settings and their seed, the same in rows, loggers, plots and results."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

#: Where a row was measured, as opposed to what.
COORDINATES = ("steps", "run", "seed", "wall")


def run_labels(seeds: Sequence[int], grid: Mapping[str, Sequence[float]] | None = None) -> list[dict[str, Any]]:
    """A label for each run of a folder, in order: its seed; in a sweep over ``grid`` its number and what is varied besides."""
    if grid is None:
        return [{"seed": seed} for seed in seeds]
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    each = [
        {"seed": seed, **{name: value for name, value in point.items() if len(grid[name]) > 1}}
        for point in points
        for seed in seeds
    ]
    return [{"run": number, **label} for number, label in enumerate(each)]


def settings_of(label: Mapping[str, Any], names: Iterable[str] | None = None) -> dict[str, Any]:
    """The settings in a run's label; of a row of metrics, those among ``names``."""
    return {name: value for name, value in label.items() if (name not in COORDINATES if names is None else name in names)}


def settings_text(settings: Mapping[str, Any]) -> str:
    """``learning_rate=0.001,gamma=0.9``; empty if there are none."""
    return ",".join(f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}" for name, value in settings.items())


def run_name(label: Mapping[str, Any]) -> str:
    """A run's name, for folders and curves: ``seed_3``, or ``learning_rate=0.001,seed=3`` where settings differ too."""
    settings = settings_text(settings_of(label))
    return f"{settings},seed={label.get('seed', 0)}" if settings else f"seed_{label.get('seed', 0)}"
