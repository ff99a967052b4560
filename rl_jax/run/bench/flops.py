"""Floating-point operations of a program, counted before it is compiled.

XLA's own analysis counts the body of a loop once, however often it runs, and nearly all work here is in loops. So the traced
program is walked, each body times its length. Counted are matrix products and convolutions, ``2 m n k`` each; elementwise work is
left out, so that a share of the machine's peak (measured with a matrix product) compares like with like.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend import core

from rl_jax.ops.arrays.product import product_p


def count(function: Callable[..., Any], *arguments: Any, loops: int = 1) -> float:
    """Floating-point operations of ``function(*arguments)``.

    Args:
        function: traced, not run; shapes suffice as arguments.
        arguments: its arguments.
        loops: passes of each loop whose length the program does not know.
    """
    return _of(jax.make_jaxpr(function)(*arguments).jaxpr, loops)


def _of(program: core.Jaxpr, loops: int) -> float:
    return sum(_equation(equation, loops) for equation in program.eqns)


def _equation(equation: Any, loops: int) -> float:
    name, parameters = equation.primitive.name, equation.params
    if name == "scan":
        return float(parameters["length"] * _of(parameters["jaxpr"].jaxpr, loops))
    if name == "while":
        return loops * _of(parameters["body_jaxpr"].jaxpr, loops)
    if name == "cond":
        # Branches here skip work that nobody needs: the usual case is the cheapest one.
        return min(_of(branch.jaxpr, loops) for branch in parameters["branches"])
    inner = (parameters.get(key) for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"))
    return _product(equation) + sum(_of(getattr(one, "jaxpr", one), loops) for one in inner if one is not None)


def _product(equation: Any) -> float:
    """Operations of a single matrix product or convolution: twice its results times what is summed for each."""
    shapes: list[tuple[int, ...]] = [getattr(variable.aval, "shape", ()) for variable in equation.invars]
    if equation.primitive is product_p:
        summed = shapes[0][-1]
    elif equation.primitive.name == "dot_general":
        (axes, _), _ = equation.params["dimension_numbers"]
        summed = math.prod(shapes[0][axis] for axis in axes)
    elif equation.primitive.name == "conv_general_dilated":
        summed = math.prod(shapes[1]) // shapes[1][equation.params["dimension_numbers"].rhs_spec[0]]
    else:
        return 0.0
    return 2.0 * math.prod(equation.outvars[0].aval.shape) * summed
