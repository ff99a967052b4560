"""The replay buffer: a ring, a way to draw from it, and what is done to a drawn batch."""

import dataclasses
from typing import Annotated, Any

import jax
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.errors import check_part
from rl_jax.experience import chain
from rl_jax.replay import ring as rings
from rl_jax.replay.batches import Plan, check_kept, init_transforms, plan_of, transformed
from rl_jax.replay.layout import Layout
from rl_jax.replay.ring import Added, Ring
from rl_jax.replay.samplers import Sampler, Uniform
from rl_jax.types import Context, Key, PyTree, Rollout, Sample, Spec
from rl_jax.values import Count, Range


@struct.dataclass
class BufferState:
    """A buffer's state: the ring, what the sampler keeps, the (empty) state of the transforms, and the sizes (static)."""

    ring: Ring
    sampler: PyTree
    transforms: PyTree
    layout: Layout = struct.field(pytree_node=False)


@struct.dataclass
class Buffer:
    """Keeps the newest ``capacity`` transitions and hands out batches of trajectories ``[length, batch_size, ...]``.

    Attributes:
        sampler: which trajectories are drawn; default uniformly.
        transforms: experience transforms without a state, applied to every drawn batch, such as
            :func:`rl_jax.replay.n_step`.
        capacity: transitions to hold, over all environments.
        batch_size: trajectories per batch.
        length: steps of a trajectory.
        period: trajectories begin at every ``period``-th step; the agent's memory is stored there.
        keep: names of ``extras`` to store, such as ``"log_prob"``.
        finals: final observations that can be kept, as a share of the rows. If episodes are shorter than ``1 / finals`` on
            average, the buffer holds fewer transitions.
    """

    sampler: Any = Uniform()
    transforms: Any = chain()
    capacity: int = struct.field(pytree_node=False, default=1_000_000)
    batch_size: int = struct.field(pytree_node=False, default=256)
    length: int = struct.field(pytree_node=False, default=1)
    period: int = struct.field(pytree_node=False, default=1)
    keep: tuple[str, ...] = struct.field(pytree_node=False, default=())
    finals: float = struct.field(pytree_node=False, default=0.125)

    def layout(self, spec: Spec) -> Layout:
        """The sizes of the ring.

        Raises:
            RLJaxError: sizes that cannot be.
        """
        steps = Annotated[int, Range(1, 10**12)]  # more than can be indexed, of which the layout says how many
        check_numbers("a buffer's", self, capacity=steps, batch_size=Count, length=Count, period=Count)
        check_numbers("a buffer's", self, finals=Annotated[float, Range(1e-30, 1)])
        return Layout.of(spec, self.capacity, self.length, self.period, self.finals)

    def plan(self, spec: Spec) -> Plan:
        """Capacity and bytes, known before anything is allocated; ``spec`` is :meth:`rl_jax.Trainer.spec`'s."""
        return plan_of(self.init, spec, self.layout(spec).capacity)

    def init(self, key: Key, spec: Spec) -> BufferState:
        """An empty buffer.

        Raises:
            RLJaxError: sizes that cannot be, something other than a sampler, or extras that rollouts do not have.
        """
        check_part("a buffer's sampler", self.sampler, Sampler, "give numbers by name, such as Buffer(capacity=100_000)")
        layout = self.layout(spec)
        check_kept("buffer", self.keep, spec.rollout)
        transforms = init_transforms(self.transforms, key, spec)
        return BufferState(rings.empty(layout, spec.rollout, self.keep), self.sampler.init(layout), transforms, layout)

    def add(self, state: BufferState, rollout: Rollout, context: Context) -> BufferState:
        """Write the rollout over the oldest transitions."""
        layout = state.layout
        before = Added(state.ring.head, state.ring.size)
        ring = rings.add(state.ring, layout, rollout)
        sampler = self.sampler.add(state.sampler, ring, layout, before, rollout, context)
        return BufferState(ring, sampler, state.transforms, layout)

    def ready(self, state: BufferState) -> jax.Array:
        """Whether one trajectory can be drawn."""
        return self.sampler.ready(state.sampler, state.ring, state.layout)

    def sample(self, state: BufferState, context: Context) -> Sample:
        """A batch ``[length, batch_size, ...]``, after the transforms."""
        # Folded in, not split: without transforms, their key is not computed.
        key_draw, key_transforms = jax.random.fold_in(context.key, 0), jax.random.fold_in(context.key, 1)
        draw_context = context.replace(key=key_draw)  # type: ignore[attr-defined]
        index, weights = self.sampler.draw(state.sampler, state.ring, state.layout, self.batch_size, draw_context)
        batch = rings.read(state.ring, state.layout, index)
        batch = transformed(self.transforms, state.transforms, batch, context, key_transforms)
        # Most samplers are ready in all runs of a vmapped batch or in none, and then nothing is sampled at all.
        return Sample(batch, weights, index, None if self.sampler.certain else self.ready(state))

    def update(self, state: BufferState, indices: jax.Array | None, priorities: jax.Array | None) -> BufferState:
        """Pass new priorities ``[B]`` on to the sampler."""
        if priorities is None:
            return state
        return dataclasses.replace(state, sampler=self.sampler.update(state.sampler, indices, priorities))

    def release(self, state: BufferState) -> BufferState:
        return state
