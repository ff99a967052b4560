"""Where two trees of arrays, or of shapes, differ."""

from typing import Any

import jax

PyTree = Any


def difference(tree: PyTree, other: PyTree) -> list[tuple[tuple[Any, ...], str, str]]:
    """The path and the two kinds of the first leaf in which two trees of arrays or shapes differ; empty if they do not."""
    old, new = (dict(jax.tree_util.tree_leaves_with_path(each)) for each in (tree, other))
    for path in [*old, *(path for path in new if path not in old)]:
        kinds = [kind_of(leaves[path]) if path in leaves else "missing" for leaves in (old, new)]
        if kinds[0] != kinds[1]:
            return [(path, kinds[0], kinds[1])]
    return [_unlike(tree, other)] if _structure(tree) != _structure(other) else []


def _unlike(tree: PyTree, other: PyTree, path: tuple[Any, ...] = ()) -> tuple[tuple[Any, ...], str, str]:
    """The innermost place at which two trees with the same leaves differ in structure, and the types there."""
    inner, inner_other = (
        dict(jax.tree_util.tree_leaves_with_path(each, is_leaf=lambda x, each=each: x is not each)) for each in (tree, other)
    )
    if inner.keys() == inner_other.keys():
        for key, child in inner.items():
            if _structure(child) != _structure(inner_other[key]):
                return _unlike(child, inner_other[key], (*path, *key))
    return path, f"a {type(tree).__name__}", f"a {type(other).__name__}"


def _structure(tree: PyTree) -> Any:
    return jax.tree.structure(tree)


def kind_of(leaf: Any) -> str:
    return f"{leaf.dtype}{list(leaf.shape)}" if hasattr(leaf, "dtype") else type(leaf).__name__
