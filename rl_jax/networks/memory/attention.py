"""Attention over pieces of keys and values, and rotary positions."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

#: A learned key and value ``[H, D]`` of a layer, if it has them.
Sink = tuple[jax.Array, jax.Array] | None
#: What a layer looks at: new queries, keys and values ``[N, H, T, D]`` and the sink, to what it attends to ``[N, H, T, D]``, and
#: the keys and values that it remembers.
Look = Callable[[jax.Array, jax.Array, jax.Array, Sink], tuple[jax.Array, jax.Array, jax.Array]]


def attend(
    query: jax.Array,
    keys: tuple[jax.Array, ...],
    values: tuple[jax.Array, ...],
    visible: jax.Array,
    sink: Sink = None,
) -> jax.Array:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1), with an optional key and value of its own.

    With a sink, ``o = (exp(q.k0) v0 + sum_j exp(q.k_j) v_j) / (exp(q.k0) + sum_j exp(q.k_j))`` (Elawady et al. 2024, "ReLIC",
    sink-KV), so that with ``k0 = v0 = 0`` a head may attend to nothing. All products are divided by ``sqrt(D)``, as in its code.

    Args:
        query: ``[N, H, T, D]``.
        keys, values: pieces ``[N, H, S_i, D]`` of the keys and values, one after the other; they are not joined.
        visible: ``[N, T, sum of S_i]``, the items that each step attends to: at least one item, if there is no sink.
        sink: key and value ``[H, D]``.

    Returns:
        ``[N, H, T, D]``.
    """
    scale = 1.0 / math.sqrt(query.shape[-1])
    scores = jnp.concatenate([jnp.einsum("nhtd,nhsd->nhts", query, piece) for piece in keys], axis=-1) * scale
    scores = jnp.where(visible[:, None], scores, jnp.finfo(scores.dtype).min)
    top = jnp.max(scores, axis=-1, keepdims=True)
    if sink is not None:
        of_sink = jnp.einsum("nhtd,hd->nht", query, sink[0])[..., None] * scale
        top = jnp.maximum(top, of_sink)
    top = jax.lax.stop_gradient(top)
    weights = jnp.where(visible[:, None], jnp.exp(scores - top), 0.0)
    total = jnp.sum(weights, axis=-1, keepdims=True)
    edges = np.cumsum([piece.shape[2] for piece in keys])[:-1].tolist()
    output = sum(jnp.einsum("nhts,nhsd->nhtd", w, v) for w, v in zip(jnp.split(weights, edges, axis=-1), values, strict=True))
    if sink is not None:
        weight = jnp.exp(of_sink - top)
        output, total = output + weight * sink[1][:, None, :], total + weight
    return output / total


def rotate(x: jax.Array, place: jax.Array, base: float = 10_000.0) -> jax.Array:
    """Rotary positions (Su et al. 2021, "RoFormer", eq. 34): products of rotated vectors know only the distance of their places.

    Args:
        x: ``[N, H, T, D]``, ``D`` even; coordinate ``i`` is paired with ``i + D / 2``.
        place: ``int32 [N, T]``.
        base: the slowest pair turns once in about ``2 pi base`` steps.
    """
    half = x.shape[-1] // 2
    speed = jnp.asarray(base ** (-np.arange(half) / half), jnp.float32)
    angle = place[:, None, :, None].astype(jnp.float32) * speed
    sin, cos = jnp.sin(angle), jnp.cos(angle)
    a, b = x[..., :half], x[..., half:]
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)
