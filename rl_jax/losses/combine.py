"""The weighted sum of named terms."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from rl_jax.ops import joined, means
from rl_jax.types import Context, LossTerm, Metrics, PyTree


def weighted_sum(
    terms: Mapping[str, LossTerm], weights: Mapping[str, Any], params: PyTree, batch: Any, context: Context
) -> tuple[jax.Array, Metrics]:
    """``sum_k weights[k] * mean(terms[k])``, with every unweighted term logged as ``loss/<k>``; metrics are means too.

    Raises:
        KeyError: a term has no weight.
        RLJaxError: two terms report a metric of one name.
    """
    metrics: dict[str, Any] = {}
    for name, term in terms.items():
        value, extra = term(params, batch, context)
        metrics = joined(metrics, {f"loss/{name}": value}, extra)
    metrics = means(metrics)
    total = sum((weights[name] * metrics[f"loss/{name}"] for name in terms), start=jnp.zeros((), jnp.float32))
    return total, metrics
