"""C51: the distribution of the return as probabilities of fixed values."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct


def project(probabilities: jax.Array, values: jax.Array, low: Any, high: Any) -> jax.Array:
    """Move probability mass from ``values`` to the nearest of equally spaced atoms, in proportion to nearness.

    Bellemare, Dabney & Munos 2017, "A Distributional Perspective on Reinforcement Learning", eq. 7.

    Args:
        probabilities: ``[..., K]``.
        values: where that mass lies ``[..., K]``; clipped to ``[low, high]``.
        low, high: the first and the last of the ``K`` atoms.
    """
    atoms = probabilities.shape[-1]
    place = (jnp.clip(values, low, high) - low) / (high - low) * (atoms - 1)
    share = jnp.clip(1.0 - jnp.abs(place[..., None, :] - jnp.arange(atoms)[:, None]), 0.0, 1.0)
    return jnp.sum(share * probabilities[..., None, :], axis=-1)


@struct.dataclass
class Categorical51:
    """The categorical return distribution of C51, learned by cross-entropy against the projected target (Algorithm 1).

    Attributes:
        low, high: the smallest and largest return that can be told apart.
        atoms: ``K``; the paper's is 51.
    """

    low: Any = -10.0
    high: Any = 10.0
    atoms: int = struct.field(pytree_node=False, default=51)

    def _support(self) -> jax.Array:
        return self.low + (self.high - self.low) * jnp.linspace(0.0, 1.0, self.atoms)

    def values(self, raw: jax.Array) -> jax.Array:
        """Expected returns ``[..., A]`` of logits ``[..., A, K]``."""
        return jax.nn.softmax(raw) @ self._support()

    def loss(self, chosen: jax.Array, next_outputs: jax.Array, reward: jax.Array, discount: jax.Array) -> tuple:
        """Cross-entropy and Kullback-Leibler divergence ``[...]`` between target and prediction, in nats.

        Args:
            chosen: logits of the action taken ``[..., K]``.
            next_outputs: target logits of the next action ``[..., K]``.
            reward, discount: ``[...]``.
        """
        log_p = jax.nn.log_softmax(chosen)
        # After a termination all mass moves to the reward, whatever the logits, but they must be finite.
        next_outputs = jnp.where((discount[..., None] == 0.0) & ~jnp.isfinite(next_outputs), 0.0, next_outputs)
        moved = reward[..., None] + discount[..., None] * self._support()
        target = jax.lax.stop_gradient(project(jax.nn.softmax(next_outputs), moved, self.low, self.high))
        cross = -jnp.sum(target * log_p, axis=-1)
        entropy = -jnp.sum(jax.scipy.special.xlogy(target, target), axis=-1)
        # Rounding may take it just below zero, and a priority may not be.
        return cross, jnp.maximum(cross - entropy, 0.0)
