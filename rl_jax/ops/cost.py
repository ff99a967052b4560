"""What a function costs, estimated without compiling it."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def operations(function: Callable[..., Any], *arguments: Any) -> float:
    """About how many numbers ``function(*arguments)`` computes; shapes suffice as arguments.

    A loop of unknown length counts once, a branch as its dearest side.
    """
    return _of(jax.make_jaxpr(function)(*arguments).jaxpr)


def _of(jaxpr: Any) -> float:
    total = 0.0
    for equation in jaxpr.eqns:
        inner = [getattr(x, "jaxpr", x) for x in _jaxprs(equation.params)]
        if not inner:
            total += sum(np.prod(x.aval.shape, dtype=float) for x in equation.outvars if hasattr(x.aval, "shape"))
        elif equation.primitive.name == "cond":
            total += max(map(_of, inner))
        else:
            total += sum(map(_of, inner)) * equation.params.get("length", 1)
    return total


def _jaxprs(params: dict[str, Any]) -> list[Any]:
    values = [x for value in params.values() for x in (value if isinstance(value, tuple | list) else (value,))]
    return [x for x in values if hasattr(getattr(x, "jaxpr", x), "eqns")]
