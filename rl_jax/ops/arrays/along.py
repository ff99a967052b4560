"""Flags of items, broadcast to the items' axes."""

import jax


def along(flags: jax.Array, x: jax.Array) -> jax.Array:
    """``flags`` ``[...]`` with an axis of length 1 for each axis of ``x`` ``[..., shape]`` beyond theirs, to select items."""
    return flags.reshape(flags.shape + (1,) * (x.ndim - flags.ndim))
