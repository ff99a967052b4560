"""A digest of a trainer: its parts, their numbers, static fields and functions; the same in every process.

Two trainers with one digest are the same but for code: what a class or function does is not looked at, only its name, the constants
and names that it uses, its defaults, and the values that it has closed over.
"""

import copyreg
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

from rl_jax.errors import RLJaxError
from rl_jax.run.devices.tree_io import key_to_words

#: Values whose text says all.
_PLAIN = (type(None), bool, int, float, complex, str, bytes)
#: How an object says what it consists of, where its class has changed what every object has.
_REDUCING = ("__reduce_ex__", "__reduce__", "__getstate__")


def trainer_digest(trainer: Any) -> str:
    """SHA-256 of everything that tells one trainer from another, short of the code of its parts.

    Raises:
        RLJaxError: a part holds an object that does not say what it consists of.
    """
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
        whole = array.dtype.hasobject  # their bytes are addresses
        numbers = inner(array.tolist()) if whole else hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
        content = str(array.dtype), array.shape, numbers
    elif isinstance(value, Mapping):
        content = sorted([inner(key), inner(item)] for key, item in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        items = list(map(inner, value))
        content = [type(value).__name__, *(items if isinstance(value, list | tuple) else sorted(items))]
    elif isinstance(value, types.CodeType):
        content = list(value.co_names), *map(inner, value.co_consts)
    elif isinstance(value, type | types.ModuleType):
        content = _name(value)
    elif isinstance(value, types.BuiltinFunctionType):  # also a method, such as that of a compiled pattern
        content = _name(value), inner(value.__self__)
    elif isinstance(value, functools.partial):
        content = "partial", *map(inner, (value.func, value.args, value.keywords))
    elif isinstance(value, types.MethodType):
        content = "method", inner(value.__func__), inner(value.__self__)
    elif isinstance(value, types.FunctionType):
        cells = [_cell(cell) for cell in value.__closure__ or ()]
        content = _name(value), *map(inner, (value.__code__, value.__defaults__, value.__kwdefaults__, cells))
    elif hasattr(value, "__wrapped__"):  # such as what jax.jit returns
        content = inner(value.__wrapped__)
    elif dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        content = _name(type(value)), inner(fields)
    else:
        content = _name(type(value)), *_held(value, inner)
    return content


def _name(value: Any) -> str:
    return getattr(value, "__qualname__", None) or str(getattr(value, "__name__", ""))


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not yet filled
        return None


def _held(value: Any, inner: Callable[[Any], str]) -> list[Any]:
    """What any other object holds: as it would be copied, if its class says how or it has no attributes; else its attributes."""
    kind, has_attributes, reduce = type(value), hasattr(value, "__dict__"), copyreg.dispatch_table.get(type(value))
    if reduce or not has_attributes or any(getattr(kind, name) is not getattr(object, name) for name in _REDUCING):
        try:
            reduced: Any = reduce(value) if reduce else value.__reduce_ex__(2)
        except Exception as error:
            if not has_attributes and not hasattr(value, "__qualname__"):
                raise RLJaxError(
                    f"the trainer holds a {kind.__qualname__}, which does not say what it consists of ({error}): "
                    "leave it out, or give the class that holds it a method __getstate__ without it"
                ) from None
        else:
            return [reduced] if isinstance(reduced, str) else _reduced(*reduced, inner=inner)
    return [_name(value), inner(_attributes(value))]


def _reduced(make: Any, args: Any, state: Any = None, items: Any = (), pairs: Any = (), *_: Any, inner: Any) -> list[str]:
    """The answer of an object's ``__reduce_ex__``."""
    return [*map(inner, (make, args, state, list(items or ()), list(pairs or ())))]


def _attributes(value: Any) -> dict[str, Any]:
    """What an object holds in its ``__dict__`` and slots, without what it only remembers of a computation."""
    members = inspect.getmembers_static(type(value))
    cached = {name for name, item in members if isinstance(item, functools.cached_property)}
    slots = [name for name, item in members if isinstance(item, types.MemberDescriptorType) and hasattr(value, name)]
    held = {name: item for name, item in getattr(value, "__dict__", {}).items() if name not in cached}
    return {**held, **{name: getattr(value, name) for name in slots}}
