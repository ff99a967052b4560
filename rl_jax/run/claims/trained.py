"""The usual arm: runs of a trainer over seeds, then questions to what they have learned."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.errors import NonFinite
from rl_jax.loop import Trainer
from rl_jax.run.claims.recipe import Curve, Outcome, Work
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.devices.placement import Devices
from rl_jax.run.training.setup import devices_that_share
from rl_jax.types import Key, PyTree

#: ``(trainer, state, key) -> answers``: a scalar is a measure, a vector ``[P]`` a curve over 1, 2, ... P.
Question = Callable[[Trainer, PyTree, Key], dict[str, jax.Array]]


@dataclass(frozen=True)
class Trained:
    """Trains one run for each seed and asks each a question.

    Attributes:
        make: the trainer, given whether this is the quick slice.
        steps, quick_steps: environment steps of each run.
        question: asked at the end, compiled, with a key that training never saw; ``None``: greedy evaluation as ``return``.
        metrics: what training reports and is kept as curves, by the curve's name; the last value is a measure of that name
            too, if ``finals`` has it.
        finals: measures taken from the end of training: the mean of the metric's last tenth.
        rows: points of these curves.
        diverged: measures of runs whose parameters are no longer finite, where that is a finding and not a mistake; ``None``: refuse.
        batched: the trainer's leaves have a leading axis, one entry for each seed: each run has settings of its own.
    """

    make: Callable[[bool], Trainer]
    steps: int
    quick_steps: int
    question: Question | None = None
    metrics: tuple[str, ...] = ("episode/return",)
    finals: tuple[str, ...] = ()
    rows: int = 50
    diverged: dict[str, float] | None = None
    batched: bool = False

    def __call__(self, work: Work) -> Outcome:
        """Train and ask.

        Raises:
            NonFinite: the parameters of a run are not all finite at the end, and its answers would mean nothing.
        """
        trainer = self.make(work.quick)
        steps = self.quick_steps if work.quick else self.steps
        runs = len(work.seeds)
        devices = Devices.choose(devices_that_share(runs), "seeds")
        rows_wanted = 4 if work.quick else self.rows
        job = CompiledRuns(trainer, list(work.seeds), steps, 64, self.batched, rows_wanted, devices=devices)
        job.compile()
        state, rows, edges, good = job.init(), [], job.edges(), np.ones(runs, bool)
        for begin, end in pairwise(edges):
            tick = time.perf_counter()
            state, metrics = job.advance(state, end - begin, ~good)
            good &= ~metrics["failed"].astype(bool)
            rows.append({name: metrics[name] for name in {*self.metrics, *self.finals}})
            rate = (end - begin) * trainer.steps_per_update * runs / (time.perf_counter() - tick)
            shown = {name: metrics[name] for name in self.metrics[:1] if np.isfinite(metrics[name]).any()}
            words = "".join(f"  {name} {np.nanmean(value):.4g}" for name, value in shown.items())
            work.progress(end / edges[-1], f"{rate / 1e3:.3g}k steps/s{words}")
        if not good.all() and self.diverged is None:
            seed = work.seeds[int(np.argmin(good))]
            raise NonFinite(f"seed {seed}: it met NaN or infinity in training; lower the learning rate")
        x = np.asarray(edges[1:], np.float64) * trainer.steps_per_update
        series = {name: np.asarray([row[name] for row in rows], np.float64).T for name in {*self.metrics, *self.finals}}
        curves = {name: Curve(x, series[name]) for name in self.metrics}
        last = max(1, len(rows) // 10)
        values = {name: np.nanmean(series[name][:, -last:], axis=1) for name in self.finals}
        answers = _sorted(job.ask(self.question or _greedy_return, state))
        values |= answers.values
        curves |= answers.curves
        values = {name: np.where(good, x, (self.diverged or {}).get(name, np.nan)) for name, x in values.items()}
        lost = () if good.all() else tuple((~good).tolist())
        return Outcome(values, curves, edges[-1] * trainer.steps_per_update, job.seconds_compile, lost)


def answered(answer: Callable[[jax.Array], dict[str, jax.Array]], seeds: Sequence[int]) -> Outcome:
    """What ``answer(seed)`` says of every seed, for arms that nothing has to be trained for; sorted as the answers to a question."""
    found = [answer(jnp.uint32(seed)) for seed in seeds]
    return _sorted({name: np.asarray([one[name] for one in found], np.float64) for name in found[0]})


def _sorted(answers: dict[str, np.ndarray]) -> Outcome:
    """Answers of every run: scalars ``[runs]`` are measures, vectors ``[runs, P]`` curves over 1, 2, ... P."""
    curves = {name: Curve(np.arange(1.0, x.shape[1] + 1), x) for name, x in answers.items() if x.ndim > 1}
    return Outcome({name: x for name, x in answers.items() if x.ndim == 1}, curves)


def _greedy_return(trainer: Trainer, state: PyTree, key: Key) -> dict[str, Any]:
    """The mean return of 64 whole episodes, greedily."""
    from rl_jax.loop import evaluate

    return {"return": evaluate(trainer, state, key, 64).mean()}
