"""What a transformer saves where all columns are at one position: whole rollouts, each of which is one episode per column."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.errors import RLJaxError
from rl_jax.networks.memory.attention import Look, Sink, attend


class AlignedCache(NamedTuple):
    """Keys and values of the running episodes, ``[N, heads, L, D]`` for each layer: step ``t`` lies at ``t``, its key already rotated.

    A layer has arrays of its own, so that a compiled loop writes a step into them where they are, and reads them as they lie.
    ``time`` ``int32 [N]``: steps of the episodes so far, of which only the first column's is read.
    """

    keys: tuple[jax.Array, ...]
    values: tuple[jax.Array, ...]
    time: jax.Array


def empty_cache(num_envs: int, layers: int, heads: int, length: int, size: int) -> AlignedCache:
    """Room for ``length`` steps of ``heads`` keys and values of ``size`` each, in every layer."""
    empty = (jnp.zeros((num_envs, heads, length, size), jnp.float32),) * layers
    return AlignedCache(empty, empty, jnp.zeros((num_envs,), jnp.int32))


def look_at_rollout(cache: AlignedCache, first: jax.Array, length: int) -> tuple[jax.Array, list[Look]]:
    """One step looks at the cache, which has it then; several are a rollout from its first row on, and look at each other.

    A step beyond the last that there is room for takes the place of that, as when the value after a truncated episode is asked for.

    Args:
        cache: before the first step.
        first: ``[T, N]``, where an episode begins.
        length: ``L``.

    Returns:
        Positions ``int32 [1, T]``, and for each layer a :data:`~rl_jax.networks.memory.attention.Look`, which remembers the cache
        ``[N, heads, L, D]`` after the last step.

    Raises:
        RLJaxError: more steps than there is room for.
    """
    steps = len(first)
    if steps > length:
        raise RLJaxError(f"an aligned transformer of length={length} cannot hold {steps} steps: give it length={steps}")
    whole = steps > 1
    begin = jnp.int32(0) if whole else jnp.where(first[0, 0], 0, cache.time[0])
    written = jnp.arange(length, dtype=jnp.int32) <= begin
    visible = jnp.asarray(np.tri(steps, dtype=bool)[None]) if whole else written[None, None]

    def look_at(old_keys: jax.Array, old_values: jax.Array) -> Look:
        def look(query: jax.Array, key: jax.Array, value: jax.Array, sink: Sink) -> tuple[jax.Array, jax.Array, jax.Array]:
            # Written before it is read: the other way round the compiled loop copies the cache in every step. One position for
            # all columns is a slice; a selection by a mask takes twice as long.
            keys, values = (
                jax.lax.dynamic_update_slice_in_dim(old, new, begin, axis=2)
                for old, new in ((old_keys, key), (old_values, value))
            )
            seen = ((key,), (value,)) if whole else ((keys,), (values,))
            return attend(query, *seen, visible, sink), keys, values

        return look

    return begin + jnp.arange(steps, dtype=jnp.int32)[None], [
        look_at(*old) for old in zip(cache.keys, cache.values, strict=True)
    ]


def whole_only(x: jax.Array, first: jax.Array) -> jax.Array:
    """Features ``[T, N, width]`` of several steps: NaN in columns that are no whole episode, so that nothing is learned from them."""
    if len(first) == 1:
        return x
    begins = jnp.arange(len(first), dtype=jnp.int32) == 0
    return jnp.where(jnp.all(first == begins[:, None], axis=0)[:, None], x, jnp.nan)
