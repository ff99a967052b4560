"""Action masks: which choices an observation allows.

A mask is the entry ``"action_mask"`` of a dictionary observation, ``bool``: ``[..., n]`` for ``Discrete(n)``, and
``[..., sum(nvec)]`` for ``MultiDiscrete(nvec)``, part after part. A row that allows nothing counts as one that allows everything:
an action has to be taken, and environments often show such a row at the end of an episode.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

#: The key of a dictionary observation whose entry says which choices are allowed.
MASK = "action_mask"


def mask_of(obs: Any) -> jax.Array | None:
    """The mask of observations ``[..., ...]``, if they have one."""
    return obs.get(MASK) if isinstance(obs, Mapping) else None


def by_part(x: jax.Array, nvec: tuple[int, ...], fill: Any) -> jax.Array:
    """``[..., sum(nvec)]`` as ``[..., len(nvec), max(nvec)]``, filled up with ``fill``."""
    sizes, most = np.asarray(nvec), max(nvec)
    if min(nvec) == most:
        return x.reshape(*x.shape[:-1], len(sizes), most)
    place = np.cumsum(sizes)[:, None] - sizes[:, None] + np.arange(most)
    place = np.where(np.arange(most) < sizes[:, None], place, sum(nvec))
    return jnp.take(x, place, axis=-1, mode="fill", fill_value=fill)


def usable(mask: jax.Array, nvec: tuple[int, ...] | None = None) -> jax.Array:
    """A mask ``[..., n]`` of which every row (with ``nvec``, every part of it) allows something."""
    if nvec is None:
        return mask | ~jnp.any(mask, axis=-1, keepdims=True)
    something = jnp.any(by_part(mask, nvec, False), axis=-1)
    return mask | ~something[..., np.repeat(np.arange(len(nvec)), nvec)]


def forbid(values: jax.Array, obs: Any) -> jax.Array:
    """``values`` ``[..., n]`` of all choices, minus infinity where ``obs`` ``[..., ...]`` forbids one."""
    mask = mask_of(obs)
    return values if mask is None else jnp.where(usable(mask), values, -jnp.inf)


def among(mask: jax.Array, u: jax.Array) -> jax.Array:
    """An allowed choice ``int32 [...]``: number ``floor(u k)`` of the ``k`` that ``mask`` ``[..., n]`` allows, ``u`` in ``[0, 1)``."""
    order = jnp.cumsum(mask, axis=-1, dtype=jnp.int32)
    count = order[..., -1]
    number = jnp.minimum((u * count).astype(jnp.int32), count - 1)
    return jnp.argmax(order > number[..., None], axis=-1).astype(jnp.int32)
