"""Which items are the largest."""

import jax
import jax.numpy as jnp


def among_largest(score: jax.Array, number: jax.Array) -> jax.Array:
    """Which items, of any shape, are among the ``number`` largest; of equal ones the first."""
    place = jnp.argsort(jnp.argsort(-score.ravel(), stable=True))
    return (place < number).reshape(score.shape)
