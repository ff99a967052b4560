"""The leaves of a training state: their names, checks and checksum, and random keys as words."""

import hashlib
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.errors import RLJaxError
from rl_jax.types import PyTree
from rl_jax.values import short


def is_key(leaf: Any) -> bool:
    """Whether a leaf (or its shape) is a typed random key."""
    return hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def key_to_words(leaf: Any) -> Any:
    """A typed key as ``uint32`` words; any other leaf unchanged."""
    return jax.random.key_data(leaf) if is_key(leaf) else leaf


def words_to_key(words: Any, like: Any) -> Any:
    """Words as a key of the same generator as ``like`` (a key, or the shape of one); any other leaf unchanged."""
    if not is_key(like):
        return words
    impls: list[Any] = []
    jax.eval_shape(lambda key: impls.append(jax.random.key_impl(key)), like)
    return jax.random.wrap_key_data(words, impl=impls[0])


def flatten(state: PyTree) -> dict[str, Any]:
    """Leaves by name: the name holds the leaf's number and its path. Python numbers become arrays, as in jax.

    Raises:
        RLJaxError: a leaf is neither an array nor a number, or has a value or dtype that a program cannot hold.
    """
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {
        f"{i:04d}{jax.tree_util.keystr(path)}".replace("/", "|"): _array(jax.tree_util.keystr(path), leaf)
        for i, (path, leaf) in enumerate(leaves)
    }


def _array(name: str, leaf: Any) -> Any:
    place = name or "its root"
    if is_key(leaf):
        return leaf
    array = leaf
    if not hasattr(leaf, "dtype"):
        try:
            array = jnp.asarray(leaf)
        except OverflowError:
            array = None
        except TypeError:
            raise RLJaxError(
                f"a training state holds a {type(leaf).__name__} at {place}, which no checkpoint can keep: "
                f"make it an array, or a static field of its dataclass"
            ) from None
        if array is None or (isinstance(leaf, float) and math.isfinite(leaf) and not math.isfinite(float(array))):
            raise RLJaxError(
                f"a training state holds {short(leaf)} at {place}, which is beyond 32 bits: make it a smaller number"
            )
    dtype = np.dtype(array.dtype)
    if dtype.kind in "OSUMm" or jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise RLJaxError(
            f"a training state holds {dtype} at {place}, which a program could not read back: make it an array of jax.numpy, "
            f"such as jnp.asarray(x, jnp.float32)"
        )
    return array


def describe(flat: dict[str, Any]) -> dict[str, str]:
    """Dtype and shape of each leaf as text, such as ``float32[3, 4]``."""
    return {name: f"{np.dtype(leaf.dtype)}{list(leaf.shape)}" for name, leaf in flat.items()}


def digest(tree: PyTree) -> str:
    """SHA-256 over shapes, dtypes and bytes of all leaves, in order."""
    sha256 = hashlib.sha256()
    for leaf in jax.tree.leaves(jax.tree.map(key_to_words, tree)):
        array = np.asarray(leaf)
        sha256.update(f"{array.shape}{array.dtype}".encode())
        sha256.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return sha256.hexdigest()
