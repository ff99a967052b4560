"""Only episodes with a good outcome are learned from."""

from typing import Any

import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience.advantage.group import check_whole
from rl_jax.experience.selection.subsets import keep_steps
from rl_jax.experience.transform import Transform
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Number


@struct.dataclass
class GoodEnough(Transform):
    """``weight`` is zero in columns whose rewards sum up to less than ``least``, and of mean 1 again; all zero if there are no others.

    Needs ``extras`` ``weight`` of :func:`~rl_jax.experience.weights.own_weight`.

    Attributes:
        least: outcome of an episode that is learned from.
    """

    least: Any = 1.0

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_whole(spec, "good_enough")
        check_numbers("good_enough's", self, least=Number)
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        good = jnp.sum(rollout.reward, axis=0) >= self.least
        return state, keep_steps(rollout, good), {"selection/kept": jnp.mean(good.astype(jnp.float32))}


def good_enough(least: Any = 1.0) -> GoodEnough:
    """Learn from episodes with a good outcome; see :class:`GoodEnough`."""
    return GoodEnough(least)
