"""The usual arm: runs of a trainer over seeds, then questions to what they have learned."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.errors import NonFinite
from rl_jax.loop import Trainer
from rl_jax.run.claims.arms.programs import runs_of
from rl_jax.run.claims.recipe import Curve, Outcome, Work
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.types import Key, PyTree

#: ``(trainer, state, key) -> answers``: a scalar is a measure, a vector ``[P]`` a curve over 1, 2, ... P.
Question = Callable[[Trainer, PyTree, Key], dict[str, jax.Array]]


class Finished(NamedTuple):
    """Runs at the end of their training: what was found, their programs, and their states ``[runs, ...]``."""

    outcome: Outcome
    runs: CompiledRuns
    state: PyTree


@dataclass(frozen=True)
class Training:
    """How runs are trained and asked.

    Attributes:
        make: the trainer, given whether this is the quick slice.
        steps, quick_steps: environment steps of each run.
        question: asked at the end, compiled, with a key that training never saw; ``None``: greedy evaluation as ``return``.
        metrics: what training reports and is kept as curves, by the curve's name; the last value is a measure of that name
            too, if ``finals`` has it.
        finals: measures taken from the end of training: the mean of the metric's last tenth.
        rows: points of these curves.
        diverged: measures of runs whose parameters are no longer finite, where that is a finding and not a mistake; ``None``: refuse.
        data: recorded transitions that each run is given; for the outcome alone.
        calls: network calls of a planner or sampler in each run; for the outcome alone.
    """

    make: Callable[..., Trainer]
    steps: int
    quick_steps: int
    question: Question | None = None
    metrics: tuple[str, ...] = ("episode/return",)
    finals: tuple[str, ...] = ()
    rows: int = 50
    diverged: dict[str, float] | None = None
    data: int | None = None
    calls: int | None = None

    def train(
        self,
        work: Work,
        trainer: Trainer,
        question: Question,
        batched: bool,
        phase: int = 0,
        start: Callable[[PyTree], PyTree] | None = None,
    ) -> Finished:
        """Train and ask.

        Args:
            work: seeds, and whether this is the quick slice.
            trainer: that of all runs; with ``batched`` its leaves have a leading axis of runs.
            question: as the attribute.
            batched: whether each run has leaves of its own.
            phase: the number of the training among those of the same seeds, from 0: each draws random numbers of its own.
            start: what the fresh states ``[runs, ...]`` become before the first step.

        Raises:
            NonFinite: the parameters of a run are not all finite at the end, and its answers would mean nothing.
        """
        steps, rows_wanted = (self.quick_steps, 4) if work.quick else (self.steps, self.rows)
        runs, names = len(work.seeds), {*self.metrics, *self.finals}
        job = runs_of(work, trainer, steps, rows_wanted, batched, phase)
        job.compile()
        state, rows, edges, good, learned = job.init(), [], job.edges(), np.ones(runs, bool), np.zeros(runs)
        state = state if start is None else start(state)
        for begin, end in pairwise(edges):
            tick = time.perf_counter()
            state, metrics = job.advance(state, end - begin, ~good)
            good &= ~metrics["failed"].astype(bool)
            learned += metrics["learn_calls"]
            rows.append({name: metrics[name] for name in names})
            rate = (end - begin) * trainer.steps_per_update * runs / (time.perf_counter() - tick)
            shown = {name: metrics[name] for name in self.metrics[:1] if np.isfinite(metrics[name]).any()}
            words = "".join(f"  {name} {np.nanmean(value):.4g}" for name, value in shown.items())
            work.progress(end / edges[-1], f"{rate / 1e3:.3g}k steps/s{words}")
        if not good.all() and self.diverged is None:
            seed = work.seeds[int(np.argmin(good))]
            raise NonFinite(f"seed {seed}: it met NaN or infinity in training; lower the learning rate")
        x = np.asarray(edges[1:], np.float64) * trainer.steps_per_update
        series = {name: np.asarray([row[name] for row in rows], np.float64).T for name in names}
        curves = {name: Curve(x, series[name]) for name in self.metrics}
        last = max(1, len(rows) // 10)
        values = {name: np.nanmean(series[name][:, -last:], axis=1) for name in self.finals}
        answers = _sorted(job.ask(question, state))
        values |= answers.values
        curves |= answers.curves
        values = {name: np.where(good, x, (self.diverged or {}).get(name, np.nan)) for name, x in values.items()}
        lost = () if good.all() else tuple((~good).tolist())
        budget = {"updates": round(float(learned.mean())), "data": self.data, "calls": self.calls}
        steps = edges[-1] * trainer.steps_per_update
        return Finished(Outcome(values, curves, steps, job.seconds_compile, lost, **budget), job, state)


@dataclass(frozen=True)
class Trained(Training):
    """Trains one run for each seed and asks each a question.

    Arms of a process whose trainers differ in numbers alone run by the same compiled programs, see
    :mod:`rl_jax.run.claims.arms.programs`.

    Attributes:
        batched: the trainer's leaves have a leading axis, one entry for each seed: each run has settings of its own.
    """

    batched: bool = False

    def __call__(self, work: Work) -> Outcome:
        """Train and ask.

        Raises:
            NonFinite: as :meth:`train`.
        """
        return self.train(work, self.make(work.quick), self.question or greedy_return, self.batched).outcome


def answered(answer: Callable[[jax.Array], dict[str, jax.Array]], seeds: Sequence[int]) -> Outcome:
    """What ``answer(seed)`` says of every seed, for arms that nothing has to be trained for; sorted as the answers to a question."""
    found = [answer(jnp.uint32(seed)) for seed in seeds]
    return _sorted({name: np.asarray([one[name] for one in found], np.float64) for name in found[0]})


def _sorted(answers: dict[str, np.ndarray]) -> Outcome:
    """Answers of every run: scalars ``[runs]`` are measures, vectors ``[runs, P]`` curves over 1, 2, ... P."""
    curves = {name: Curve(np.arange(1.0, x.shape[1] + 1), x) for name, x in answers.items() if x.ndim > 1}
    return Outcome({name: x for name, x in answers.items() if x.ndim == 1}, curves)


def greedy_return(trainer: Trainer, state: PyTree, key: Key) -> dict[str, Any]:
    """The mean return of 64 whole episodes, greedily."""
    from rl_jax.loop import evaluate

    return {"return": evaluate(trainer, state, key, 64).mean()}
