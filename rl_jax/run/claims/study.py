"""Studies: one task with shared arms, run once, on which several claims are judged.

``experiments/studies/NAME.py`` defines ``STUDY``. Each claim is a file of its own, ``experiments/FAMILY/SLUG.py``, that says
``from studies.NAME import STUDY`` and ``RECIPE = STUDY.recipe(...)``. So a claim is a recipe like any other, with its own file,
verdict and result: one idea, one file, and adding one touches no other. What the claims must agree on to share arms is in the study
alone: environment, measures, seeds, pairing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rl_jax.errors import RLJaxError
from rl_jax.run.claims.gates import Gate
from rl_jax.run.claims.recipe import Arm, Axes, Prediction, Recipe


@dataclass(frozen=True)
class Study:
    """What the claims of one study have in common.

    Attributes:
        name: its file's name.
        environment: in words, with what was scaled down.
        arms: that claims may name, at equal budgets; each is run once for all claims that name it.
        measures: what is measured, larger is better, with its unit in words.
        curves: names of the arms' curves that the plots show.
        gates: see :class:`~rl_jax.run.claims.gates.Gate`; a claim has all of them unless it says which.
        seeds: of the reported runs.
        tuning_seeds: on which settings were chosen.
        paired: see :class:`~rl_jax.run.claims.recipe.Recipe`; decided before anything is run.
        departures: what holds of all claims: what differs from the papers, and what was tried.
        minutes: what all arms take together on two cores, about.
    """

    name: str
    environment: str
    arms: Mapping[str, Arm]
    measures: dict[str, str]
    curves: dict[str, Axes] = field(default_factory=dict)
    gates: tuple[Gate, ...] = ()
    seeds: tuple[int, ...] = tuple(range(100, 110))
    tuning_seeds: tuple[int, ...] = tuple(range(10))
    paired: bool = False
    departures: str = ""
    minutes: float = 10.0

    def recipe(
        self,
        *,
        slug: str,
        title: str,
        paper: str,
        claim: str,
        predictions: tuple[Prediction, ...],
        shown: tuple[str, ...] = (),
        arms: Mapping[str, Arm] | None = None,
        gates: tuple[str, ...] | None = None,
        seeds: tuple[int, ...] | None = None,
        departures: str = "",
        minutes: float | None = None,
    ) -> Recipe:
        """One claim, on the arms that its predictions and gates name.

        Args:
            slug, title, paper, claim, predictions: as of :class:`~rl_jax.run.claims.recipe.Recipe`.
            shown: further arms of the study that are run and shown, and not judged.
            arms: of this claim alone.
            gates: names of the study's gates that this claim depends on; ``None``: all.
            seeds: of another attempt, after one on the study's seeds was recorded.
            departures: of this claim; those of the study stand before.
            minutes: what these arms take; ``None``: as the study.

        Raises:
            RLJaxError: the study has no such arm or gate, a gate cannot be measured, or both have an arm of one name.
        """
        own, known = dict(arms or {}), [gate.name for gate in self.gates]
        if twice := sorted(own.keys() & self.arms.keys()):
            raise RLJaxError(f"the study {self.name} has an arm '{twice[0]}' too: call that of {slug} otherwise")
        for what, names, offered in (("arm", shown, self.arms), ("gate", gates or (), known)):
            if missing := [name for name in names if name not in offered]:
                raise RLJaxError(f"the study {self.name} has no {what} '{missing[0]}': {', '.join(offered) or 'none at all'}")
        asked = tuple(gate for gate in self.gates if gates is None or gate.name in gates)
        sides = [side for prediction in predictions for side in (prediction.better, prediction.worse) if isinstance(side, str)]
        if missing := [side for side in sides if side not in self.arms and side not in own]:
            raise RLJaxError(f"{slug}: there is no arm '{missing[0]}': {', '.join((*self.arms, *own))}")
        for gate in asked:
            gate.check((*self.arms, *own), self.measures)
        named = {*shown, *sides, *(arm for gate in asked for arm in gate.arms)}
        return Recipe(
            slug=slug,
            title=title,
            paper=paper,
            claim=claim,
            environment=self.environment,
            arms={name: arm for name, arm in self.arms.items() if name in named} | own,
            measures=self.measures,
            predictions=predictions,
            curves=self.curves,
            seeds=self.seeds if seeds is None else seeds,
            tuning_seeds=self.tuning_seeds,
            departures=" ".join(filter(None, (self.departures, departures))),
            minutes=self.minutes if minutes is None else minutes,
            gates=asked,
            paired=self.paired,
            study=self.name,
            own=tuple(own),
        )
