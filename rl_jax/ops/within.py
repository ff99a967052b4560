"""Bounds on a learned number that let it come back."""

from functools import partial

import jax
import jax.numpy as jnp


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def within(x: jax.Array, low: float, high: float) -> jax.Array:
    """``clip(x, low, high)``, whose gradient beyond a bound is kept where descending it leads back inside.

    A clip has no gradient beyond its bounds: what has stepped over one stays there for ever. Passing every gradient would let it
    drift away, and be as long in coming back. Between the bounds it is the identity. For losses that are minimised.
    """
    return jnp.clip(x, low, high)


def _forward(x: jax.Array, low: float, high: float) -> tuple[jax.Array, jax.Array]:
    return jnp.clip(x, low, high), x


def _backward(low: float, high: float, x: jax.Array, grad: jax.Array) -> tuple[jax.Array]:
    outwards = ((x > high) & (grad < 0)) | ((x < low) & (grad > 0))
    return (jnp.where(outwards, 0.0, grad),)


within.defvjp(_forward, _backward)
