"""Sums of ``float32``, with a bound on what rounding has done to them, and how two of them are compared."""

import jax
import jax.numpy as jnp

ROUNDING = 2.0**-23
"""Bound on the error of one addition, relative to its result: twice the rounding of ``float32``, so that the bound may be rounded
too."""


def add_bounded(total: jax.Array, error: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``total + x`` and the bound on its error, from those before; any shape.

    Each addition is off by at most ``ROUNDING`` times its result (running error analysis: Higham 2002, *Accuracy and Stability of
    Numerical Algorithms*, section 3.3). Starting from ``(0, 0)``, two sums of the same numbers in different orders
    differ by no more than their two bounds together.
    """
    total = total + x
    return total, error + ROUNDING * jnp.abs(total)
