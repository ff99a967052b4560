"""What is stored of each step besides its numbers: one ``int32`` with flags in its lowest bits, and its episode above them."""

from typing import Any

import jax
import jax.numpy as jnp

#: Flags of a step; an episode's number is counted in units of ``MARK``.
TERMINATED, TRUNCATED, FIRST, MARK = 1, 2, 4, 8


def marks_of(terminated: Any, truncated: Any) -> jax.Array:
    """Marks ``int32 [S]`` of episodes one after the other, of which each ends by one of the two flags ``bool [S]``."""
    done = jnp.logical_or(terminated, truncated)
    episode = jnp.cumsum(done, dtype=jnp.int32) - done
    first = jnp.concatenate([jnp.ones((1,), bool), done[:-1]])
    return MARK * episode + TERMINATED * jnp.asarray(terminated) + TRUNCATED * jnp.asarray(truncated) + FIRST * first
