"""The mesh over which runs or environments are sharded, and the sharding of each argument and result."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rl_jax.loop.sharding import SEEDS, check_divides, make_mesh, state_sharding
from rl_jax.ops.batch_parallel import ENVS
from rl_jax.run.devices.tree_io import is_key
from rl_jax.types import PyTree


class Layout(Enum):
    """The kind of an argument or result of a program, which decides its sharding."""

    TRAINER = auto()
    """Hyperparameters, one set for each run or one for all."""
    PER_RUN = auto()
    """Arrays with a leading axis of runs."""
    TRAIN_STATE = auto()
    """Training states of all runs, whose environments may be sharded."""
    REPLICATED = auto()
    """The same value for all runs, on every device."""


@dataclass(frozen=True)
class Devices:
    """A mesh of one axis, ``"envs"`` or ``"seeds"``, or no mesh: a single device."""

    mesh: Mesh | None = None

    @classmethod
    def choose(cls, number: int, shard: str) -> "Devices":
        """A mesh of ``number`` devices over ``"envs"`` or ``"seeds"``.

        Raises:
            RLJaxError: there are fewer devices.
        """
        return cls() if number == 1 else cls(make_mesh(ENVS if shard == "envs" else SEEDS, number))

    @property
    def number(self) -> int:
        """The number of devices; 1 without a mesh."""
        return self.mesh.size if self.mesh else 1

    @property
    def axis(self) -> str | None:
        """The name of the mesh's axis; ``None`` without a mesh."""
        return self.mesh.axis_names[0] if self.mesh else None

    def runs_per_device(self, num_runs: int) -> int:
        """The number of runs on one device."""
        return num_runs // self.number if self.axis == SEEDS else num_runs

    def text(self) -> str:
        """The mesh as text, such as ``, envs over 8``; empty on a single device."""
        return f", {self.axis} over {self.number}" if self.mesh else ""

    def check(self, num_envs: int, num_runs: int) -> None:
        """Refuse a number of environments or runs that the devices do not divide.

        Raises:
            RLJaxError: with numbers that they divide.
        """
        if self.mesh:
            size, what = (num_envs, "environments (--num-envs)") if self.axis == ENVS else (num_runs, "runs (--seeds)")
            check_divides(self.mesh.size, size, what)

    def sharding(self, layout: Layout, trainer: Any, batched: bool, has_runs_axis: bool) -> PyTree:
        """The sharding of a layout: one for all leaves, or one for each.

        Args:
            layout: the kind of value.
            trainer: that of one run.
            batched: whether each run has its own hyperparameters.
            has_runs_axis: whether the value has a leading axis of runs.
        """
        assert self.mesh is not None
        if self.axis == ENVS and layout is Layout.TRAIN_STATE:
            return state_sharding(trainer, self.mesh, batched=has_runs_axis)
        of_runs = layout in (Layout.PER_RUN, Layout.TRAIN_STATE) or (layout is Layout.TRAINER and batched)
        split = self.axis == SEEDS and of_runs
        return NamedSharding(self.mesh, PartitionSpec(SEEDS) if split else PartitionSpec())

    def jit(
        self, function: Callable[..., Any], in_shardings: tuple[PyTree, ...], out_shardings: PyTree, donate: tuple[int, ...]
    ) -> Any:
        """``jax.jit`` of a function, with the shardings of its arguments and results (see :meth:`sharding`)."""
        if self.mesh is None:
            return jax.jit(function, donate_argnums=donate)
        if self.axis == SEEDS:
            # Every device computes its own runs, without communication.
            specs = tuple(sharding.spec for sharding in in_shardings)
            function = jax.shard_map(function, mesh=self.mesh, in_specs=specs, out_specs=PartitionSpec(SEEDS), check_vma=False)
        return jax.jit(function, in_shardings=in_shardings, out_shardings=out_shardings, donate_argnums=donate)

    def tracing(self) -> AbstractContextManager[Any]:
        """The context in which programs are traced."""
        return jax.set_mesh(self.mesh) if self.mesh else nullcontext()

    def put(self, tree: PyTree, shardings: PyTree) -> PyTree:
        """Values that every process has, moved to their shardings."""
        if self.mesh is None:
            return tree
        return jax.tree.map(put, tree, _sharding_per_leaf(shardings, tree))

    def placed_shape(self, shape: PyTree, shardings: PyTree) -> PyTree:
        """Shapes with their shardings."""
        if self.mesh is None:
            return shape

        def with_sharding(x: Any, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

        return jax.tree.map(with_sharding, shape, _sharding_per_leaf(shardings, shape))


def _sharding_per_leaf(shardings: PyTree, tree: PyTree) -> PyTree:
    """One sharding for each leaf, also where one is given for all."""
    return jax.tree.map(lambda _: shardings, tree) if isinstance(shardings, NamedSharding) else shardings


def on_host(x: jax.Array) -> np.ndarray:
    """A whole array on the host, also if its shards are on other processes. All of these processes must call it."""
    if not (x.is_fully_addressable or x.is_fully_replicated):
        mesh = x.sharding.mesh  # type: ignore[attr-defined]
        x = jax.jit(lambda x: x, out_shardings=NamedSharding(mesh, PartitionSpec()))(x)
    return np.asarray(x)


def put(x: Any, sharding: Any) -> jax.Array:
    """One array, which every process holds whole, with the given sharding."""
    if is_key(x):
        return jax.random.wrap_key_data(put(jax.random.key_data(x), sharding), impl=jax.random.key_impl(x))
    host = np.asarray(jnp.asarray(x))
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])
