"""Arms of several phases: one trainer after another for every seed, each with what the earlier ones have kept.

An expert is trained, its data are recorded, and a learner is trained on them; a network is pre-trained and then adapted. Every seed
has its own expert, data and network, so that the spread over seeds has theirs in it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.errors import RLJaxError
from rl_jax.loop import Trainer
from rl_jax.ops.tree_difference import difference
from rl_jax.run.claims.arms.trained import Training, greedy_return
from rl_jax.run.claims.recipe import Outcome, Work
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.devices.tree_io import is_key
from rl_jax.types import Key, PyTree

#: What earlier phases kept, by their names.
Kept = dict[str, Any]
#: The stream of the keys that are used for keeping.
KEEP = 2**31 - 3


@dataclass(frozen=True)
class Phase(Training):
    """One trainer of several that follow one another.

    Attributes:
        make: ``(quick, kept) -> trainer``, called for each seed with what the earlier phases kept of this seed, without an axis of
            seeds. The trainers of two seeds may differ in their leaves alone: functions and environments that they hold are made
            outside.
        question: ``None``: greedy evaluation as ``return`` in the last phase, nothing in an earlier one.
        name: what it is called in ``kept``; measures and curves of an earlier phase are called ``NAME/MEASURE``.
        keep: ``(trainer, state, key) -> kept``, compiled, asked of every seed at the end: agent states, recorded data, snapshots.
        start: ``(state, kept) -> state``, of every seed before the first step: to go on with a trained agent, say
            ``state.replace(agent=kept["experts"]["agent"])``.
    """

    name: str = field(kw_only=True)
    keep: Callable[[Trainer, PyTree, Key], PyTree] | None = None
    start: Callable[[PyTree, Kept], PyTree] | None = None

    def run(self, work: Work, kept: Kept, number: int, last: bool) -> tuple[Outcome, PyTree]:
        """Train every seed, and what is kept of each: leaves ``[seeds, ...]``."""
        alone = [jax.tree.map(lambda leaf: leaf[i], kept) for i in range(len(work.seeds))]  # noqa: B023
        trainer = self._stacked([self.make(work.quick, one) for one in alone])
        start = None if self.start is None else partial(self._start, kept)
        question = self.question or (greedy_return if last else _nothing)
        outcome, runs, state = self.train(work, trainer, question, True, number, start)
        return outcome, None if self.keep is None else _on_host(runs, self.keep, state)

    def _stacked(self, trainers: list[Trainer]) -> Trainer:
        """One trainer whose leaves have a leading axis of seeds.

        Raises:
            RLJaxError: they differ in more than the values of their leaves.
        """
        structures = {jax.tree.structure(trainer): None for trainer in trainers}
        shapes = {tuple(jnp.shape(leaf) for leaf in jax.tree.leaves(trainer)): None for trainer in trainers}
        if len(structures) > 1 or len(shapes) > 1:
            what = "shapes of leaves" if len(structures) == 1 else "fields that are no leaves"
            raise RLJaxError(
                f"the trainers of the phase '{self.name}' differ from seed to seed in {what}: make functions and environments "
                "outside of make, and keep arrays of one shape"
            )
        return jax.tree.map(lambda *leaves: jnp.stack(list(map(jnp.asarray, leaves))), *trainers)

    def _start(self, kept: Kept, state: PyTree) -> PyTree:
        """The states to begin with, where the fresh ones are.

        Raises:
            RLJaxError: they have other structures, shapes or dtypes than the fresh ones.
        """
        assert self.start is not None
        started = jax.vmap(self.start)(state, kept)
        if difference(state, started):
            raise RLJaxError(
                f"start of the phase '{self.name}' returns a state of another structure or other shapes than the trainer's: "
                "train earlier phases with the same network, and replace whole fields"
            )
        return jax.tree.map(lambda new, old: jax.device_put(new, old.sharding, may_alias=False), started, state)


@dataclass(frozen=True)
class Phased:
    """Trains phases one after the other, each over all seeds.

    The outcome is that of the last phase; steps, learning steps, data and calls are those of all phases together, also where another
    arm has run them.

    Attributes:
        phases: at least one, by different names.
        share: a name under which all phases but the last are run once for all arms of a process that have it. Their phases must be
            the same objects, as far as both have them: ``EXPERTS = Phase(...)``, once. Empty: the arm runs all of its phases.
    """

    phases: tuple[Phase, ...]
    share: str = ""

    def check(self) -> None:
        """Refuse phases that cannot follow one another.

        Raises:
            RLJaxError: with what is wrong.
        """
        names = [phase.name for phase in self.phases]
        if not names or len({*names}) < len(names) or "" in names:
            raise RLJaxError(f"the phases of an arm need names, all different, not {names}")

    def __call__(self, work: Work) -> Outcome:
        """Train all phases.

        Raises:
            NonFinite: a run met NaN or infinity in a phase that does not say what that means.
            RLJaxError: arms with the same ``share`` have different first phases, or a phase cannot be made of what was kept.
        """
        self.check()
        done: list[tuple[Phase, Outcome, PyTree]] = []
        if self.share:
            done = work.shared.setdefault(("phases", self.share, tuple(work.seeds), work.quick), done)
        found: list[Outcome] = []
        kept: Kept = {}
        for number, phase in enumerate(self.phases):
            last = number == len(self.phases) - 1
            if not last and number < len(done):
                if done[number][0] != phase:
                    raise RLJaxError(
                        f"arms that share '{self.share}' have different phases '{done[number][0].name}' and '{phase.name}': "
                        "define a phase once, or share under another name"
                    )
                _, outcome, result = done[number]
                outcome = replace(outcome, seconds_compile=0.0)
            else:
                part = replace(work, progress=partial(self._progress, work, number))
                outcome, result = phase.run(part, kept, number, last)
                if not last:
                    done.append((phase, outcome, result))
            found.append(outcome)
            kept = {**kept, phase.name: result}
        return self._together(found)

    def _progress(self, work: Work, number: int, share: float, text: str) -> None:
        work.progress((number + share) / len(self.phases), f"{self.phases[number].name}: {text}")

    def _together(self, found: list[Outcome]) -> Outcome:
        """The last outcome, with the measures of the others by the names of their phases, and the budget of all."""
        values, curves = dict(found[-1].values), dict(found[-1].curves)
        for phase, outcome in zip(self.phases, found[:-1], strict=False):
            values |= {f"{phase.name}/{name}": x for name, x in outcome.values.items()}
            curves |= {f"{phase.name}/{name}": x for name, x in outcome.curves.items()}
        counts = [outcome.budget for outcome in found]
        budget: dict[str, Any] = {name: _sum([count[name] for count in counts]) for name in counts[0]}
        lost = np.any([outcome.diverged for outcome in found if outcome.diverged], axis=0)
        return Outcome(
            values,
            curves,
            seconds_compile=sum(outcome.seconds_compile for outcome in found),
            diverged=tuple(np.atleast_1d(lost).tolist()) if np.any(lost) else (),
            **budget,
        )


def _sum(counts: list[int | None]) -> int | None:
    """The sum of those that were counted; ``None`` if none was."""
    counted = [count for count in counts if count is not None]
    return sum(counted) if counted else None


def _nothing(trainer: Trainer, state: PyTree, key: Key) -> dict[str, jax.Array]:
    return {}


def _on_host(runs: CompiledRuns, keep: Callable[..., PyTree], state: PyTree) -> PyTree:
    """What is kept of every seed ``[seeds, ...]``, off the devices, which the next phase needs."""

    def fetched(x: jax.Array) -> Any:
        if is_key(x):
            return jax.random.wrap_key_data(jnp.asarray(np.asarray(jax.random.key_data(x))), impl=jax.random.key_impl(x))
        return np.asarray(x)

    return jax.tree.map(fetched, runs.call(keep, state, KEEP))
