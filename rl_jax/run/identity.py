"""What tells the runs of one folder apart: their settings and their seed, the same in rows, loggers, plots and results."""

from collections.abc import Iterable, Mapping
from typing import Any

#: Where a row was measured, as opposed to what.
COORDINATES = ("steps", "run", "seed", "wall")


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
