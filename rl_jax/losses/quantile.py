"""QR-DQN: the distribution of the return as values of fixed probability."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.losses.td import huber


@struct.dataclass
class Quantiles:
    """Quantile regression: Dabney et al. 2018, "Distributional Reinforcement Learning with Quantile Regression", eq. 10.

    Attributes:
        kappa: where the Huber error becomes linear.
        atoms: number of quantiles ``K``, at the probabilities ``(2 i + 1) / (2 K)``.
    """

    kappa: Any = 1.0
    atoms: int = struct.field(pytree_node=False, default=51)

    def values(self, raw: jax.Array) -> jax.Array:
        """Expected returns ``[..., A]``: the means of quantiles ``[..., A, K]``."""
        return jnp.mean(raw, axis=-1)

    def loss(self, chosen: jax.Array, next_outputs: jax.Array, reward: jax.Array, discount: jax.Array) -> tuple:
        """Quantile Huber error (summed over predicted, averaged over target quantiles) and absolute mean TD error ``[...]``.

        Args:
            chosen: quantiles of the action taken ``[..., K]``.
            next_outputs: target quantiles of the next action ``[..., K]``.
            reward, discount: ``[...]``.
        """
        target = jax.lax.stop_gradient(
            reward[..., None] + discount[..., None] * jnp.where(discount[..., None] == 0.0, 0.0, next_outputs)
        )
        error = target[..., None, :] - chosen[..., :, None]
        level = ((jnp.arange(self.atoms) + 0.5) / self.atoms)[:, None]
        weight = jnp.abs(level - (error < 0).astype(error.dtype))
        loss = jnp.sum(jnp.mean(weight * huber(error, self.kappa) / self.kappa, axis=-1), axis=-1)
        return loss, jnp.abs(jnp.mean(target, axis=-1) - jnp.mean(chosen, axis=-1))
