"""Schedules over environment steps."""

from typing import Any

import jax
import jax.numpy as jnp


def linear(steps: jax.Array, start: Any, end: Any, over: Any) -> jax.Array:
    """From ``start`` to ``end`` over the first ``over`` environment steps, then constant; ``float32``."""
    done = jnp.clip(steps / jnp.maximum(jnp.asarray(over, jnp.float32), 1e-6), 0.0, 1.0)
    return jnp.asarray(start + (end - start) * done, jnp.float32)
