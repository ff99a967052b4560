"""Sums of ``float32``: what rounding has left out, or a bound on it, and how two of them are compared."""

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


def two_sum(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``a + b``, rounded, and what rounding left out of it; any shape.

    The two together are exact (Knuth 1997, *The Art of Computer Programming* 2, section 4.2.2, theorem B).
    """
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)
