"""A replay that nobody adds to: recorded experience."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.data.dataset import Dataset
from rl_jax.errors import RLJaxError
from rl_jax.experience import chain
from rl_jax.ops import random_index
from rl_jax.replay import ring as rings
from rl_jax.replay.batches import init_transforms, transformed
from rl_jax.replay.layout import Layout
from rl_jax.replay.ring import Ring
from rl_jax.spaces import describe
from rl_jax.types import Context, Key, PyTree, Rollout, Sample, Spec
from rl_jax.values import Count


@struct.dataclass
class Offline:
    """Trajectories ``[length, batch_size, ...]`` of a data set, each first step with equal probability, with replacement.

    With this replay a :class:`rl_jax.Trainer` collects nothing: a train step is its learning steps. The data are leaves of the part:
    an argument of the compiled program, neither copied nor saved with the state; stacked over seeds, each seed has its own.

    Attributes:
        data: the data set.
        transforms: experience transforms without a state, applied to every drawn batch, such as :func:`rl_jax.replay.n_step`.
        batch_size: trajectories per batch.
        length: steps of a trajectory.
    """

    data: Dataset
    transforms: Any = chain()
    batch_size: int = struct.field(pytree_node=False, default=256)
    length: int = struct.field(pytree_node=False, default=1)

    @property
    def given(self) -> bool:
        """All experience is there from the beginning."""
        return True

    def init(self, key: Key, spec: Spec) -> PyTree:
        """No state but that of the (stateless) transforms.

        Raises:
            RLJaxError: the data are of other spaces.
        """
        if not isinstance(self.data, Dataset):
            raise RLJaxError(f"data is a {type(self.data).__name__}: give a data set, such as rl_jax.data.load(FOLDER)")
        check_numbers("recorded experience's", self, batch_size=Count, length=Count)
        for what, own, asked in (
            ("observations", self.data.obs_space, spec.obs_space),
            ("actions", self.data.action_space, spec.action_space),
        ):
            if own != asked:
                raise RLJaxError(
                    f"the data have {what} {describe(own)}, the environment's are {describe(asked)}: use the environment of the data"
                )
        return init_transforms(self.transforms, key, spec)

    def add(self, state: PyTree, rollout: Rollout, context: Context) -> PyTree:
        return state

    def ready(self, state: PyTree) -> bool:
        return True

    def sample(self, state: PyTree, context: Context) -> Sample:
        """A batch ``[length, batch_size, ...]``, after the transforms.

        Raises:
            RLJaxError: the data are too few for one trajectory. An agent that only acts draws none, so it needs none.
        """
        if self.data.num_steps < self.length:
            raise RLJaxError(f"{self.data.num_steps} steps are too few for trajectories of {self.length}: use a shorter length")
        key_draw, key_transforms = jax.random.fold_in(context.key, 0), jax.random.fold_in(context.key, 1)
        first = random_index(key_draw, (self.batch_size,), self.data.num_steps - self.length + 1)
        ring, layout = as_ring(self.data, self.length)
        batch = rings.read(ring, layout, first)
        return Sample(transformed(self.transforms, state, batch, context, key_transforms), None, None)

    def update(self, state: PyTree, indices: jax.Array | None, priorities: jax.Array | None) -> PyTree:
        return state

    def release(self, state: PyTree) -> PyTree:
        return state


def as_ring(data: Dataset, length: int) -> tuple[Ring, Layout]:
    """A data set as a full ring of one environment: the same arrays, with one axis more."""
    steps = data.num_steps
    finals = jax.tree.leaves(data.obs)[0].shape[0] - steps
    layout = Layout(rows=steps, final_rows=finals, num_envs=1, rollout_length=1, length=length)

    def per_row(x: Any) -> jax.Array:
        return jnp.asarray(x)[:, None]

    ring = Ring(
        obs=jax.tree.map(lambda x: jnp.asarray(x)[None], data.obs),
        action=per_row(data.action),
        reward=per_row(data.reward),
        marks=per_row(data.marks),
        level=(),
        extras={name: per_row(x) for name, x in data.extras.items()},
        carry=(),
        ended=jnp.zeros((1,), jnp.int32),
        head=jnp.zeros((), jnp.int32),
        size=jnp.asarray(steps, jnp.int32),
    )
    return ring, layout
