"""Branches that stay branches under ``vmap``.

``lax.cond`` with a batched predicate becomes a select, which computes both sides. A reduction over *every* batch element
keeps the predicate a scalar, so a whole branch is skipped when no run of a vmapped batch needs it, and results stay exact
because each element still selects its own outcome inside the branch.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

T = TypeVar("T")


@custom_vmap
def any_true(flags: jax.Array) -> jax.Array:
    """Whether any flag is set, over all elements of every enclosing ``vmap`` too. A scalar bool, never batched."""
    return jnp.any(flags)


@any_true.def_vmap
def _(axis_size: int, in_batched: Any, flags: jax.Array) -> tuple[jax.Array, bool]:
    del axis_size, in_batched
    return any_true(flags), False


def change_where(due: jax.Array, change: Callable[[T], T], state: T) -> T:
    """``change(state)`` where it is due. It is skipped, not only discarded, if it is due in no run of a vmapped batch."""

    def some(state: T) -> T:
        return jax.tree.map(lambda new, old: jnp.where(due, new, old), change(state), state)

    return jax.lax.cond(any_true(due), some, lambda state: state, state)


@custom_vmap
def shared(value: jax.Array) -> jax.Array:
    """A number that is the same in every element of every enclosing ``vmap`` (a count of steps, say), as one unbatched scalar.

    Loops over it then stay loops of one length. It is the caller's promise that the elements agree; the largest is returned.
    """
    return value


@shared.def_vmap
def _(axis_size: int, in_batched: Any, value: jax.Array) -> tuple[jax.Array, bool]:
    del axis_size
    return shared(jnp.max(value, axis=0) if in_batched[0] else value), False
