"""Statistics of observations that may be dictionaries: of each part by itself."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rl_jax.masks import MASK
from rl_jax.spaces import Box, Dict, ObsSpace
from rl_jax.types import PyTree


def moments_of(space: ObsSpace, zero: Callable[[tuple[int, ...]], PyTree]) -> PyTree:
    """Empty statistics of observations: of a box, ``()`` of discrete ones, and of a dictionary those of its parts of floats.

    Discrete observations are names, not sizes: they have nothing to normalise. ``zero`` makes the statistics of one shape.
    """
    if isinstance(space, Dict):
        numbers = {name: part for name, part in space.items() if name != MASK and _of_floats(part)}
        return {name: moments_of(part, zero) for name, part in numbers.items()}
    return zero(space.shape) if isinstance(space, Box) else ()


def _of_floats(space: ObsSpace) -> bool:
    return isinstance(space, Dict) or (isinstance(space, Box) and jnp.issubdtype(space.dtype, jnp.floating))


def map_normalized(function: Callable[[PyTree, jax.Array], jax.Array], state: PyTree, obs: PyTree) -> PyTree:
    """``obs`` with ``function(moments, x)`` for each part that has statistics in ``state``, of :func:`moments_of`."""
    if isinstance(state, dict):
        return {name: map_normalized(function, state.get(name, ()), x) for name, x in obs.items()}
    return obs if state == () else function(state, obs)


def map_statistics(function: Callable[..., PyTree], state: PyTree, *trees: PyTree) -> PyTree:
    """``state`` with ``function(moments, *x)`` for the statistics of each part."""
    if isinstance(state, dict):
        return {name: map_statistics(function, part, *(tree[name] for tree in trees)) for name, part in state.items()}
    return state if state == () else function(state, *trees)
