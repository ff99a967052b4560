"""How foreign environments are kept to one set of dtypes, so that a state can be carried through ``lax.scan``.

Environments written with Python scalars come back from ``reset`` with weakly typed leaves and from ``step`` with strong
ones, and under ``jax_enable_x64`` some mix widths so that they cannot even be traced. Two rules mend all of that:
foreign code is traced in 32 bits (:func:`single_width`), and whatever it returns is given strong dtypes
(:func:`strong`, :func:`like`).
"""

import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.errors import ProtocolError
from rl_jax.types import PyTree

_NARROW: dict[str, Any] = {"f": np.float32, "i": np.int32, "u": np.uint32, "b": np.bool_, "c": np.complex64}


def single_width() -> AbstractContextManager[Any]:
    """A context in which new arrays are 32 bits wide, whatever ``jax_enable_x64`` says outside."""
    return jax.enable_x64(False)


def is_key(leaf: Any) -> bool:
    """Whether ``leaf`` is a typed random key, which no cast may touch."""
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _narrow_dtype(dtype: Any) -> Any:
    """The dtype of at most 32 bits that stands for ``dtype`` (``uint8``, ``bfloat16`` and the like stay)."""
    wide = np.dtype(dtype)
    return _NARROW[wide.kind] if wide.itemsize > 4 and wide.kind in _NARROW else wide


def strong(tree: PyTree) -> PyTree:
    """``tree`` with every leaf an array of at most 32 bits whose dtype is not weak."""

    def leaf(x: Any) -> Any:
        if is_key(x):
            return x
        dtype = x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype
        return jnp.asarray(x, _narrow_dtype(dtype))

    return jax.tree.map(leaf, tree)


def concrete(tree: PyTree) -> PyTree:
    """``tree`` of concrete numbers with strong dtypes: NumPy scalars where 0-d, device arrays elsewhere.

    NumPy scalars, because they stay constants even when the tree is first asked for inside a trace.
    """

    def leaf(x: Any) -> Any:
        if is_key(x):
            return x
        value = np.asarray(x)
        value = value.astype(_narrow_dtype(value.dtype))
        return value[()] if value.ndim == 0 else jnp.asarray(value)

    return jax.tree.map(leaf, tree)


def narrow(params: PyTree) -> PyTree:
    """Task parameters as foreign code may be given them: tracers and arrays cast to 32 bits, Python numbers too."""

    def leaf(x: Any) -> Any:
        if isinstance(x, jax.Array):
            return x if is_key(x) else jnp.asarray(x, _narrow_dtype(x.dtype))
        return concrete(x)

    return jax.tree.map(leaf, params)


def scalar(value: Any, dtype: Any) -> jax.Array:
    """A strong 0-d array; accepts arrays of one element of any shape, such as ``[1]`` rewards."""
    return jnp.asarray(value, dtype).reshape(())


def like(name: str, new: PyTree, old: PyTree) -> PyTree:
    """``new`` with the shapes and dtypes of ``old``, the state that the loop carries.

    Raises:
        ProtocolError: the two differ in structure or shape, or the cast would cut off a fraction (a leaf that ``reset``
            makes an integer and ``step`` a float).
    """
    new_tree: Any = jax.tree.structure(new)
    old_tree: Any = jax.tree.structure(old)
    if new_tree != old_tree:
        raise ProtocolError(
            f"{name}: step returned a state of another structure than it was given "
            f"({new_tree} for {old_tree}); return the same pytree from reset and step"
        )
    paths = [jax.tree_util.keystr(path) or "state" for path, _ in jax.tree_util.tree_leaves_with_path(old)]
    pairs = zip(paths, jax.tree.leaves(new), jax.tree.leaves(old), strict=True)
    return jax.tree.unflatten(old_tree, [_cast(name, path, n, o) for path, n, o in pairs])


def _cast(name: str, path: str, new: Any, old: Any) -> Any:
    if is_key(old):
        return new
    old_dtype, new_dtype = jnp.result_type(old), jnp.result_type(new)
    if np.size(new) != np.size(old) or (np.ndim(new) != np.ndim(old) and np.size(old) != 1):
        raise ProtocolError(
            f"{name}: state{path} has shape {np.shape(old)} after reset and {np.shape(new)} after step; "
            f"give it one shape in both"
        )
    if jnp.issubdtype(new_dtype, jnp.floating) and not jnp.issubdtype(old_dtype, jnp.floating):
        raise ProtocolError(
            f"{name}: state{path} is {old_dtype} after reset and {new_dtype} after step, so its fraction "
            f"would be lost; make it a float in reset (0.0 instead of 0)"
        )
    return jnp.asarray(new, old_dtype).reshape(np.shape(old))


def cached(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Remember ``function(env)`` per environment object, by identity and without keeping the object alive longer.

    The answers are static facts (dtypes, default parameters) that every trace asks for.
    """
    memory: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()

    def remembered(env: Any) -> Any:
        try:
            if env not in memory:
                memory[env] = function(env)
            return memory[env]
        except TypeError:  # neither hashable nor weakly referable: ask every time
            return function(env)

    return remembered
