"""The base of experience transforms, and ``chain``."""

from typing import Any

import jax
from flax import struct

from rl_jax.errors import RLJaxError, check_metrics, check_part, naming_what_lacks, returned
from rl_jax.ops import joined
from rl_jax.types import Context, ExperienceTransform, Key, Metrics, PyTree, Rollout, Spec


class Transform:
    """Defaults for a transform: no state, nothing changed. Subclass with ``@flax.struct.dataclass`` and override."""

    def init(self, key: Key, spec: Spec) -> PyTree:
        """The transform's first state."""
        del key, spec
        return ()

    def observe(self, state: PyTree, obs: PyTree) -> PyTree:
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

    def observe(self, state: PyTree, obs: PyTree) -> PyTree:
        for transform, own in zip(self.transforms, state, strict=True):
            obs = transform.observe(own, obs)
        return obs

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        keys = jax.random.split(context.key, max(1, len(self.transforms)))
        states, metrics = [], joined()
        for i, (transform, own) in enumerate(zip(self.transforms, state, strict=True)):
            transform_context = context.replace(key=keys[i])  # type: ignore[attr-defined]
            next_state, rollout, new = updated(transform, own, rollout, transform_context)
            states.append(next_state)
            metrics = joined(metrics, new)
        return tuple(states), rollout, metrics


def updated(
    transform: ExperienceTransform, state: PyTree, rollout: Rollout, context: Context
) -> tuple[PyTree, Rollout, Metrics]:
    """What a transform's ``update`` returns.

    Raises:
        RLJaxError: it needs a field that the rollout has not, or returns something else than it should.
    """
    name = type(transform).__name__
    with naming_what_lacks(transform, getattr(rollout, "extras", {})):
        result = transform.update(state, rollout, context)
    next_state, rollout, metrics = returned(f"{name}.update", result, ("state", "rollout", "metrics"))
    if not isinstance(rollout, Rollout):
        raise RLJaxError(
            f"{name}.update returned a {type(rollout).__name__} as rollout: let it return (state, rollout, metrics)"
        )
    check_metrics(f"{name}.update", metrics)
    return next_state, rollout, dict(metrics)


#: What to give where a transform was expected.
ONE = "give a transform (a class that inherits from rl.experience.Transform), and several as rl.chain(first, second)"


def chain(*transforms: ExperienceTransform) -> Chain:
    """Transforms applied in order; itself a transform, as in optax.

    Order matters: what rewrites rewards stands before what computes advantages from them, and what rewrites observations
    before what evaluates them.

    Raises:
        RLJaxError: one is no transform.
    """
    for number, transform in enumerate(transforms, start=1):
        check_part(f"part {number} of the chain", transform, ExperienceTransform, ONE)
    return Chain(tuple(transforms))


def present_policy(rollout: Rollout, context: Context) -> Any:
    """The action distribution ``[T, N]`` of the policy as it is now, on a whole rollout, in one pass."""
    return context.agent.outputs(context.agent.params(context.agent_state), rollout).policy
