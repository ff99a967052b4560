"""The base of experience transforms, and ``chain``."""

from typing import Any

import jax
from flax import struct

from rl_jax.ops import joined
from rl_jax.types import Context, ExperienceTransform, Key, Metrics, PyTree, Rollout, Spec


class Transform:
    """Defaults for a transform: no state, nothing changed. Subclass with ``@flax.struct.dataclass`` and override."""

    def init(self, key: Key, spec: Spec) -> PyTree:
        """The transform's first state."""
        del key, spec
        return ()

    def observe(self, state: PyTree, obs: jax.Array) -> jax.Array:
        """What the policy is shown instead of ``obs``, of the same shape; any leading axes."""
        del state
        return obs

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        """The next state, the rewritten rollout, and scalars to log."""
        del context
        return state, rollout, {}


@struct.dataclass
class Chain(Transform):
    """Transforms applied in order, each with its own state and its own key."""

    transforms: tuple[Any, ...]

    def init(self, key: Key, spec: Spec) -> PyTree:
        keys = jax.random.split(key, max(1, len(self.transforms)))
        return tuple(t.init(keys[i], spec) for i, t in enumerate(self.transforms))

    def observe(self, state: PyTree, obs: jax.Array) -> jax.Array:
        for transform, own in zip(self.transforms, state, strict=True):
            obs = transform.observe(own, obs)
        return obs

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        keys = jax.random.split(context.key, max(1, len(self.transforms)))
        states, metrics = [], joined()
        for i, (transform, own) in enumerate(zip(self.transforms, state, strict=True)):
            after, rollout, new = transform.update(own, rollout, context.replace(key=keys[i]))  # type: ignore[attr-defined]
            states.append(after)
            metrics = joined(metrics, new)
        return tuple(states), rollout, metrics


def chain(*transforms: ExperienceTransform) -> Chain:
    """Transforms applied in order; itself a transform, as in optax.

    Order matters: what rewrites rewards stands before what computes advantages from them, and what rewrites observations
    before what evaluates them.
    """
    return Chain(tuple(transforms))
