"""The activations of a network's hidden units, without a change of the network."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

#: Primitives that call a program once, where they stand, and the parameter that keeps it.
_CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}


def activations(function: Callable[..., Any], *args: Any, names: Sequence[str] = ("relu",)) -> tuple[jax.Array, ...]:
    """The values after every activation function that ``function(*args)`` applies, in the order of computation.

    It reads the program that JAX traces, so it serves any flax module, any plain function, ensembles made by ``nn.vmap`` and
    networks that normalise between a layer and its activation alike; what a network gives out is not among the values. A ReLU
    written as a maximum with zero is not found, nor is one inside a ``scan`` or a branch.

    Args:
        function: such as ``module.apply``; what it returns is not computed unless a value depends on it.
        args: its arguments, pytrees of arrays.
        names: of the functions, as JAX names them: ``relu``, ``silu``, ``tanh``.

    Returns:
        One array for each application, ``[..., units]`` as the network computes it.
    """
    recorded: list[jax.Array] = []
    closed = jax.make_jaxpr(function)(*args)
    _run(closed.jaxpr, closed.consts, jax.tree.leaves(args), frozenset(names), recorded)
    return tuple(recorded)


def _run(
    jaxpr: Jaxpr, consts: Sequence[Any], inputs: Sequence[Any], names: frozenset[str], recorded: list[jax.Array]
) -> list[Any]:
    """Evaluate the program, equation by equation, and append the activations to ``recorded``."""
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *inputs], strict=True))

    def read(variable: Any) -> Any:
        return variable.val if isinstance(variable, Literal) else values[variable]

    for equation in jaxpr.eqns:
        primitive = equation.primitive
        arguments = [read(variable) for variable in equation.invars]
        hit = equation.params.get("name", primitive.name) in names
        inner = equation.params.get(_CALLS.get(primitive.name, ""))
        if inner is not None:
            program, own = (inner.jaxpr, inner.consts) if isinstance(inner, ClosedJaxpr) else (inner, ())
            # Activation functions within an activation function are not recorded.
            out = _run(program, own, arguments, frozenset() if hit else names, recorded)
        else:
            out = primitive.bind(*arguments, **equation.params)
            out = list(out) if primitive.multiple_results else [out]
        if hit:
            recorded.append(out[0])
        values.update(zip(equation.outvars, out, strict=True))
    return [read(variable) for variable in jaxpr.outvars]
