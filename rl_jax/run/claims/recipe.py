"""What a recipe says: the idea, the arms that are compared, what is measured, and the ordering that the paper predicts.

A recipe is one file ``experiments/<family>/<slug>.py`` that defines ``RECIPE``. It is fixed before it is run: settings are
chosen on ``tuning_seeds``, and the verdict is of ``seeds``, which nothing was chosen on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rl_jax.errors import RLJaxError

Array = NDArray[np.float64]


class Curve(NamedTuple):
    """A quantity along an axis: ``x`` ``[P]``, ``y`` ``[runs, P]`` (NaN: no value there)."""

    x: Array
    y: Array


@dataclass(frozen=True)
class Outcome:
    """What an arm found.

    Attributes:
        values: each measure's value of every run ``[runs]``.
        curves: each curve of every run.
        steps: environment steps of each run: its budget.
        seconds_compile: of which nothing was learned.
    """

    values: dict[str, Array]
    curves: dict[str, Curve] = field(default_factory=dict)
    steps: int = 0
    seconds_compile: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As JSON has it, numbers to the bit."""
        values = {name: np.asarray(x, np.float64).tolist() for name, x in self.values.items()}
        curves = {
            name: [np.asarray(c.x, np.float64).tolist(), np.asarray(c.y, np.float64).tolist()]
            for name, c in self.curves.items()
        }
        return {"values": values, "curves": curves, "steps": self.steps, "seconds_compile": self.seconds_compile}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Outcome":
        """The outcome that :meth:`to_json` wrote."""
        values = {name: np.asarray(x, np.float64) for name, x in content["values"].items()}
        curves = {
            name: Curve(np.asarray(x, np.float64), np.asarray(y, np.float64)) for name, (x, y) in content["curves"].items()
        }
        return cls(values, curves, content["steps"], content["seconds_compile"])


@dataclass(frozen=True)
class Work:
    """What an arm is asked to do.

    Attributes:
        seeds: one run for each.
        quick: a small slice, to see that everything works; what it finds means nothing.
        progress: to be called now and then, with the share of the arm that is done, in ``[0, 1]``, and a few words.
    """

    seeds: tuple[int, ...]
    quick: bool
    progress: Callable[[float, str], None]


class Arm(Protocol):
    """One side of a comparison. The same seeds give the same outcome."""

    def __call__(self, work: Work) -> Outcome: ...


@dataclass(frozen=True)
class Prediction:
    """``better`` lies above ``worse`` on a measure, by more than ``margin``.

    The rule, the same for all recipes: with the difference of the interquartile means over seeds and its 95% bootstrap
    interval, the prediction *holds* if the interval lies above the margin, *does not hold* if it lies below, and is
    *undecided* if it contains it. A negative margin is a tolerance: "no worse than by so much".

    Attributes:
        measure: a name in ``Recipe.measures``.
        better, worse: arms, or for one of them a number that the other is compared with.
        margin: in the measure's unit.
        why: what the paper says, in a few words.
    """

    measure: str
    better: str | float
    worse: str | float
    margin: float = 0.0
    why: str = ""

    def text(self) -> str:
        """The prediction in words."""
        more = f" by more than {self.margin:g}" if self.margin > 0 else f" less {-self.margin:g}" if self.margin < 0 else ""
        return f"{self.measure}: {self.better} > {self.worse}{more}"


class Axes(NamedTuple):
    """What a curve's axes say."""

    x: str
    y: str


@dataclass(frozen=True)
class Recipe:
    """One published idea, ready to be run.

    Attributes:
        slug: its name; the file's too.
        title: a headline.
        paper: authors, title, where and when.
        claim: what the paper claims and this recipe tests, in a sentence or two.
        environment: in words, with what was scaled down.
        arms: the method and what it is compared with, at equal budgets.
        measures: what is measured, larger is better, with its unit in words.
        predictions: all of them must hold for the claim to hold.
        curves: names of the arms' curves that the plot shows.
        seeds: of the reported runs.
        tuning_seeds: on which settings were chosen.
        departures: what differs from the paper, and what was tried.
        minutes: what it takes on two cores, about.
    """

    slug: str
    title: str
    paper: str
    claim: str
    environment: str
    arms: dict[str, Arm]
    measures: dict[str, str]
    predictions: tuple[Prediction, ...]
    curves: dict[str, Axes] = field(default_factory=dict)
    seeds: tuple[int, ...] = tuple(range(100, 110))
    tuning_seeds: tuple[int, ...] = tuple(range(10))
    departures: str = ""
    minutes: float = 10.0

    def check(self) -> None:
        """Refuse a recipe that could not be judged, before anything is run.

        Raises:
            RLJaxError: with what is wrong.
        """
        if len(self.seeds) < 10:
            raise RLJaxError(f"{self.slug}: a verdict needs at least 10 seeds, not {len(self.seeds)}")
        if both := set(self.seeds) & set(self.tuning_seeds):
            raise RLJaxError(f"{self.slug}: settings were chosen on reported seeds: {sorted(both)}")
        if not self.predictions:
            raise RLJaxError(f"{self.slug}: nothing is predicted: say which arm should be above which")
        for prediction in self.predictions:
            if prediction.measure not in self.measures:
                raise RLJaxError(f"{self.slug}: '{prediction.measure}' is no measure: {', '.join(self.measures)}")
            sides = [side for side in (prediction.better, prediction.worse) if isinstance(side, str)]
            if missing := [side for side in sides if side not in self.arms]:
                raise RLJaxError(f"{self.slug}: there is no arm '{missing[0]}': {', '.join(self.arms)}")
            if not sides:
                raise RLJaxError(f"{self.slug}: '{prediction.text()}' compares two numbers")
