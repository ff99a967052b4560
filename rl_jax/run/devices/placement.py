"""Over which devices a job is split, and what of it lies where."""

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
    """What an argument or a result of a program is, and so where it lies on the devices."""

    TRAINER = auto()
    """Hyperparameters: of each run, or of all."""
    PER_RUN = auto()
    """Something of each run."""
    TRAIN_STATE = auto()
    """Training states: of each run, with environments in them."""
    REPLICATED = auto()
    """One for all runs, on every device."""


@dataclass(frozen=True)
class Devices:
    """A mesh of one axis, ``"envs"`` or ``"seeds"``, or no mesh: a single device."""

    mesh: Mesh | None = None

    @classmethod
    def choose(cls, number: int, shard: str) -> "Devices":
        """``number`` devices that share the environments or the seeds.

        Raises:
            RLJaxError: there are fewer.
        """
        return cls() if number == 1 else cls(make_mesh(ENVS if shard == "envs" else SEEDS, number))

    @property
    def number(self) -> int:
        """How many."""
        return self.mesh.size if self.mesh else 1

    @property
    def axis(self) -> str | None:
        """What is split."""
        return self.mesh.axis_names[0] if self.mesh else None

    def runs_each(self, runs: int) -> int:
        """How many of the runs one device does."""
        return runs // self.number if self.axis == SEEDS else runs

    def text(self) -> str:
        """What is split, in words; nothing on a single device."""
        return f", {self.axis} over {self.number}" if self.mesh else ""

    def check(self, num_envs: int, runs: int) -> None:
        """Refuse what the devices do not divide.

        Raises:
            RLJaxError: with numbers that they do.
        """
        if self.mesh:
            number, what = (num_envs, "environments (--num-envs)") if self.axis == ENVS else (runs, "runs (--seeds)")
            check_divides(self.mesh.size, number, what)

    def sharding(self, layout: Layout, trainer: Any, batched: bool, many: bool) -> PyTree:
        """Where something lies: one sharding, or one for each leaf.

        Args:
            layout: what it is.
            trainer: one run's.
            batched: whether every run has hyperparameters of its own.
            many: whether there is an axis of runs.
        """
        assert self.mesh is not None
        if self.axis == ENVS and layout is Layout.TRAIN_STATE:
            return state_sharding(trainer, self.mesh, batched=many)
        of_runs = layout in (Layout.PER_RUN, Layout.TRAIN_STATE) or (layout is Layout.TRAINER and batched)
        split = self.axis == SEEDS and of_runs
        return NamedSharding(self.mesh, PartitionSpec(SEEDS) if split else PartitionSpec())

    def jit(
        self, function: Callable[..., Any], in_layout: tuple[PyTree, ...], out_layout: PyTree, donate: tuple[int, ...]
    ) -> Any:
        """``jax.jit`` of a function whose arguments and results lie as said (of :meth:`sharding`)."""
        if self.mesh is None:
            return jax.jit(function, donate_argnums=donate)
        if self.axis == SEEDS:
            # Every device does its own runs, as if there were no others.
            specs = tuple(place.spec for place in in_layout)
            function = jax.shard_map(function, mesh=self.mesh, in_specs=specs, out_specs=PartitionSpec(SEEDS), check_vma=False)
        return jax.jit(function, in_shardings=in_layout, out_shardings=out_layout, donate_argnums=donate)

    def tracing(self) -> AbstractContextManager[Any]:
        """The context in which programs are traced."""
        return jax.set_mesh(self.mesh) if self.mesh else nullcontext()

    def put(self, tree: PyTree, places: PyTree) -> PyTree:
        """Values that every process has, where they belong."""
        if self.mesh is None:
            return tree
        return jax.tree.map(put, tree, _of_each(places, tree))

    def placed_shape(self, shape: PyTree, places: PyTree) -> PyTree:
        """Shapes that say where they belong."""
        if self.mesh is None:
            return shape

        def place(x: Any, where: NamedSharding) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where)

        return jax.tree.map(place, shape, _of_each(places, shape))


def _of_each(places: PyTree, tree: PyTree) -> PyTree:
    """A sharding for every leaf, if one was said for all."""
    return jax.tree.map(lambda _: places, tree) if isinstance(places, NamedSharding) else places


def on_host(x: jax.Array) -> np.ndarray:
    """A whole array, whichever processes' devices it is on; all of these must ask for it."""
    if not (x.is_fully_addressable or x.is_fully_replicated):
        mesh = x.sharding.mesh  # type: ignore[attr-defined]
        x = jax.jit(lambda x: x, out_shardings=NamedSharding(mesh, PartitionSpec()))(x)
    return np.asarray(x)


def put(x: Any, place: Any) -> jax.Array:
    """One array, of which every process has the whole, on the devices of a mesh."""
    if is_key(x):
        return jax.random.wrap_key_data(put(jax.random.key_data(x), place), impl=jax.random.key_impl(x))
    host = np.asarray(jnp.asarray(x))
    return jax.make_array_from_callback(host.shape, place, lambda index: host[index])
