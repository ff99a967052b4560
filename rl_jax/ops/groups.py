"""Columns in groups: ``G`` neighbours that began alike, and what is compared within them."""

from typing import Annotated

import jax
import jax.numpy as jnp

from rl_jax.argument_checks import check_argument
from rl_jax.errors import RLJaxError
from rl_jax.values import Range


def grouped(x: jax.Array, size: int) -> jax.Array:
    """Columns ``[..., N]`` as groups of ``size`` neighbours ``[..., B, G]``.

    Raises:
        RLJaxError: the groups do not come out even.
    """
    *lead, columns = x.shape
    check_argument("a group's size", size, Annotated[int, Range(1, 1_000_000)])
    if columns % size:
        raise RLJaxError(f"{columns} columns are no groups of {size}: let the group's size divide the number of environments")
    return x.reshape(*lead, columns // size, size)


def _with_others(x: jax.Array, size: int) -> jax.Array:
    """:func:`grouped`, of at least two columns each."""
    check_argument("a group's size", size, Annotated[int, Range(2, 1_000_000)])
    return grouped(x, size)


def ungrouped(x: jax.Array) -> jax.Array:
    """Groups ``[..., B, G]`` as columns ``[..., B * G]``."""
    return x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])


def group_mean(x: jax.Array, size: int) -> jax.Array:
    """The mean of each column's group, ``[..., N]``."""
    groups = grouped(x, size)
    return ungrouped(jnp.broadcast_to(jnp.mean(groups, axis=-1, keepdims=True), groups.shape))


def leave_one_out(x: jax.Array, size: int) -> jax.Array:
    """The mean of the *others* of each column's group, ``[..., N]``.

    Raises:
        RLJaxError: a group has no others, or they do not come out even.
    """
    groups = _with_others(x, size)
    return ungrouped((jnp.sum(groups, axis=-1, keepdims=True) - groups) / (size - 1))


def group_std(x: jax.Array, size: int) -> jax.Array:
    """The standard deviation of each column's group (divided by ``G - 1``, as the published code of GRPO does), ``[..., N]``.

    Raises:
        RLJaxError: a group has a single column, or they do not come out even.
    """
    groups = _with_others(x, size)
    return ungrouped(jnp.broadcast_to(jnp.std(groups, axis=-1, keepdims=True, ddof=1), groups.shape))


def group_alike(x: jax.Array, size: int) -> jax.Array:
    """Whether all of a column's group are equal, exactly, ``bool [..., N]``: a mean of equal numbers can differ from them."""
    groups = grouped(x, size)
    alike = jnp.max(groups, axis=-1, keepdims=True) == jnp.min(groups, axis=-1, keepdims=True)
    return ungrouped(jnp.broadcast_to(alike, groups.shape))


def episode_mean(x: jax.Array, own: jax.Array) -> jax.Array:
    """The mean of ``x`` ``[T, N]`` over the policy's own steps of each whole episode, ``[N]``; zero where it has none."""
    return jnp.sum(jnp.where(own, x, 0.0), axis=0) / jnp.maximum(jnp.sum(own, axis=0), 1)


def from_here(x: jax.Array) -> jax.Array:
    """The sum of ``x`` ``[T, N]`` from each step on, ``[T, N]``."""
    return jnp.cumsum(x[::-1], axis=0)[::-1]
