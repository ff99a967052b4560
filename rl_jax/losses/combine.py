"""The weighted sum of named terms."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from rl_jax.types import Context, LossTerm, Metrics, PyTree


def weighted_sum(
    terms: Mapping[str, LossTerm], weights: Mapping[str, Any], params: PyTree, batch: Any, context: Context
) -> tuple[jax.Array, Metrics]:
    """``sum_k weights[k] * terms[k]``, with every unweighted term logged as ``loss/<k>``.

    Raises:
        KeyError: a term has no weight.
    """
    total, metrics = jnp.zeros((), jnp.float32), {}
    for name, term in terms.items():
        value, extra = term(params, batch, context)
        total = total + weights[name] * value
        metrics.update({f"loss/{name}": value, **extra})
    return total, metrics
