"""How many directions a few vectors span, and how that number grows along a sequence."""

import jax
import jax.numpy as jnp


def effective_rank(vectors: jax.Array, among: jax.Array) -> jax.Array:
    """``exp(-sum p log p)`` with ``p`` the singular values, made to sum to 1, of vectors about their mean; ``[...]``.

    Roy and Vetterli 2007, "The Effective Rank". The singular values are the roots of the eigenvalues of the smaller of the two
    Gram matrices; those below its rounding error are zero. Fewer than two vectors have rank 0, as equal ones.

    Args:
        vectors: ``[..., T, D]``.
        among: ``bool [..., T]``, which of them count.
    """
    mask = among[..., None].astype(jnp.float32)
    mean = jnp.sum(mask * vectors, axis=-2, keepdims=True) / jnp.maximum(jnp.sum(mask, axis=-2, keepdims=True), 1.0)
    centred = mask * (vectors - mean)
    length, width = vectors.shape[-2:]
    gram = (
        jnp.einsum("...td,...sd->...ts", centred, centred)
        if length < width
        else jnp.einsum("...td,...te->...de", centred, centred)
    )
    values = jnp.linalg.eigvalsh(gram)
    rounding = jnp.max(values, axis=-1, keepdims=True) * min(length, width) * jnp.finfo(jnp.float32).eps
    singular = jnp.sqrt(jnp.where(values > rounding, values, 0.0))
    total = jnp.sum(singular, axis=-1, keepdims=True)
    share = singular / jnp.where(total > 0, total, 1.0)
    entropy = -jnp.sum(jnp.where(share > 0, share * jnp.log(jnp.where(share > 0, share, 1.0)), 0.0), axis=-1)
    return jnp.where(total[..., 0] > 0, jnp.exp(entropy), 0.0)


def rank_growth(ranks: jax.Array, exists: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Velocity and acceleration ``[...]`` of ranks of ever longer prefixes: the means of ``d_j = m_j - mean_{i < j} m_i``, and of
    ``d_j - d_{j-1}``.

    Args:
        ranks: ``m_j``, ``[..., J]``.
        exists: ``bool [..., J]``: the sequence is as long; true up to some ``j`` and false after it. Without two prefixes the
            velocity is 0, and without three the acceleration.
    """
    number = ranks.shape[-1]
    before = (jnp.cumsum(ranks, axis=-1) - ranks) / jnp.maximum(jnp.arange(number), 1)
    step = (ranks - before)[..., 1:]
    return _mean(step, exists[..., 1:]), _mean(step[..., 1:] - step[..., :-1], exists[..., 2:])


def _mean(x: jax.Array, among: jax.Array) -> jax.Array:
    return jnp.sum(jnp.where(among, x, 0.0), axis=-1) / jnp.maximum(jnp.sum(among, axis=-1), 1)
