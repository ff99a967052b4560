"""Data parallelism over environments: which computations need no communication between devices.

A sharded run is the same program, compiled for a mesh of devices with an axis ``"envs"``: XLA splits what has an axis of
environments and adds the communication. It cannot know that some computations need none. These functions declare it. Without
such a mesh they do nothing.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.sharding import PartitionSpec

from rl_jax.types import PyTree

#: Name of the mesh axis over which environments are split.
ENVS = "envs"


def devices_of_envs() -> int:
    """Number of devices over which the program being traced splits its environments; 1 without a mesh."""
    mesh = jax.sharding.get_abstract_mesh()
    return mesh.shape[ENVS] if ENVS in mesh.auto_axes else 1


def per_device(function: Callable[..., PyTree], *operands: PyTree, axis: int = 0) -> PyTree:
    """``function(*operands)``, on every device for its own environments, without communication between devices.

    Args:
        function: must treat every environment by itself. A branch in it is then taken where one of the device's own
            environments needs it. What it closes over is replicated on every device.
        operands: with an axis of environments, which the devices divide.
        axis: which one, of operands and results.
    """
    if devices_of_envs() == 1:
        return function(*operands)
    split = PartitionSpec(*[None] * axis, ENVS)
    return jax.shard_map(function, in_specs=split, out_specs=split, axis_names={ENVS}, check_vma=False)(*operands)


def batch_parallel(
    function: Callable[..., PyTree], params: PyTree, operands: tuple[PyTree, ...], axes: Any, out_axes: Any
) -> PyTree:
    """``function(params, *operands)``, each device on its part of a batch, if the devices divide it.

    Results and derivatives are those of ``function``. The derivative for ``params`` is a sum over the batch, and so over devices.
    It takes one all-reduce of all leaves as one flat array, not one for every leaf, since each all-reduce has a fixed cost.

    Args:
        function: must treat every item of the batch by itself.
        params: replicated on every device.
        operands: with an axis of the batch.
        axes: which one, for each of ``operands``.
        out_axes: the same for the results, or for each part of them.
    """
    devices = devices_of_envs()
    if devices == 1:
        return function(params, *operands)
    sizes = {x.shape[axis] for tree, axis in zip(operands, axes, strict=True) for x in jax.tree.leaves(tree)}
    if any(size % devices for size in sizes):
        return function(params, *operands)
    flat, unravel = ravel_pytree(params)

    def part(flat: jax.Array, *operands: PyTree) -> PyTree:
        return function(unravel(flat), *operands)

    def along(axis: int) -> PartitionSpec:
        return PartitionSpec(*[None] * axis, ENVS)

    mapped = jax.shard_map(
        part,
        in_specs=(PartitionSpec(), *map(along, axes)),
        out_specs=jax.tree.map(along, out_axes),
        axis_names={ENVS},
        check_vma=False,
    )
    return mapped(flat, *operands)


def means(values: dict[str, Any]) -> dict[str, jax.Array]:
    """The mean of each array of ``values``; over several devices, one all-reduce for all arrays of one shape."""
    if devices_of_envs() == 1:
        return {name: jnp.mean(x) for name, x in values.items()}
    shapes = {name: jnp.shape(x) for name, x in values.items()}
    by_name: dict[str, jax.Array] = {}
    for shape in dict.fromkeys(shapes.values()):
        alike = [name for name in values if shapes[name] == shape]
        stacked = jnp.stack([jnp.asarray(values[name], jnp.float32) for name in alike])
        by_name |= dict(zip(alike, jnp.mean(stacked, axis=tuple(range(1, stacked.ndim))), strict=True))
    return {name: by_name[name] for name in values}


def with_sharding(tree: PyTree, axis: int) -> PyTree:
    """Split a batch over the devices, where they divide it: each then computes its part of the gradient."""
    devices = devices_of_envs()
    if devices == 1:
        return tree

    def place(x: jax.Array) -> jax.Array:
        if x.ndim <= axis or x.shape[axis] % devices:
            return x
        return jax.lax.with_sharding_constraint(x, PartitionSpec(*[None] * axis, ENVS))

    return jax.tree.map(place, tree)
