"""Target parameters: slow copies that targets are computed from."""

from typing import Any

import jax
from flax import struct

from rl_jax.ops.branch import shared
from rl_jax.types import PyTree


def polyak(target: PyTree, online: PyTree, tau: Any) -> PyTree:
    """``(1 - tau) * target + tau * online``, leaf by leaf (Polyak & Juditsky 1992; Lillicrap et al. 2016)."""
    return jax.tree.map(lambda slow, fast: (slow + tau * (fast - slow)).astype(slow.dtype), target, online)


@struct.dataclass
class Polyak:
    """Move the target a share ``tau`` of the way at every learning step."""

    tau: Any = 0.005

    def update(self, target: PyTree, online: PyTree, count: jax.Array) -> PyTree:
        """The target after learning step number ``count`` (the first is 1)."""
        return polyak(target, online, self.tau)


@struct.dataclass
class Periodic:
    """Copy the online parameters at every ``period``-th learning step (Mnih et al. 2015)."""

    period: int = struct.field(pytree_node=False, default=1000)

    def update(self, target: PyTree, online: PyTree, count: jax.Array) -> PyTree:
        """The target after learning step number ``count`` (the first is 1)."""
        due = shared(count) % self.period == 0
        return jax.lax.cond(due, lambda slow, fast: fast, lambda slow, fast: slow, target, online)
