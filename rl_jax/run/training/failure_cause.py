"""Why a run failed: its train steps are repeated from a checkpoint, and the values of its environment are checked."""

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
    runs: CompiledRuns, checkpoints: Checkpoints, plan: Plan, failed_at: Mapping[int, int], frozen: np.ndarray
) -> dict[int, str]:
    """Find the runs whose environment returned NaN or infinity.

    This repeats the train steps since the newest checkpoint, which give the same numbers bit for bit, and needs memory for a second
    training state. Only a run that failed pays for it.

    Args:
        runs: the compiled runs.
        checkpoints: their checkpoints.
        plan: the lengths that they were planned for.
        failed_at: for each run that failed now, by its index: the train step in which it failed.
        frozen: runs ``[B]`` that had failed before.

    Returns:
        ``the environment's observations`` or ``the environment's state``, by the run's index. A run is missing if its environment was
        finite; all are if there is no checkpoint, not enough memory, or more than one process.
    """
    shape, free, per_update = runs.state_shape(), available(), runs.trainer.steps_per_update
    if jax.process_count() > 1 or (free is not None and 2 * tree_bytes(shape) > free):
        return {}
    first_failure = min(failed_at.values())
    try:
        step = checkpoints.first_whole([step for step in reversed(checkpoints.steps()) if step <= first_failure * per_update])
        if step is None:
            return {}
        update, faults_by_run = step // per_update, dict[int, str]()
        state = checkpoints.restore(step, shape, checked=True)
        if len(plan.planned) > 1:
            state = with_length(runs, state, plan.length(update))
        for target_update in sorted({*failed_at.values()}):
            if target_update > update:
                state, _ = runs.advance(state, target_update - update, frozen)
                update = target_update
            finite = runs.ask(_finite_values, state)
            for run, run_failed_at in failed_at.items():
                faults = [name for name in ("observations", "state") if not finite[name][run]]
                if run_failed_at == target_update and finite["params"][run] and faults:
                    faults_by_run[run] = f"the environment's {faults[0]}"
        return faults_by_run
    except (RLJaxError, jax.errors.JaxRuntimeError):  # an error here must not end the runs that go on
        return {}


def _finite_values(trainer: Trainer, state: PyTree, key: jax.Array) -> dict[str, jax.Array]:
    """Whether the parameters and the environment's values in the next rollout are finite: NaN parameters make NaN actions."""
    _, rollout, _ = trainer.collect(state)

    def not_nan(x: jax.Array) -> jax.Array:
        """Infinity is allowed: a state may hold it on purpose, such as the best distance so far."""
        return ~jnp.isnan(x)

    # Replayed observations came from the environment too. A reward that is NaN would have ended the run when it was collected.
    observed = _all_leaves(jnp.isfinite, (rollout.obs, rollout.next_obs)) & _all_leaves(not_nan, state.replay)
    return {
        "params": _all_leaves(jnp.isfinite, trainer.params(state)),
        "observations": observed,
        "state": _all_leaves(not_nan, rollout.env_state),
    }


def _all_leaves(is_good: Any, tree: PyTree) -> jax.Array:
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.stack([jnp.all(is_good(x)) for x in leaves] or [jnp.bool_(True)]))
