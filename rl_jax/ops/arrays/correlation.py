"""Pearson's correlation."""

from typing import Any

import jax
import jax.numpy as jnp


def correlation(first: jax.Array, second: jax.Array, weight: Any = 1.0) -> jax.Array:
    """Over items of any shape, each of a weight; 0 where one of the two does not vary."""
    weight = jnp.broadcast_to(weight, first.shape)
    total = jnp.maximum(jnp.sum(weight), 1.0)
    first, second = (x - jnp.sum(x * weight) / total for x in (first, second))
    spread = jnp.sqrt(jnp.sum(first**2 * weight) * jnp.sum(second**2 * weight))
    return jnp.where(spread > 1e-9, jnp.sum(first * second * weight) / jnp.maximum(spread, 1e-9), 0.0)
