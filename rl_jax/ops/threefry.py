"""The random numbers of ``jax.random``, for the inside of hot loops on a CPU.

JAX compiles its generator for the CPU as a loop over rounds, one for each key that is made and each array that is drawn. For
the few numbers that a learning step needs, these loops cost ten times as much as the arithmetic in them, and more where XLA
then runs them beside the step's own work in another thread. Here the rounds are written out, so that they become a part of the
kernels around them. Results are those of ``jax.random``, bit for bit. Other generators than JAX's default one, and runs under
its checker for reused keys, are left to ``jax.random`` itself.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.types import Key

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def _ours(key: Key) -> bool:
    default = str(jax.random.key_impl(key)) == "threefry2x32" and jax.config.jax_threefry_partitionable  # type: ignore[attr-defined]
    return default and not jax.config.jax_debug_key_reuse  # type: ignore[attr-defined]


def _threefry(key: Key, low: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Threefry-2x32 with 20 rounds of the words ``(0, low)``; Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3"."""
    words = jax.random.key_data(key)
    schedule = (words[0], words[1], words[0] ^ words[1] ^ jnp.uint32(0x1BD11BDA))
    x, y = schedule[0], low + schedule[1]
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            x = x + y
            y = ((y << rotation) | (y >> (32 - rotation))) ^ x
        x = x + schedule[(group + 1) % 3]
        y = y + schedule[(group + 2) % 3] + jnp.uint32(group + 1)
    # Computed here, and not again in every kernel that reads them.
    return jax.lax.optimization_barrier((x, y))


def fold_in(key: Key, data: jax.Array | int) -> Key:
    """``jax.random.fold_in(key, data)``."""
    if not _ours(key):
        return jax.random.fold_in(key, data)
    words = jnp.stack(_threefry(key, jnp.asarray(data).astype(jnp.uint32)), axis=-1)
    return jax.random.wrap_key_data(words, impl="threefry2x32")


def split(key: Key, num: int = 2) -> Key:
    """``jax.random.split(key, num)``."""
    if not _ours(key):
        return jax.random.split(key, num)
    words = jnp.stack(_threefry(key, jnp.arange(num, dtype=jnp.uint32)), axis=-1)
    return jax.random.wrap_key_data(words, impl="threefry2x32")


def bits(key: Key, shape: tuple[int, ...]) -> jax.Array:
    """``jax.random.bits(key, shape, jnp.uint32)``, fewer than ``2^32`` of them."""
    if not _ours(key):
        return jax.random.bits(key, shape, jnp.uint32)
    high, low = _threefry(key, jnp.arange(math.prod(shape), dtype=jnp.uint32).reshape(shape))
    return high ^ low


def uniform(key: Key, shape: tuple[int, ...]) -> jax.Array:
    """``jax.random.uniform(key, shape, jnp.float32)``."""
    # 23 random bits of mantissa make a number in [1, 2).
    return jax.lax.bitcast_convert_type((bits(key, shape) >> 9) | jnp.uint32(0x3F800000), jnp.float32) - 1.0


def normal(key: Key, shape: tuple[int, ...]) -> jax.Array:
    """``jax.random.normal(key, shape, jnp.float32)``."""
    low = np.nextafter(np.float32(-1.0), np.float32(0.0))
    u = jnp.maximum(low, uniform(key, shape) * (np.float32(1.0) - low) + low)
    return jax.lax.optimization_barrier(np.float32(math.sqrt(2)) * jax.lax.erf_inv(u))
