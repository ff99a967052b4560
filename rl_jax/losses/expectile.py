"""Expectiles and weights of advantages: what learning from recorded actions alone is made of."""

from typing import Any

import jax
import jax.numpy as jnp


def expectile_loss(error: jax.Array, tau: Any, advantage: jax.Array | None = None) -> jax.Array:
    """``|tau - 1(error < 0)| error^2`` ``[...]`` of ``target - value`` (Newey & Powell 1987).

    At ``tau`` of a half the value becomes the mean of its targets, towards 1 their largest (Kostrikov et al. 2021, arXiv 2110.06169,
    eqs. 4, 5).

    Args:
        error: ``target - value``.
        tau: the expectile.
        advantage: whose sign decides in place of the error's, such as that of slow copies (Park et al. 2023,
            arXiv 2307.11949, in its code).
    """
    return jnp.where((error if advantage is None else advantage) < 0, 1.0 - tau, tau) * error**2


def advantage_weight(advantage: jax.Array, beta: Any, most: Any = 100.0) -> jax.Array:
    """``min(exp(beta advantage), most)`` ``[...]``, without a gradient: the weight of an action that is cloned.

    Peters & Schaal 2007; Peng et al. 2019 (AWR), eq. 10; bounded as in the published code of IQL.
    """
    return jax.lax.stop_gradient(jnp.minimum(jnp.exp(jnp.minimum(beta * advantage, 80.0)), most))
