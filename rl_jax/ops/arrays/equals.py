"""Which of many items is the first of its kind, which the second, and so on: without a loop."""

import jax
import jax.numpy as jnp


def earlier_equals(values: jax.Array) -> jax.Array:
    """How many of the items before each one are equal to it: ``int32 [K]`` of integers ``[K]``.

    A stable sort puts equal items side by side in their order; an item's distance from the first of its group is the answer.
    """
    index = jnp.arange(values.shape[0], dtype=jnp.int32)
    ordered, item = jax.lax.sort((values, index), num_keys=1, is_stable=True)
    opens = jnp.append(True, ordered[1:] != ordered[:-1])
    rank = index - jax.lax.cummax(jnp.where(opens, index, 0))
    return jnp.zeros_like(rank).at[item].set(rank, unique_indices=True)
