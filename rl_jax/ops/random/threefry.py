"""JAX's default random numbers with their rounds unrolled, which is faster on a CPU.

JAX compiles its generator for the CPU as a loop over rounds, one for each key that is made and each array that is drawn. For the
few numbers that one step of many environments or one learning step needs, these loops cost ten times as much as the arithmetic in
them. Here the rounds are fused into the kernels around them. Results are those of ``jax.random``, bit for bit: only the type of
the key differs, so that all keys and numbers derived from it, in any code, use this generator.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.random import define_prng_impl

from rl_jax.types import Key

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
NAME = "threefry2x32"


def unrolled_threefry(key: Key) -> Key:
    """The same key for a CPU's programs; other generators, and other devices, keep theirs."""
    is_threefry = str(jax.random.key_impl(key)) == NAME and jax.config.jax_threefry_partitionable  # type: ignore[attr-defined]
    if not is_threefry or jax.default_backend() != "cpu":
        return key
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=_generator())


@jax.jit  # one function in the program, compiled and optimised once for many calls
def _hash(words: jax.Array, high: jax.Array, low: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Threefry-2x32 with 20 rounds; Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3"."""
    schedule = (words[0], words[1], words[0] ^ words[1] ^ jnp.uint32(0x1BD11BDA))
    x, y = high + schedule[0], low + schedule[1]
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            x = x + y
            y = ((y << rotation) | (y >> (32 - rotation))) ^ x
        x = x + schedule[(group + 1) % 3]
        y = y + schedule[(group + 2) % 3] + jnp.uint32(group + 1)
    # Computed once, and not again in every kernel that reads them.
    return jax.lax.optimization_barrier((x, y))


def _counts(shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """The words ``(high, low)`` of the numbers from 0 on, in a shape."""
    return jnp.zeros(shape, jnp.uint32), jnp.arange(math.prod(shape), dtype=jnp.uint32).reshape(shape)


def _seed(seed: jax.Array) -> jax.Array:
    return jax.random.key_data(jax.random.key(seed, impl=NAME))


def _split(words: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jnp.stack(_hash(words, *_counts(shape)), axis=-1)


def _fold_in(words: jax.Array, data: jax.Array | int) -> jax.Array:
    # As arrays: scalar kernels would be fused into all later ones, and take the compiler three times as long.
    return jnp.concatenate(_hash(words, jnp.zeros(1, jnp.uint32), jnp.asarray(data).astype(jnp.uint32)[None]))


def _random_bits(words: jax.Array, width: int, shape: tuple[int, ...]) -> jax.Array:
    dtype = {8: jnp.uint8, 16: jnp.uint16, 32: jnp.uint32, 64: jnp.uint64}[width]
    if math.prod(shape) > 2**32:  # the count's high word is no longer zero
        return jax.random.bits(jax.random.wrap_key_data(words, impl=NAME), shape, dtype)
    high, low = _hash(words, *_counts(shape))
    if width == 64:
        return (high.astype(dtype) << 32) | low.astype(dtype)
    return (high ^ low).astype(dtype)


@functools.cache
def _generator() -> Any:
    return define_prng_impl(
        key_shape=(2,),
        seed=_seed,
        split=_split,
        random_bits=_random_bits,
        fold_in=_fold_in,
        name=f"{NAME}_written_out",
        tag="fry",
    )
