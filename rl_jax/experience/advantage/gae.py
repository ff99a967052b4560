"""Generalised advantage estimation."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience.transform import Transform
from rl_jax.ops import any_true, discounted_sum, per_device
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Share


def values_of_truncated(rollout: Rollout, context: Context) -> jax.Array:
    """``V(next_obs)`` where the rollout was truncated, zero elsewhere; ``[T, N]``.

    Truncated steps are gathered into blocks of ``N`` rows, and only as many blocks are evaluated as are needed: nothing is
    computed in a rollout without a truncation. A recurrent agent needs its carry at each such step, which is not stored;
    its values were computed during collection (``extras["truncated_value"]``).
    """
    if jax.tree.leaves(rollout.start.carry):
        return rollout.extras["truncated_value"]
    values = partial(_values_where, context, rollout.start.carry)
    return per_device(values, rollout.truncated, rollout.next_obs, axis=1)


def _values_where(context: Context, no_memory: PyTree, flags: jax.Array, next_obs: PyTree) -> jax.Array:
    length, num_envs = flags.shape
    total = length * num_envs
    flags = flags.reshape(total)
    (rows,) = jnp.nonzero(flags, size=total, fill_value=total)
    next_obs = jax.tree.map(lambda x: x.reshape(total, *x.shape[2:]), next_obs)
    count = jnp.sum(flags)

    def block(values: jax.Array, index: jax.Array) -> tuple[jax.Array, None]:
        def evaluate(values: jax.Array) -> jax.Array:
            block_rows = jax.lax.dynamic_slice(rows, (index * num_envs,), (num_envs,))
            obs = jax.tree.map(lambda x: x[jnp.minimum(block_rows, total - 1)], next_obs)
            value = context.agent.value(context.agent_state, no_memory, obs, jnp.zeros((num_envs,), bool))
            return values.at[block_rows].set(value.astype(values.dtype), mode="drop")

        return jax.lax.cond(any_true(index * num_envs < count), evaluate, lambda values: values, values), None

    def evaluate_blocks(values: jax.Array) -> jax.Array:
        return jax.lax.scan(block, values, jnp.arange(length))[0]

    zeros = jnp.zeros((total,), jnp.float32)
    return jax.lax.cond(any_true(count > 0), evaluate_blocks, lambda z: z, zeros).reshape(length, num_envs)


def next_values(rollout: Rollout, context: Context) -> jax.Array:
    """``V(s_{t+1})`` of each step ``[T, N]``: the next row's value, at the last row that of ``last.obs``.

    Where an episode was truncated it is the value of ``next_obs``; where it terminated, zero. Needs ``rollout.extras["value"]``.
    """
    last = rollout.last
    last_value = context.agent.value(context.agent_state, last.carry, last.obs, last.first)
    next_value = jnp.concatenate([rollout.extras["value"][1:], last_value[None]])
    next_value = jnp.where(rollout.truncated, values_of_truncated(rollout, context), next_value)
    return jnp.where(rollout.terminated, 0.0, next_value)


def advantages(rollout: Rollout, context: Context, discount: Any, lam: Any) -> jax.Array:
    """Generalised advantages ``[T, N]`` of ``rollout.extras["value"]``, with a discount of all steps or of each ``[T, N]``."""
    delta = rollout.reward + discount * next_values(rollout, context) - rollout.extras["value"]
    return discounted_sum(delta, discount * lam * (1.0 - rollout.done.astype(delta.dtype)))


@struct.dataclass
class GAE(Transform):
    """Adds ``advantage`` and ``value_target`` ``[T, N]`` to ``extras``.

    Schulman et al. 2016, "High-Dimensional Continuous Control Using Generalized Advantage Estimation", eq. 16:
    ``A_t = sum_l (gamma * lam)^l delta_{t+l}``, ``delta_t = r_t + gamma * V(s_{t+1}) - V(s_t)``. A termination makes
    ``V(s_{t+1})`` zero; a truncation bootstraps from the observation before the reset; both cut the trace. The value target is
    the lambda-return ``A_t + V(s_t)``.

    Attributes:
        gamma: discount per step.
        lam: mixes one-step (0) and Monte-Carlo (1) advantages.
    """

    gamma: Any = 0.99
    lam: Any = 0.95

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_numbers("gae's", self, gamma=Share, lam=Share)
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        value = rollout.extras["value"]
        advantage = advantages(rollout, context, self.gamma, self.lam)
        target = advantage + value
        # One minus the share of the targets' variance that the values leave unexplained: 1 is perfect, 0 is a constant.
        explained = 1.0 - jnp.var(target - value) / (jnp.var(target) + 1e-8)
        metrics = {"value/mean": jnp.mean(value), "value/explained_variance": explained}
        return state, rollout.with_extras(advantage=advantage, value_target=target), metrics


def gae(gamma: Any = 0.99, lam: Any = 0.95) -> GAE:
    """Generalised advantage estimation; see :class:`GAE`."""
    return GAE(gamma, lam)


@struct.dataclass
class StandardizeAdvantage(Transform):
    """Advantages to mean 0 and standard deviation 1 over the whole rollout (``T * N`` items), once per train step."""

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        a = rollout.extras["advantage"]
        return state, rollout.with_extras(advantage=(a - jnp.mean(a)) / (jnp.std(a) + 1e-8)), {}


def standardize_advantage() -> StandardizeAdvantage:
    """Standardise advantages over the whole rollout; see :class:`StandardizeAdvantage`."""
    return StandardizeAdvantage()
