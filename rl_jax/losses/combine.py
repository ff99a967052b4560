"""The weighted sum of named terms."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from rl_jax.errors import RLJaxError, naming_what_lacks, returned
from rl_jax.ops import joined, means
from rl_jax.types import Context, LossTerm, Metrics, PyTree


def weighted_sum(
    terms: Mapping[str, LossTerm], weights: Mapping[str, Any], params: PyTree, batch: Any, context: Context
) -> tuple[jax.Array, Metrics]:
    """``sum_k weights[k] * mean(terms[k])``, with every unweighted term logged as ``loss/<k>``; metrics are means too.

    Where the batch has ``extras["weight"]`` ``[T, B]``, losses and metrics of every item are multiplied by it first: it says what is
    learned from, and how much (see :mod:`rl_jax.experience.weights`). Numbers are left as they are.

    Raises:
        KeyError: a term has no weight.
        RLJaxError: two terms report a metric of one name, or one returns something else or reads what is not there.
    """
    metrics: dict[str, Any] = {}
    for name, term in terms.items():
        what = f"the loss term '{name}'"
        with naming_what_lacks(what, getattr(batch, "extras", {})):
            result = term(params, batch, context)
        value, extra = returned(what, result, ("loss", "metrics"))
        _check_loss(what, value, batch)
        metrics = joined(metrics, {f"loss/{name}": value}, extra)
    weight = getattr(batch, "extras", {}).get("weight")
    if weight is not None:
        metrics = {name: value * weight if jnp.shape(value) == weight.shape else value for name, value in metrics.items()}
    metrics = means(metrics)
    total = sum((weights[name] * metrics[f"loss/{name}"] for name in terms), start=jnp.zeros((), jnp.float32))
    return total, metrics


def _check_loss(what: str, value: Any, batch: Any) -> None:
    """Refuse a loss that is neither a number nor one for each item of a batch."""
    if not hasattr(value, "dtype") and not isinstance(value, int | float):
        raise RLJaxError(f"{what} returned a {type(value).__name__} as loss: let it be a number, such as a mean")
    items = jnp.shape(batch.reward) if hasattr(batch, "reward") else jnp.shape(value)
    if jnp.shape(value) not in ((), items, items[1:]):
        raise RLJaxError(
            f"{what} returned a loss {value.dtype}{list(value.shape)}: let it be a number, or one for each item of the batch [T, B]"
        )
