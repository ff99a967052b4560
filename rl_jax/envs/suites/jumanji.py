"""Jumanji (Bonnet et al. 2023, https://arxiv.org/abs/2306.09884), the extra ``jumanji``.

How its episodes end: a last step with discount 0 is *terminated*, another last step is *truncated*. As read in jumanji 1.1.2, almost
all environments count the limit of steps into the task and end with discount 0 (only ``Connector`` and ``LevelBasedForaging``
truncate). Where that is not wanted, give a shorter ``time_limit``: that one is the loop's, and truncates.

Most observations have several fields. By default all of them are served as a dictionary: numbers as ``float32``, yes or no as
``bool``, and the library's ``action_mask`` as the mask that agents obey (see :mod:`rl_jax.masks`). A mask of each combination of
several choices, such as a row and a column, makes these one choice, ``Discrete``, of all combinations in C order; a mask that fits
neither is left out. ``observe`` names the fields that are shown instead, one (``observe="grid"``) or several (a list, or
``"agents,target"``), without a dictionary: one field keeps its shape, several are one flat ``float32`` vector.
Actions of several choices are ``MultiDiscrete``, flat. Environments that pay each of several agents are refused, unless
``team=True`` asks for the sum of their rewards (which ends when the last agent's task does).
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.envs.suites.foreign import ForeignEnv, raw
from rl_jax.errors import RLJaxError, UnsupportedSpace
from rl_jax.masks import MASK
from rl_jax.spaces import Box, Dict, Discrete, MultiDiscrete, ObsSpace, Space, mask_space
from rl_jax.types import Key, PyTree, Step

_NAMES = """
BinPack-v2 CVRP-v1 Cleaner-v0 Connector-v3 FlatPack-v0 Game2048-v1 GraphColoring-v1 JobShop-v0 Knapsack-v1 LevelBasedForaging-v0
MMST-v0 Maze-v0 Minesweeper-v0 MultiCVRP-v0 PacMan-v1 RobotWarehouse-v0 RubiksCube-partly-scrambled-v0 RubiksCube-v0
SearchAndRescue-v0 SlidingTilePuzzle-v0 Snake-v1 Sokoban-v0 Sudoku-v0 Sudoku-very-easy-v0 TSP-v1 Tetris-v0"""
NAMES = tuple(_NAMES.split())
"""Jumanji's environments."""


def known() -> set[str]:
    """All names that the library knows."""
    import jumanji

    return jumanji.registered_environments()


def make(
    short: str, observe: str | Sequence[str] | None = None, team: bool = False, **options: Any
) -> tuple[Any, PyTree, dict[str, Any]]:
    """The library's object; ``options`` are its constructor's, such as ``num_rows``."""
    import jumanji
    from jumanji.wrappers import MultiToSingleWrapper

    try:
        env = jumanji.make(short, **options)
        return MultiToSingleWrapper(env) if team else env, None, {"observe": observe}
    except OSError as error:
        raise RLJaxError(
            f"jumanji/{short} fetches its levels when it is made, and that failed ({error}); go online once"
        ) from error


def wrap(
    env: Any, name: str, params: PyTree = None, time_limit: int | None = None, observe: str | Sequence[str] | None = None
) -> ForeignEnv:
    """An adapter for a Jumanji object, which has no parameters.

    Raises:
        UnsupportedSpace: several agents with rewards of their own.
        RLJaxError: ``observe`` names no field.
    """
    paid = jax.eval_shape(lambda: env.reset(raw(jax.random.key(0)))[1].reward).shape
    if paid != ():
        raise UnsupportedSpace(f"{name}: it pays {paid[0]} agents apart, and one reward is needed; team=True takes their sum")
    chosen = _fields(name, env.observation_spec, observe)
    action, shape = _action_space(name, env.action_spec)
    single = chosen[0][1] if len(chosen) == 1 else None
    structured, sizes, joint = observe is None and single is None, getattr(action, "nvec", ()), False
    if structured:
        chosen, joint = _masked(chosen, action)

    def look(timestep: Any) -> Any:
        parts = [_reach(timestep.observation, path) for path, _ in chosen]
        if structured:
            return {_key(path): x.reshape(-1) if path == (MASK,) else x for (path, _), x in zip(chosen, parts, strict=True)}
        if single is not None:
            return parts[0]
        return jnp.concatenate([jnp.asarray(part, jnp.float32).reshape(-1) for part in parts])

    def reset(key: Key, params: PyTree) -> tuple[PyTree, Any]:
        state, timestep = env.reset(key)
        return state, look(timestep)

    def step(key: Key, state: PyTree, action: Any, params: PyTree) -> Step:
        if joint:
            action = jnp.stack(jnp.unravel_index(action, sizes))
        new, timestep = env.step(state, action.reshape(shape))
        over = timestep.last() & (timestep.discount == 0)
        extras = {field: value for field, value in timestep.extras.items() if jnp.size(value) == 1}
        return Step(new, look(timestep), timestep.reward, over, timestep.last(), extras)

    observation: ObsSpace
    if structured:
        observation = Dict({_key(path): _part(path, spec) for path, spec in chosen})
    elif single is not None:
        observation = _box(single, _dtype(single))
    else:
        boxes = [_box(spec, jnp.float32) for _, spec in chosen]
        low, high = sum((box.low for box in boxes), ()), sum((box.high for box in boxes), ())
        observation = Box(low, high, (len(low),))
    made = () if params is None else params
    served = Discrete(math.prod(sizes)) if joint else action
    return ForeignEnv(env, name, made, observation, served, reset, step, time_limit)


def _leaves(spec: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """The arrays within a specification, each with its path."""
    if hasattr(spec, "shape"):
        return [(path, spec)]
    return [leaf for field, inner in spec._specs.items() for leaf in _leaves(inner, (*path, field))]


def _fields(name: str, spec: Any, observe: str | Sequence[str] | None) -> list[tuple[tuple[str, ...], Any]]:
    """The arrays of the fields in ``observe``, each with its path."""
    leaves = _leaves(spec)
    first = list(dict.fromkeys(path[0] for path, _ in leaves if path))
    chosen = first if observe is None else observe.split(",") if isinstance(observe, str) else list(observe)
    if not set(chosen) <= set(first):
        raise RLJaxError(
            f"{name}: observe={observe!r} is no part of the observation; choose from {', '.join(first) or 'nothing'}"
        )
    if not first:
        return leaves
    return [(path, leaf) for field in chosen for path, leaf in leaves if path[0] == field]


def _masked(fields: list[tuple[tuple[str, ...], Any]], action: Space) -> tuple[list[tuple[tuple[str, ...], Any]], bool]:
    """The fields without a mask that cannot be obeyed, and whether the mask is of all combinations of choices."""
    masks = [tuple(spec.shape) for path, spec in fields if path == (MASK,)]
    joint = isinstance(action, MultiDiscrete) and action.nvec in masks
    fits = not isinstance(action, Box) and any(math.prod(shape) == mask_space(action).shape[0] for shape in masks)
    return [(path, spec) for path, spec in fields if path != (MASK,) or joint or fits], joint


def _key(path: tuple[str, ...]) -> str:
    return "_".join(path)


def _part(path: tuple[str, ...], spec: Any) -> Box:
    """The space of one part of a dictionary."""
    if path == (MASK,):
        return Box.of(0, 1, (math.prod(spec.shape),), jnp.bool_)
    return _box(spec, jnp.bool_ if np.dtype(spec.dtype) == np.bool_ else jnp.float32)


def _reach(tree: Any, path: tuple[str, ...]) -> Any:
    for field in path:
        tree = tree[field] if isinstance(tree, dict) else getattr(tree, field)
    return tree


def _dtype(spec: Any) -> Any:
    """Yes or no stays so, codes are ``int32`` (``uint8`` would be taken for a picture), all else is ``float32``."""
    dtype = np.dtype(spec.dtype)
    if dtype == np.bool_:
        return dtype
    return np.dtype(np.int32 if np.issubdtype(dtype, np.integer) else np.float32)


def _box(spec: Any, dtype: Any) -> Box:
    low, high = getattr(spec, "minimum", -np.inf), getattr(spec, "maximum", np.inf)
    return Box.of(np.asarray(low), np.asarray(high), tuple(spec.shape), dtype)


def _action_space(name: str, spec: Any) -> tuple[Space, tuple[int, ...]]:
    """Our space, and the shape in which the library wants what is drawn from it."""
    if not hasattr(spec, "shape"):
        raise UnsupportedSpace(f"{name}: the action is no single array, it has the parts {', '.join(spec._specs)}")
    shape = tuple(spec.shape)
    if hasattr(spec, "num_values"):
        numbers = np.asarray(spec.num_values).reshape(-1)
        return (MultiDiscrete(tuple(int(n) for n in numbers)) if shape else Discrete(int(numbers[0]))), shape
    if np.issubdtype(np.dtype(spec.dtype), np.floating):
        return _box(spec, jnp.float32), shape
    if hasattr(spec, "maximum") and not np.any(np.asarray(spec.minimum)):
        numbers = np.broadcast_to(np.asarray(spec.maximum) + 1, shape).reshape(-1)
        return MultiDiscrete(tuple(int(n) for n in numbers)), shape
    raise UnsupportedSpace(f"{name}: the action {spec!r} is neither numbers nor choices")
