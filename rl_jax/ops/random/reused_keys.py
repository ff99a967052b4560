"""Random keys that stay in a state although they were used, found in a traced program."""

from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Var

from rl_jax.types import PyTree

#: Operations after which a key must not be used again.
_USING = ("random_bits", "random_split", "random_gamma")


def kept_keys(program: ClosedJaxpr, state: PyTree) -> list[tuple[Any, ...]]:
    """The paths of keys that a step draws from or splits, and returns as they were.

    Args:
        program: of a function from ``state`` to the next one, of the same structure, and to more.
        state: as shapes.
    """
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(state)]
    ends = zip(paths, program.jaxpr.invars, program.jaxpr.outvars, strict=False)
    return [path for path, before, after in ends if before is after and _uses(program.jaxpr, before)]


def _uses(jaxpr: Jaxpr, key: Var) -> bool:
    """Whether a program draws from a key, or splits it; also a raw one, of words."""
    for equation in jaxpr.eqns:
        for place, operand in enumerate(equation.invars):
            if operand is not key:
                continue
            if equation.primitive.name in _USING:
                return True
            if equation.primitive.name == "random_wrap" and _uses(jaxpr, equation.outvars[0]):
                return True
            if any(_uses(inner, inner.invars[place - skipped]) for inner, skipped in _inner(equation) if place >= skipped):
                return True
    return False


def _inner(equation: Any) -> list[tuple[Jaxpr, int]]:
    """The programs within an equation, and how many of its operands come before their own."""
    params = equation.params
    if equation.primitive.name == "while":
        return [(params["body_jaxpr"].jaxpr, params["cond_nconsts"])]
    if equation.primitive.name == "cond":
        return [(branch.jaxpr, 1) for branch in params["branches"]]
    closed = [value for value in params.values() if isinstance(value, ClosedJaxpr)]
    return [(value.jaxpr, 0) for value in closed if len(value.jaxpr.invars) == len(equation.invars)]
