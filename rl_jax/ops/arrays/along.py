"""Flags of items, laid along the items' own axes."""

import jax


def along(flags: jax.Array, x: jax.Array) -> jax.Array:
    """``flags`` ``[...]`` with an axis of length 1 for each axis of ``x`` ``[..., shape]`` beyond theirs, to choose whole items by."""
    return flags.reshape(flags.shape + (1,) * (x.ndim - flags.ndim))
