"""Compiled programs that arms of one process share.

Arms whose trainers differ in numbers alone (leaves) run by the same programs, one arm after the other: hyperparameters are arguments
of a program and no constants. Compiling is paid once, an arm's numbers are to the bit those that it has by itself, whatever runs
beside it, and each is kept as soon as it is finished. (Side by side in one larger batch, chunks would have other sizes and sums
another order.)
"""

from typing import Any

import jax

from rl_jax.loop import Trainer
from rl_jax.run.claims.recipe import Work
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.devices.placement import Devices
from rl_jax.run.training.setup import devices_that_share


def runs_of(work: Work, trainer: Trainer, steps: int, rows: int, batched: bool, phase: int = 0) -> CompiledRuns:
    """The runs of a trainer over the work's seeds, by programs that ``work.shared`` has, if they are the same."""
    key = ("programs", *_shape(trainer), len(work.seeds), batched)
    if key in work.shared:
        return work.shared[key].with_trainer(trainer, list(work.seeds), steps, rows, phase)
    devices = Devices.choose(devices_that_share(len(work.seeds)), "seeds")
    runs = CompiledRuns(trainer, list(work.seeds), steps, 64, batched, rows, devices=devices, phase=phase)
    work.shared[key] = runs
    return runs


def _shape(trainer: Trainer) -> tuple[Any, ...]:
    """All of a trainer but its numbers: the structure with its static fields, and each leaf's type."""
    leaves, structure = jax.tree.flatten(trainer)
    types = [jax.typeof(leaf) for leaf in leaves]
    return structure, tuple((x.shape, x.dtype, x.weak_type) for x in types)
