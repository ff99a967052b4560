"""The weighted sum of named terms, over items of which each may have a weight of its own."""

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

    Where the batch has ``extras["weight"]`` ``[T, B]``, losses of every item are multiplied by it first: it says what is learned from,
    and how much (see :mod:`rl_jax.experience.weights`). Metrics are weighted means: their weights sum up to 1, and where all are zero,
    own steps count alike. What has no weight adds nothing, even an infinite loss; that its gradient is finite is up to the terms, see
    :func:`~rl_jax.losses.terms.old_log_prob`. Numbers are left as they are.

    Raises:
        KeyError: a term has no weight.
        RLJaxError: two terms report a metric of one name, one returns something else or reads what is not there, or weights are of
            another shape.
    """
    extras = getattr(batch, "extras", {})
    weight = extras.get("weight")
    if weight is not None:
        check_number_per_step("weight", weight, jnp.shape(batch.reward))
    metrics: dict[str, Any] = {}
    for name, term in terms.items():
        what = f"the loss term '{name}'"
        with naming_what_lacks(what, extras):
            result = term(params, batch, context)
        value, extra = returned(what, result, ("loss", "metrics"))
        _check_loss(what, value, batch)
        metrics = joined(metrics, {f"loss/{name}": value}, extra)
    losses = {f"loss/{name}" for name in terms}
    metrics = means(metrics) if weight is None else weighted_means(metrics, losses, weight, extras.get("own"))
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


def check_number_per_step(name: str, value: Any, shape: tuple[int, ...]) -> None:
    """Refuse an extra that is not one number for each step.

    Args:
        name: of the extra.
        value: the extra.
        shape: ``[T, N]``, of the rollout.

    Raises:
        RLJaxError: with the shape that it must have.
    """
    if jnp.shape(value) != shape:
        raise RLJaxError(
            f"{name} must be [T, N], one number for each step, here {list(shape)}, and it is {list(jnp.shape(value))}: correct the "
            f"transform that adds it"
        )


def weighted_means(metrics: dict[str, Any], losses: set[str], weight: jax.Array, own: jax.Array | None) -> dict[str, jax.Array]:
    """Means over items ``[T, B]`` of losses, times their weight, and of metrics, with weights that sum up to 1.

    Where no item has a weight, metrics are means over own steps ``[T, B]``, or over all. Other arrays than ``[T, B]`` have plain means.

    Args:
        metrics: losses and metrics by name.
        losses: names of those that are losses.
        weight: ``[T, B]``.
        own: ``[T, B]``, or ``None``.
    """
    anything = jnp.any(weight != 0)
    share = jnp.where(anything, jnp.abs(weight), jnp.ones_like(weight) if own is None else own).astype(jnp.float32)

    def times(value: jax.Array, factor: jax.Array) -> jax.Array:
        return jnp.where(factor != 0, value * factor, 0.0)

    of_items = {name for name, value in metrics.items() if jnp.shape(value) == weight.shape}
    scaled = {
        name: times(value, weight if name in losses else share) if name in of_items else value
        for name, value in metrics.items()
    }
    found = means({**scaled, "": share})
    total = found.pop("")
    total = jnp.where(total > 0, total, 1.0)
    return {name: x / total if name in of_items - losses else x for name, x in found.items()}
