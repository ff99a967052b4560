"""Temporal-difference targets and errors: the one place where off-policy agents treat the end of an episode."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.types import Rollout


def bootstrap_discount(batch: Rollout) -> jax.Array:
    """The discount of ``V(next_obs)``: ``extras["discount"]`` (of :func:`rl_jax.replay.n_step`), zero where the task terminated.

    A truncated step has its full discount, for its ``next_obs`` is the observation before the reset.
    """
    return jnp.where(batch.terminated, 0.0, batch.extras["discount"])


def td_target(batch: Rollout, next_value: jax.Array) -> jax.Array:
    """``reward + discount * V(next_obs)``; shapes as ``batch.reward``.

    After a termination ``next_value`` is not used, and may be NaN.
    """
    return batch.reward + bootstrap_discount(batch) * jnp.where(batch.terminated, 0.0, next_value)


def huber(error: jax.Array, delta: Any = None) -> jax.Array:
    """Half the square up to ``delta``, then linear with slope ``delta`` (Huber 1964); ``None``: half the square."""
    if delta is None:
        return 0.5 * error**2
    inside = jnp.minimum(jnp.abs(error), delta)
    return 0.5 * inside**2 + delta * (jnp.abs(error) - inside)


def rescale(x: jax.Array, epsilon: Any = 1e-3) -> jax.Array:
    """``h(x) = sign(x) (sqrt(|x| + 1) - 1) + epsilon x``, Pohlen et al. 2018, "Observe and Look Further", prop. A.2."""
    return jnp.sign(x) * (jnp.sqrt(jnp.abs(x) + 1.0) - 1.0) + epsilon * x


def unscale(y: jax.Array, epsilon: Any = 1e-3) -> jax.Array:
    """The inverse of :func:`rescale`, in a form that does not cancel near zero.

    The root ``q = sqrt(|x| + 1) - 1`` solves ``epsilon q^2 + (1 + 2 epsilon) q = |y|``, and ``|x| = q (q + 2)``.
    """
    b = 1.0 + 2.0 * epsilon
    q = 2.0 * jnp.abs(y) / (b + jnp.sqrt(b * b + 4.0 * epsilon * jnp.abs(y)))
    return jnp.sign(y) * q * (q + 2.0)


@struct.dataclass
class ExpectedValue:
    """Q as one number per action, with the squared or the Huber error (Mnih et al. 2015).

    Attributes:
        delta: where the Huber error becomes linear; ``None`` for the squared error.
        rescaled: learn ``h(Q)`` instead of ``Q``: Kapturowski et al. 2019 (R2D2), eq. 1.
    """

    delta: Any = 1.0
    rescaled: bool = struct.field(pytree_node=False, default=False)

    @property
    def atoms(self) -> int:
        """Outputs per action: 1, the value."""
        return 1

    def values(self, raw: jax.Array) -> jax.Array:
        """Q ``[..., A]`` of outputs ``[..., A, 1]``."""
        return unscale(raw[..., 0]) if self.rescaled else raw[..., 0]

    def loss(self, chosen: jax.Array, next_outputs: jax.Array, reward: jax.Array, discount: jax.Array) -> tuple:
        """Error and absolute TD error ``[...]``.

        Args:
            chosen: outputs of the action taken ``[..., 1]``.
            next_outputs: target outputs of the next action ``[..., 1]``.
            reward: ``[...]``, of all the steps between.
            discount: ``[...]``, zero after a termination.
        """
        value, next_value = chosen[..., 0], jnp.where(discount == 0.0, 0.0, next_outputs[..., 0])
        target = rescale(reward + discount * unscale(next_value)) if self.rescaled else reward + discount * next_value
        error = value - jax.lax.stop_gradient(target)
        return huber(error, self.delta), jnp.abs(error)
