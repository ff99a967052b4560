"""Numbers of a trainer by the path to them, such as ``agent.learning_rate``."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp

from rl_jax.agents.configs.spellings import meant
from rl_jax.errors import RLJaxError
from rl_jax.loop import Trainer
from rl_jax.values import short


def paths(trainer: Trainer) -> dict[str, Any]:
    """Every leaf of a trainer by its path: attributes, keys and numbers with dots between them."""
    leaves = jax.tree_util.tree_leaves_with_path(trainer)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def with_leaves(trainer: Trainer, values: Mapping[str, Any]) -> Trainer:
    """A trainer with other values of some leaves, by their paths."""
    leaves = [values.get(path, leaf) for path, leaf in paths(trainer).items()]
    made: Trainer = jax.tree.unflatten(jax.tree.structure(trainer), leaves)
    return made


def settings_of_grid(trainer: Trainer, grid: Mapping[str, Sequence[float]]) -> list[Trainer]:
    """The trainer at every point of a grid, in the order of :func:`rl_jax.run.storage.identity.run_labels`."""
    return [with_leaves(trainer, dict(zip(grid, point, strict=True))) for point in product(*grid.values())]


def check_paths(trainer: Trainer, grid: Any) -> dict[str, list[float]]:
    """A grid over leaves, as lists of numbers.

    Raises:
        RLJaxError: it is none, a path leads to no number of the trainer, or a value is no number that the leaf can have.
    """
    if not isinstance(grid, Mapping) or any(isinstance(x, str) or not isinstance(x, Sequence) for x in grid.values()):
        raise RLJaxError(f"sweep is {short(grid)}: give values by path, such as {{'agent.learning_rate': [1e-3, 1e-4]}}")
    known = {path: leaf for path, leaf in paths(trainer).items() if getattr(leaf, "ndim", 0) == 0}
    for path, values in grid.items():
        if path not in known:
            near = meant(str(path), known)
            fix = f"did you mean {' or '.join(near)}?" if near else f"these can vary: {', '.join(known)}"
            raise RLJaxError(f"the trainer has no number {short(path)} (static fields cannot vary in one program); {fix}")
        if wrong := [value for value in values if isinstance(value, bool) or not isinstance(value, int | float)]:
            raise RLJaxError(f"{path} is varied over {short(wrong[0])}: give numbers")
    if not any(len(values) > 1 for values in grid.values()):
        raise RLJaxError(f"sweep has no number with several values; these can vary: {', '.join(known)}")
    return {path: _of_leaf(path, known[path], values) for path, values in grid.items()}


def _of_leaf(path: str, leaf: Any, values: Sequence[float]) -> list[float]:
    """Values as the leaf holds them. A leaf from a Python integer becomes a float where one of them is a fraction."""
    dtype, weak = jnp.result_type(leaf), getattr(leaf, "weak_type", type(leaf) is int)
    if fractions := [value for value in values if value % 1 != 0]:
        dtype = jnp.result_type(float) if weak and jnp.issubdtype(dtype, jnp.integer) else dtype
    floating = jnp.issubdtype(dtype, jnp.floating)
    most = float(jnp.finfo(dtype).max) if floating else 1 if jnp.issubdtype(dtype, jnp.bool_) else jnp.iinfo(dtype).max
    if wrong := [value for value in values if not abs(value) <= most]:
        raise RLJaxError(
            f"{path} is varied over {short(wrong[0])}: give finite numbers, of which a {dtype} holds up to {most:g}"
        )
    if fractions and not floating:
        raise RLJaxError(f"{path} is varied over {short(fractions[0])}, and it is of the type {dtype}: give whole numbers")
    return [float(value) if floating else int(value) for value in values]
