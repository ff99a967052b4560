"""Everything that a run is, and the shapes of what it collects."""

from dataclasses import replace

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.errors import ProtocolError
from rl_jax.loop.collect import Collector
from rl_jax.loop.counter import Counter
from rl_jax.spaces import Dict, example, leaves
from rl_jax.types import Key, PyTree, Rollout, Spec

#: What :meth:`Trainer.advance` reports besides: the first train step of the call, from 0, with metrics not all finite, or -1; and
#: how often the agent has learned.
SIGNS = ("nonfinite_update", "learn_calls")


@struct.dataclass
class TrainState:
    """Everything that a run is: saving it and loading it again continues the run bit for bit.

    Attributes:
        key: the run's key; never changes, all randomness is folded out of it with ``updates``.
        updates: train steps done, exact.
        horizon: train steps planned, ``float32``, for schedules.
        agent, experience, replay, curriculum, schedule: the states of the parts.
        collector: the environments.
    """

    key: Key
    updates: Counter
    horizon: jax.Array
    agent: PyTree
    experience: PyTree
    replay: PyTree
    curriculum: PyTree
    schedule: PyTree
    collector: Collector

    def __repr__(self) -> str:
        """Shapes only: a state is too large to be read."""
        shapes = {jax.tree_util.keystr(path): jnp.shape(x) for path, x in jax.tree_util.tree_leaves_with_path(self)}
        size = sum(getattr(x, "size", 1) for x in jax.tree.leaves(self))
        return f"TrainState({len(shapes)} arrays of {size:,} numbers in all; see .agent, .experience, .replay, .collector)"


def with_rollout(spec: Spec, rollout: Rollout) -> Spec:
    """The spec with the shapes of a rollout, of which a dictionary's parts have been compared with its space: a mask that is missing
    would otherwise go unnoticed.

    Raises:
        ProtocolError: with the part.
    """
    if isinstance(spec.obs_space, Dict):
        expected = {name: f"{x.dtype}{list(x.shape)}" for name, _, x in leaves(spec.obs_space, example(spec.obs_space))}
        found = {
            jax.tree_util.keystr(path, simple=True, separator="/"): f"{x.dtype}{list(x.shape[2:])}"
            for path, x in jax.tree_util.tree_leaves_with_path(rollout.obs)
        }
        for name in sorted({*expected, *found}):
            if expected.get(name) != found.get(name):
                raise ProtocolError(
                    f"the observation's part '{name}' is {found.get(name, 'missing')}, and its space says "
                    f"{expected.get(name, 'that there is none')}: let both say the same"
                )
    return replace(spec, rollout=rollout)
