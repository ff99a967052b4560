"""Why a run failed: its train step is played again from a checkpoint, and what its environment gave there is looked at."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.errors import RLJaxError
from rl_jax.loop import Trainer
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.devices.device_memory import available, tree_bytes
from rl_jax.run.storage.checkpoint import Checkpoints
from rl_jax.run.training.plan import Plan, with_length
from rl_jax.types import PyTree


def environment_faults(
    job: CompiledRuns, checkpoints: Checkpoints, plan: Plan, at: Mapping[int, int], frozen: np.ndarray
) -> dict[int, str]:
    """What an environment gave that is no number, for those runs in which it did.

    A run that goes well pays nothing for this. One that has failed takes the train steps since the newest checkpoint once more,
    which are the same to the bit, and as much memory again.

    Args:
        job: the runs.
        checkpoints: theirs.
        plan: over which length they were planned, and when.
        at: the train step in which each new one failed, by its number.
        frozen: runs ``[B]`` that had failed before.

    Returns:
        ``the environment's observations`` or ``the environment's state``, by number; nothing where it was not to blame, or where
        there is no checkpoint or no memory to find out.
    """
    shape, free, per_update = job.state_shape(), available(), job.trainer.steps_per_update
    if jax.process_count() > 1 or (free is not None and 2 * tree_bytes(shape) > free):
        return {}
    first = min(at.values())
    try:
        step = checkpoints.whole([step for step in reversed(checkpoints.steps()) if step <= first * per_update])
        if step is None:
            return {}
        done, found = step // per_update, dict[int, str]()
        state = checkpoints.restore(step, shape, checked=True)
        if len(plan.planned) > 1:
            state = with_length(job, state, plan.length(done))
        for update in sorted({*at.values()}):
            if update > done:
                state, _ = job.advance(state, update - done, frozen)
                done = update
            given = job.ask(_given, state)
            for run, when in at.items():
                faults = [name for name in ("observations", "state") if not given[name][run]]
                if when == update and given["params"][run] and faults:
                    found[run] = f"the environment's {faults[0]}"
        return found
    except (RLJaxError, jax.errors.JaxRuntimeError):  # what is found out here must not end the runs that go on
        return {}


def _given(trainer: Trainer, state: PyTree, key: jax.Array) -> dict[str, jax.Array]:
    """Whether the parameters are finite, and what the environment gives for the next rollout: an action that is NaN excuses it."""
    _, rollout, _ = trainer.collect(state)

    def known(x: jax.Array) -> jax.Array:
        """A state may hold infinity on purpose, such as the best distance so far."""
        return ~jnp.isnan(x)

    # What is replayed came from the environment as well, perhaps long ago; a reward that is NaN would have been met then.
    observed = _all(jnp.isfinite, (rollout.obs, rollout.next_obs)) & _all(known, state.replay)
    return {
        "params": _all(jnp.isfinite, trainer.params(state)),
        "observations": observed,
        "state": _all(known, rollout.env_state),
    }


def _all(is_good: Any, tree: PyTree) -> jax.Array:
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.stack([jnp.all(is_good(x)) for x in leaves] or [jnp.bool_(True)]))
