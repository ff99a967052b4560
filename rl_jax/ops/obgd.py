"""Overshooting-bounded gradient descent: a step along an eligibility trace whose size is bounded by what it may do to the error."""

from typing import Any

import jax
import jax.numpy as jnp

from rl_jax.types import PyTree


def obgd(params: PyTree, trace: PyTree, delta: jax.Array, learning_rate: Any, kappa: Any) -> tuple[PyTree, jax.Array]:
    """``w + a delta z`` with ``a = alpha / max(M, 1)`` and ``M = alpha kappa max(|delta|, 1) ||z||_1``.

    Elsayed, Vasan & Mahmood 2024, "Streaming Deep Reinforcement Learning Finally Works" (arXiv 2410.14606), Algorithm 3. The norm
    is over all parameters together. Where ``M > 1``, ``alpha`` cancels, and the parameters move by at most ``1 / kappa``, all
    together. Under a linear value of features within ``[-1, 1]`` the error then keeps its sign if ``kappa`` is 2 or more: the step
    shrinks it by the share ``a z . (x - gamma x')``, which is at most ``||x - gamma x'||_inf / kappa <= 1``.

    Args:
        params, trace: ``w`` and ``z``, of one structure.
        delta: the TD error, a scalar.
        learning_rate, kappa: ``alpha``, and how many times smaller than the bound for linear functions the step shall be.

    Returns:
        The new parameters, and the step size ``a``, ``float32``.
    """
    norm = sum((jnp.sum(jnp.abs(z)) for z in jax.tree.leaves(trace)), start=jnp.zeros((), jnp.float32))
    bound = learning_rate * kappa * jnp.maximum(jnp.abs(delta), 1.0) * norm
    size = jnp.asarray(learning_rate / jnp.maximum(bound, 1.0), jnp.float32)
    return along(params, trace, size * delta), size


def along(params: PyTree, trace: PyTree, amount: Any) -> PyTree:
    """``params + amount * trace``, leaf by leaf."""
    return jax.tree.map(lambda w, z: w + (amount * z).astype(w.dtype), params, trace)
