"""Bounds on a learned number that let it come back."""

import jax
import jax.numpy as jnp


def within(x: jax.Array, low: float, high: float) -> jax.Array:
    """``x`` where it is at least 1 away from both bounds; nearer to one, or beyond it, bent so that it never reaches the bound.

    ``high - 1 + d / (1 + d)`` for ``d = x - (high - 1) > 0``, and so below: continuous with its slope, which is ``1 / (1 + d)^2`` and
    never zero. A clip has no slope beyond its bounds: what has stepped over one stays there for ever. Bounds must be at least 2 apart.
    """
    least, most = low + 1.0, high - 1.0
    above, below = jnp.maximum(x - most, 0.0), jnp.maximum(least - x, 0.0)
    return jnp.clip(x, least, most) + above / (1.0 + above) - below / (1.0 + below)
