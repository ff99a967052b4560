"""Discounted sums over time."""

import jax
import jax.numpy as jnp


def discounted_sum(delta: jax.Array, decay: jax.Array) -> jax.Array:
    """``y[t] = delta[t] + decay[t] * y[t+1]`` over the leading axis, with nothing after the last row; ``[T, ...]``."""

    def step(next_y: jax.Array, x: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        y = x[0] + x[1] * next_y
        return y, y

    return jax.lax.scan(step, jnp.zeros_like(delta[0]), (delta, decay), reverse=True, unroll=8)[1]
