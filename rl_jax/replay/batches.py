"""What every replay does with its state's size and with the batches that it has drawn."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from rl_jax.errors import RLJaxError, check_part
from rl_jax.experience.transform import ONE
from rl_jax.types import Context, ExperienceTransform, Key, PyTree, Rollout, Spec


class Plan(NamedTuple):
    """What a replay will take: transitions over all environments, bytes of one run."""

    capacity: int
    bytes: int


def plan_of(init: Callable[[Key, Spec], PyTree], spec: Spec, capacity: int) -> Plan:
    """The plan of a replay whose state ``init`` would make; nothing is allocated."""
    state = jax.eval_shape(lambda: init(jax.random.key(0), spec))
    return Plan(capacity, sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(state)))


def check_kept(what: str, keep: tuple[str, ...], rollout: Rollout) -> None:
    """Raise :class:`RLJaxError` if a field of ``extras`` is to be kept that rollouts do not have."""
    if missing := [name for name in keep if name not in rollout.extras]:
        has = ", ".join(rollout.extras)
        raise RLJaxError(f"the {what} is to keep '{missing[0]}', which rollouts do not have: choose from {has}")


def init_transforms(transforms: Any, key: Key, spec: Spec) -> PyTree:
    """The (empty) state of the transforms of sampled batches.

    Raises:
        RLJaxError: it is no transform, or one of them has a state.
    """
    check_part("transforms", transforms, ExperienceTransform, ONE)
    state = transforms.init(key, spec)
    if jax.tree.leaves(state):
        raise RLJaxError("a transform of sampled batches cannot have a state: put it into the experience chain")
    return state


def transformed(transforms: Any, state: PyTree, batch: Rollout, context: Context, key: Key) -> Rollout:
    """A drawn batch after the transforms, which are given ``key``."""
    return transforms.update(state, batch, context.replace(key=key))[1]  # type: ignore[attr-defined]
