"""A digest of a trainer: its parts, their numbers, static fields and functions; the same in every process.

Two trainers with one digest are the same but for code: what a class or function does is not looked at, only its name, the constants
and names that it uses, its defaults, and the values that it has closed over.
"""

import dataclasses
import functools
import hashlib
import inspect
import json
import types
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from rl_jax.run.devices.tree_io import key_to_words

#: Values whose text says all.
_PLAIN = (type(None), bool, int, float, complex, str, bytes)


def trainer_digest(trainer: Any) -> str:
    """SHA-256 of everything that tells one trainer from another, short of the code of its parts."""
    return _digest(trainer, {})


def _digest(value: Any, known: dict[int, tuple[Any, str]]) -> str:
    """The text of a plain value, or else the digest of a value's description, whether it is held once or several times.

    Args:
        value: anything.
        known: digests of values by their number, with the values, so that they stay alive and their numbers theirs.
    """
    if isinstance(value, _PLAIN):
        return repr(value)
    if id(value) not in known:
        known[id(value)] = value, "within itself"
        content = json.dumps(_described(value, functools.partial(_digest, known=known)))
        known[id(value)] = value, hashlib.sha256(content.encode()).hexdigest()
    return known[id(value)][1]


def _described(value: Any, inner: Callable[[Any], str]) -> Any:
    """What a value consists of, as JSON. Modules are not named: a script and a notebook know a class by different ones."""
    content: Any
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        array = np.asarray(key_to_words(value))
        content = str(array.dtype), array.shape, hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    elif isinstance(value, Mapping):
        content = sorted([str(key), inner(item)] for key, item in value.items())
    elif isinstance(value, list | tuple):
        content = [type(value).__name__, *map(inner, value)]
    elif isinstance(value, set | frozenset):
        content = sorted(map(inner, value))
    elif isinstance(value, type | types.ModuleType | types.BuiltinFunctionType):
        content = _name(value)
    elif isinstance(value, functools.partial):
        content = "partial", *map(inner, (value.func, value.args, value.keywords))
    elif isinstance(value, types.MethodType):
        content = "method", inner(value.__func__), inner(value.__self__)
    elif isinstance(value, types.FunctionType):
        cells = [_cell(cell) for cell in value.__closure__ or ()]
        content = _name(value), _constants(value.__code__), *map(inner, (value.__defaults__, value.__kwdefaults__, cells))
    elif hasattr(value, "__wrapped__"):  # such as what jax.jit returns
        content = inner(value.__wrapped__)
    elif dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        content = _name(type(value)), inner(fields)
    else:
        content = _name(type(value)), inner(_attributes(value))
    return content


def _name(value: Any) -> str:
    return getattr(value, "__qualname__", None) or str(getattr(value, "__name__", ""))


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not yet filled
        return None


def _constants(code: types.CodeType) -> Any:
    """The names and plain constants of a function and of those within it."""
    plain = [repr(constant) for constant in code.co_consts if isinstance(constant, _PLAIN)]
    within = [_constants(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return [list(code.co_names), plain, within]


def _attributes(value: Any) -> dict[str, Any]:
    """What an object holds, without what it only remembers of a computation."""
    cached = {name for name, item in inspect.getmembers_static(type(value)) if isinstance(item, functools.cached_property)}
    return {name: item for name, item in getattr(value, "__dict__", {}).items() if name not in cached}
