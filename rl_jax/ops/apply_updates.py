"""Steps of gradient descent, shared by all agents and models."""

from typing import Any

import jax
import jax.numpy as jnp

from rl_jax.types import PyTree


def apply_updates(params: PyTree, updates: PyTree, learning_rate: Any) -> PyTree:
    """``params - learning_rate * updates``, leaf by leaf, in the dtypes of ``params``."""
    return jax.tree.map(lambda p, u: p - (learning_rate * u).astype(p.dtype), params, updates)


def clip_by_global_norm(grads: PyTree, most: Any) -> PyTree:
    """Gradients shortened to a global norm of ``most`` if they are longer; differentiable also where they are zero."""
    square = sum((jnp.sum(g**2) for g in jax.tree.leaves(grads)), start=jnp.zeros((), jnp.float32))
    scale = most * jax.lax.rsqrt(jnp.maximum(square, jnp.asarray(most, jnp.float32) ** 2))
    return jax.tree.map(lambda g: scale * g, grads)
