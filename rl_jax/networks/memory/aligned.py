"""What a transformer saves where all columns are at one position: whole rollouts, each of which is one episode per column."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.errors import RLJaxError


class AlignedCache(NamedTuple):
    """Keys and values of the running episodes, ``[N, heads, L, D]`` for each layer: step ``t`` lies at ``t``, its key already rotated.

    ``time`` ``int32 [N]``: steps of the episodes so far, of which only the first column's is read.
    """

    keys: tuple[jax.Array, ...]
    values: tuple[jax.Array, ...]
    time: jax.Array


class Sight(NamedTuple):
    """Positions ``int32 [1, T]``, and what each step may look at: items ``[N, heads, S, D]`` for each layer, then the steps themselves.

    ``visible`` ``[1, T, S + T]``.
    """

    place: jax.Array
    visible: jax.Array
    keys: tuple[jax.Array, ...]
    values: tuple[jax.Array, ...]


def empty_cache(num_envs: int, layers: int, heads: int, length: int, size: int) -> AlignedCache:
    """Room for ``length`` steps of ``heads`` keys and values of ``size`` each, in every layer."""
    empty = (jnp.zeros((num_envs, heads, length, size), jnp.float32),) * layers
    return AlignedCache(empty, empty, jnp.zeros((num_envs,), jnp.int32))


def sight(cache: AlignedCache, first: jax.Array, length: int) -> Sight:
    """One step looks at the cache and at itself; several are a rollout from its first row on, and look at each other.

    Args:
        cache: before the first step.
        first: ``[T, N]``, where an episode begins.
        length: ``L``.

    Raises:
        RLJaxError: more steps than the cache has room for.
    """
    steps = len(first)
    if steps > length:
        raise RLJaxError(f"an aligned transformer of length={length} cannot hold {steps} steps: give it length={steps}")
    if steps > 1:
        none = tuple(x[:, :, :0] for x in cache.keys)
        return Sight(jnp.arange(steps, dtype=jnp.int32)[None], jnp.asarray(np.tri(steps, dtype=bool)[None]), none, none)
    time = jnp.where(first[0, 0], 0, cache.time[0])
    visible = jnp.append(jnp.arange(length, dtype=jnp.int32) < time, True)
    return Sight(time[None, None], visible[None, None], cache.keys, cache.values)


def extended(cache: AlignedCache, sight: Sight, keys: list[jax.Array], values: list[jax.Array]) -> AlignedCache:
    """The cache with one more step, or with those of a whole pass; ``[N, heads, T, D]`` for each layer."""
    begin = sight.place[0, 0]

    def put(old: jax.Array, new: jax.Array) -> jax.Array:
        return jax.lax.dynamic_update_slice_in_dim(old, new, begin, axis=2)

    written_keys, written_values = tuple(map(put, cache.keys, keys)), tuple(map(put, cache.values, values))
    return AlignedCache(written_keys, written_values, jnp.full_like(cache.time, sight.place[0, -1] + 1))


def whole_only(x: jax.Array, first: jax.Array) -> jax.Array:
    """Features ``[T, N, width]`` of several steps: NaN in columns that are no whole episode, so that nothing is learned from them."""
    if len(first) == 1:
        return x
    begins = jnp.arange(len(first), dtype=jnp.int32) == 0
    return jnp.where(jnp.all(first == begins[:, None], axis=0)[:, None], x, jnp.nan)
