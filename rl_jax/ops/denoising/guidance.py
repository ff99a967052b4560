"""Classifier-free guidance: a condition, more or less of it."""

from typing import Any

import jax

from rl_jax.ops.denoising.process import Apply


def guided(conditional: Apply, unconditional: Apply, weight: Any) -> Apply:
    """A network that follows its condition with ``weight``: ``u + weight * (c - u)`` (Ho & Salimans 2022, arXiv 2207.12598, eq. 6).

    0 is the network without condition, 1 the one with it, more exaggerates it; the paper's ``w`` is ``weight - 1``. It costs
    the calls of both. In every process here the predicted clean item is linear in the network's output, so it is guided alike.

    Args:
        conditional, unconditional: mostly one network, trained with its condition left out at times, called with it and without.
        weight: a number, or one for each item, with axes ``[B, 1, ...]``.
    """

    def apply(x: jax.Array, time: jax.Array) -> jax.Array:
        without = unconditional(x, time)
        return without + weight * (conditional(x, time) - without)

    return apply
