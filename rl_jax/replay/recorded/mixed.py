"""Batches from several replays side by side."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.errors import RLJaxError, check_part
from rl_jax.replay.batches import Plan
from rl_jax.types import Context, Key, PyTree, Replay, Rollout, Sample, Spec


@struct.dataclass
class Mixed:
    """Draws from each of its parts, and joins the batches along their columns.

    Half recorded, half collected is RLPD's symmetric sampling (Ball et al. 2023, arXiv 2302.02948, section 4.1):
    ``Mixed((Buffer(batch_size=128), Offline(data, batch_size=128)))``. Every part takes in every rollout; an
    :class:`~rl_jax.replay.Offline` ignores it. ``extras["source"]`` ``[length, B]`` is the number of the part.

    Of ``extras``, what all parts have is kept; levels and memories are left out.

    Attributes:
        parts: replays whose batches have one length.
    """

    parts: tuple[Any, ...]

    @property
    def given(self) -> bool:
        """Whether all experience of all parts is there from the beginning."""
        return all(getattr(part, "given", False) for part in self.parts)

    def init(self, key: Key, spec: Spec) -> PyTree:
        """The states of the parts.

        Raises:
            RLJaxError: there are fewer than two, or one is no replay.
        """
        if not isinstance(self.parts, tuple) or len(self.parts) < 2:
            raise RLJaxError("Mixed takes a tuple of two replays or more, such as Mixed((Buffer(...), Offline(data, ...)))")
        for part in self.parts:
            check_part("a part of Mixed", part, Replay, "give one of rl.replay, such as rl.replay.Offline(data)")
        return tuple(part.init(jax.random.fold_in(key, i), spec) for i, part in enumerate(self.parts))

    def plan(self, spec: Spec) -> Plan:
        """Capacity and bytes of the parts that have a plan."""
        plans = [part.plan(spec) for part in self.parts if hasattr(part, "plan")]
        return Plan(sum(plan.capacity for plan in plans), sum(plan.bytes for plan in plans))

    def add(self, state: PyTree, rollout: Rollout, context: Context) -> PyTree:
        return tuple(part.add(own, rollout, context) for part, own in zip(self.parts, state, strict=True))

    def ready(self, state: PyTree) -> jax.Array | bool:
        """Once all parts are."""
        answers = [part.ready(own) for part, own in zip(self.parts, state, strict=True)]
        waiting = [answer for answer in answers if answer is not True]
        return jnp.all(jnp.stack([jnp.asarray(answer) for answer in waiting])) if waiting else True

    def sample(self, state: PyTree, context: Context) -> Sample:
        """The parts' batches ``[length, B]``, one after the other along ``B``; weights of 1 where a part has none."""
        samples = []
        for i, (part, own) in enumerate(zip(self.parts, state, strict=True)):
            key = jax.random.fold_in(context.key, i)
            samples.append(part.sample(own, context.replace(key=key)))  # type: ignore[attr-defined]
        weights, usable = None, [sample.usable for sample in samples if sample.usable is not None]
        if any(sample.weights is not None for sample in samples):
            weights = jnp.concatenate(
                [jnp.ones(_columns(sample)) if sample.weights is None else sample.weights for sample in samples]
            )
        return Sample(
            _joined([sample.batch for sample in samples]),
            weights,
            tuple(sample.indices for sample in samples),  # type: ignore[arg-type]
            jnp.all(jnp.stack(usable)) if usable else None,
        )

    def update(self, state: PyTree, indices: Any, priorities: jax.Array | None) -> PyTree:
        """Each part's priorities ``[B]`` back to it, which needs its ``batch_size``."""
        if priorities is None:
            return state
        states, begin = [], 0
        for part, own, index in zip(self.parts, state, indices, strict=True):
            end = begin + part.batch_size
            states.append(part.update(own, index, priorities[begin:end]))
            begin = end
        return tuple(states)

    def release(self, state: PyTree) -> PyTree:
        return tuple(part.release(own) for part, own in zip(self.parts, state, strict=True))


def _columns(sample: Sample) -> int:
    return sample.batch.reward.shape[1]


def _joined(batches: list[Rollout]) -> Rollout:
    """Rollouts ``[L, B_i]`` side by side."""
    lengths = {batch.reward.shape[0] for batch in batches}
    if len(lengths) > 1:
        raise RLJaxError(f"the parts of Mixed draw trajectories of {sorted(lengths)} steps: give all one length")
    names = [name for name in batches[0].extras if all(name in batch.extras for batch in batches)]
    none: dict[str, Any] = {"carry": (), "level": (), "env_state": (), "info": {}, "start": None, "last": None}

    def plain(batch: Any) -> Rollout:
        kept: Rollout = batch.replace(**none, extras={name: batch.extras[name] for name in names})
        return kept

    joined: Rollout = jax.tree.map(lambda *x: jnp.concatenate(x, axis=1), *map(plain, batches))
    source = [jnp.full(batch.reward.shape, i, jnp.int32) for i, batch in enumerate(batches)]
    return joined.with_extras(source=jnp.concatenate(source, axis=1))
