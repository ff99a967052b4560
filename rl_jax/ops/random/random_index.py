"""Random indices."""

import jax
import jax.numpy as jnp

from rl_jax.types import Key


def random_index(key: Key, shape: tuple[int, ...], count: jax.Array | int) -> jax.Array:
    """Indices of ``shape``, ``int32``, uniform over ``range(count)`` (over ``range(1)`` if that is empty).

    One random word ``u`` per index, scaled: ``floor(u * count / 2^32)`` (Lemire 2019, "Fast Random Integer Generation in an
    Interval", without his rejection step). The probability of an index is ``1 / count`` but for a relative error of up to
    ``count / 2^32``: for a million indices, a quarter of a thousandth. ``jax.random.randint`` has no such error up to ``2^-32``,
    and costs three times as many random words, which is a good part of the price of a draw from a buffer.
    """
    words = jax.random.bits(key, shape, jnp.uint32)
    count = jnp.maximum(jnp.asarray(count, jnp.uint32), 1)
    # The upper word of the product of two words, by halves: there are no wider integers.
    low, high = words & 0xFFFF, words >> 16
    count_low, count_high = count & 0xFFFF, count >> 16
    middle = high * count_low + (low * count_low >> 16)
    upper = high * count_high + (middle >> 16) + (((middle & 0xFFFF) + low * count_high) >> 16)
    return upper.astype(jnp.int32)
