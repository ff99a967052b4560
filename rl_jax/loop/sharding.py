"""A run over many devices: where each array of its state lies.

The program is the one that a single device runs. What has an axis of environments is split over the mesh, the rest is replicated,
and XLA adds the all-reduces where the program sums over environments: statistics, advantage moments and gradients
come out as on one device, up to the order of additions.
"""

import dataclasses
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from rl_jax.errors import RLJaxError
from rl_jax.loop.trainer import Trainer
from rl_jax.ops.batch_parallel import ENVS
from rl_jax.types import PyTree

#: Name of the mesh axis over which runs are split.
SEEDS = "seeds"


def make_mesh(axis: str, devices: int | None = None) -> Mesh:
    """A mesh of one axis, ``"envs"`` or ``"seeds"``, over the first ``devices`` of all processes' devices (default: all).

    Raises:
        RLJaxError: there are fewer devices.
    """
    have = jax.device_count()
    devices = have if devices is None else devices
    if not 1 <= devices <= have:
        raise RLJaxError(
            f"there are {have} devices, not {devices}: use at most --devices {have}"
            + (f", or set XLA_FLAGS=--xla_force_host_platform_device_count={devices}" if jax.default_backend() == "cpu" else "")
        )
    return jax.make_mesh((devices,), (axis,), axis_types=(AxisType.Auto,), devices=jax.devices()[:devices])


def check_divides(devices: int, number: int, what: str) -> None:
    """Refuse what the devices do not divide.

    Raises:
        RLJaxError: with numbers that they do.
    """
    if number % devices:
        below = number // devices * devices
        near = f"{below} or {below + devices}" if below else str(devices)
        raise RLJaxError(f"{number} {what} cannot be split over {devices} devices: use {near}")


def env_axes(trainer: Trainer, parts: int = 2) -> PyTree:
    """For every leaf of the training state: which of its axes is one of environments, or -1.

    It is the axis that is ``parts`` times as long as with that many times fewer environments; no part need say anything.
    """

    def state(num_envs: int) -> PyTree:
        base = dataclasses.replace(trainer.base, num_envs=num_envs)
        fewer = trainer.replace(base=base)  # type: ignore[attr-defined]
        return jax.eval_shape(fewer.init, jax.random.key(0), 1)

    def axis(full: Any, smaller: Any) -> int:
        sizes = enumerate(zip(full.shape, smaller.shape, strict=True))
        return next((i for i, (many, few) in sizes if many == parts * few), -1)

    full, smaller = state(trainer.base.num_envs), state(trainer.base.num_envs // parts)
    # Leaf by leaf: what is static in the two (the sizes of a buffer) differs.
    axes = [axis(*leaves) for leaves in zip(jax.tree.leaves(full), jax.tree.leaves(smaller), strict=True)]
    return jax.tree.unflatten(jax.tree.structure(full), axes)


def state_sharding(trainer: Trainer, mesh: Mesh, batched: bool = False) -> PyTree:
    """Where each leaf of the training state lies on a mesh with an axis ``"envs"``.

    Args:
        trainer: one run (with ``batched``: whose leaves may have a leading axis of runs).
        mesh: from :func:`make_mesh`.
        batched: whether the state has a leading axis of runs, which is not split.
    """
    devices = mesh.shape[ENVS]
    check_divides(devices, trainer.num_envs, "environments (--num-envs)")

    def place(axis: int) -> NamedSharding:
        spec = [None] * (axis + batched) + [ENVS] if axis >= 0 else []
        return NamedSharding(mesh, PartitionSpec(*spec))

    return jax.tree.map(place, env_axes(trainer, devices))
