"""The product of a layer: a matrix product whose gradient is laid out for the CPU.

The gradient of a kernel contracts the batch, which is the first axis of both factors. XLA hands a product to its fast CPU kernels
only if the left factor is contracted along its last axis; all others take up to several times as long. So the smaller factor is
transposed first, which is one pass over it.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

#: Rows from which on a transposition pays, and how many times fewer units than features there are where it always does.
MANY, FEWER = 512, 8

product_p = Primitive("rl_jax_product")


def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """``x @ kernel``: ``[rows, features]`` times ``[features, units]``, differentiable in every mode and to every order."""
    return product_p.bind(x, kernel)


def _swap(x: jax.Array) -> jax.Array:
    return jnp.swapaxes(x, -1, -2)


def _laid_out(x: jax.Array) -> jax.Array:
    """The transpose as an array of its own; XLA would fold it back into the product."""
    return jax.lax.optimization_barrier(_swap(x))


@product_p.def_impl
def _run(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return jnp.matmul(x, kernel)


@product_p.def_abstract_eval
def _shape(x: Any, kernel: Any) -> Any:
    return jax.core.ShapedArray((*x.shape[:-1], kernel.shape[-1]), jnp.result_type(x.dtype, kernel.dtype))


def _gradient_of_x(g: jax.Array, x: Any, kernel: jax.Array) -> jax.Array:
    return jnp.matmul(g, _swap(kernel)).astype(x.aval.dtype)


def _gradient_of_kernel(g: jax.Array, x: jax.Array, kernel: Any) -> jax.Array:
    rows, features = x.shape[-2:]
    pays = rows >= MANY or FEWER * g.shape[-1] <= features
    if jax.default_backend() != "cpu" or not pays:
        gradient = jnp.matmul(_swap(x), g)
    elif features <= g.shape[-1]:
        gradient = jnp.matmul(_laid_out(x), g)
    else:
        gradient = _swap(jax.lax.optimization_barrier(jnp.matmul(_laid_out(g), x)))
    return gradient.astype(kernel.aval.dtype)


def _batch(arguments: Any, axes: Any) -> tuple[jax.Array, int]:
    (x, kernel), (of_x, of_kernel) = arguments, axes
    if of_x is not None:
        x = jnp.moveaxis(x, of_x, 0)
    if of_kernel is None and kernel.ndim == 2:  # one kernel for all: a longer batch
        flat = product(x.reshape(-1, x.shape[-1]), kernel)
        return flat.reshape(*x.shape[:-1], -1), 0
    kernel = jnp.moveaxis(kernel, of_kernel, 0) if of_kernel is not None else jnp.broadcast_to(kernel, (len(x), *kernel.shape))
    if of_x is None:
        x = jnp.broadcast_to(x, (len(kernel), *x.shape))
    return product(x, kernel), 0


ad.defbilinear(product_p, _gradient_of_x, _gradient_of_kernel)
batching.primitive_batchers[product_p] = _batch
mlir.register_lowering(product_p, mlir.lower_fun(partial(jnp.matmul), multiple_results=False))
