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
from rl_jax.run.claims.gates import Gate

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
        diverged: whether a run met NaN or infinity ``[runs]``; empty if none did.
        updates: learning steps of each run, their mean over runs; 0 if nothing is learned, ``None`` if they were not counted.
        data: recorded transitions that each run was given; 0 or ``None`` as for ``updates``.
        calls: network calls of a planner or sampler in each run; 0 or ``None`` as for ``updates``.
    """

    values: dict[str, Array]
    curves: dict[str, Curve] = field(default_factory=dict)
    steps: int = 0
    seconds_compile: float = 0.0
    diverged: tuple[bool, ...] = ()
    updates: int | None = None
    data: int | None = None
    calls: int | None = None

    @property
    def budget(self) -> dict[str, int | None]:
        """What each run has spent, besides time."""
        return {"steps": self.steps, "updates": self.updates, "data": self.data, "calls": self.calls}

    def to_json(self) -> dict[str, Any]:
        """As JSON has it, numbers to the bit."""
        values = {name: np.asarray(x, np.float64).tolist() for name, x in self.values.items()}
        curves = {
            name: [np.asarray(c.x, np.float64).tolist(), np.asarray(c.y, np.float64).tolist()]
            for name, c in self.curves.items()
        }
        return {
            "values": values,
            "curves": curves,
            **self.budget,
            "seconds_compile": self.seconds_compile,
            "diverged": list(self.diverged),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Outcome":
        """The outcome that :meth:`to_json` wrote."""
        values = {name: np.asarray(x, np.float64) for name, x in content["values"].items()}
        curves = {
            name: Curve(np.asarray(x, np.float64), np.asarray(y, np.float64)) for name, (x, y) in content["curves"].items()
        }
        budget = {name: content[name] for name in ("steps", "updates", "data", "calls")}
        return cls(values, curves, seconds_compile=content["seconds_compile"], diverged=tuple(content["diverged"]), **budget)


@dataclass(frozen=True)
class Work:
    """What an arm is asked to do.

    Attributes:
        seeds: one run for each.
        quick: a small slice, to see that everything works; what it finds means nothing.
        progress: to be called now and then, with the share of the arm that is done, in ``[0, 1]``, and a few words.
        shared: what arms of one process have in common, such as compiled programs and phases; each arm may read and add.
    """

    seeds: tuple[int, ...]
    quick: bool
    progress: Callable[[float, str], None]
    shared: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)


class Arm(Protocol):
    """One side of a comparison. The same seeds give the same outcome."""

    def __call__(self, work: Work) -> Outcome: ...


@dataclass(frozen=True)
class Prediction:
    """``better`` lies above ``worse`` on a measure, by more than ``margin``.

    The rule, the same for all recipes, is :func:`rl_jax.run.claims.evidence.weigh`: with the difference of the interquartile means over
    seeds and its 95% bootstrap interval the prediction *holds* if the interval lies above the margin, *does not hold* if it lies
    below, also at the level that several predictions ask for, and is *undecided* otherwise. Outcomes of success or failure, and
    runs that are all alike, are judged exactly. A negative margin is a tolerance: "no worse than by so much".

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
        gates: all must pass for the claim to hold or not to hold.
        paired: the arms of a seed have something in common (an expert, data, a pre-trained network), and seeds are resampled
            jointly: see :func:`rl_jax.run.claims.evidence.weigh`. Fixed in advance, as all else.
        study: the name of the :class:`~rl_jax.run.claims.study.Study` whose arms these are; empty: none.
        own: names of the arms that are not the study's.
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
    gates: tuple[Gate, ...] = ()
    paired: bool = False
    study: str = ""
    own: tuple[str, ...] = ()

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
        for gate in self.gates:
            gate.check(self.arms, self.measures)
        names = [gate.name for gate in self.gates]
        if twice := [name for name in names if names.count(name) > 1]:
            raise RLJaxError(f"{self.slug}: two gates are called '{twice[0]}'")
