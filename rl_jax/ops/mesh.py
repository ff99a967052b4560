"""Programs over many devices: what a part says about where its environments are.

A sharded run is the same program, compiled for a mesh of devices with an axis ``"envs"``: XLA splits what has an axis of
environments and adds the communication. It cannot know that some computations need none. These functions say so, and do nothing
where there is no such mesh.
"""

from collections.abc import Callable

import jax
from jax.sharding import PartitionSpec

from rl_jax.types import PyTree

#: Name of the mesh axis over which environments are split.
ENVS = "envs"


def devices_of_envs() -> int:
    """Over how many devices the program being traced splits its environments."""
    mesh = jax.sharding.get_abstract_mesh()
    return mesh.shape[ENVS] if ENVS in mesh.auto_axes else 1


def per_device(function: Callable[..., PyTree], *operands: PyTree, axis: int = 0) -> PyTree:
    """``function(*operands)``, on every device with its own environments, without a word between the devices.

    Args:
        function: must treat every environment by itself. A branch in it is then taken where one of the device's own
            environments needs it. What it closes over is there in whole on every device.
        operands: with an axis of environments, which the devices divide.
        axis: which one, of operands and results.
    """
    if devices_of_envs() == 1:
        return function(*operands)
    split = PartitionSpec(*[None] * axis, ENVS)
    return jax.shard_map(function, in_specs=split, out_specs=split, axis_names={ENVS}, check_vma=False)(*operands)


def spread(tree: PyTree, axis: int) -> PyTree:
    """Split a batch over the devices, where they divide it: each then computes its part of the gradient."""
    devices = devices_of_envs()
    if devices == 1:
        return tree

    def place(x: jax.Array) -> jax.Array:
        if x.ndim <= axis or x.shape[axis] % devices:
            return x
        return jax.lax.with_sharding_constraint(x, PartitionSpec(*[None] * axis, ENVS))

    return jax.tree.map(place, tree)
