"""The programs that a batch of runs is compiled to: what is said of each, and the one that trains."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rl_jax.loop import Trainer
from rl_jax.run.devices.placement import Layout
from rl_jax.types import PyTree


class ProgramSpec(NamedTuple):
    """A program to compile: its function, the layouts and shapes of its arguments, the layout of its results, donated arguments."""

    name: str
    function: Any
    in_layout: tuple[Layout, ...]
    out_layout: PyTree
    shapes: tuple[Any, ...]
    donate: tuple[int, ...] = ()


def advance_run(
    trainer: Trainer, state: PyTree, number: jax.Array, frozen: jax.Array, single: bool
) -> tuple[PyTree, dict[str, Any]]:
    """``number`` train steps of one run; the metric ``failed`` says whether it met NaN or infinity.

    One run of several (not ``single``) that fails, or was ``frozen`` before, keeps the agent that it had. This costs a copy of the
    agent for each call.
    """
    agent = state.agent
    state, metrics = trainer.advance(state, number)
    leaves = [x for x in jax.tree.leaves(trainer.params(state)) if jnp.issubdtype(x.dtype, jnp.inexact)]
    # An agent may have no parameters.
    finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in leaves] or [jnp.bool_(True)]))
    failed = frozen | (metrics["nonfinite_update"] >= 0) | ~finite
    if not single:
        state = state.replace(agent=jax.tree.map(partial(jax.lax.select, failed), agent, state.agent))
    return state, {**metrics, "failed": failed}
