"""Chunks of actions, of the trajectories that a replay draws."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.experience import Transform
from rl_jax.types import Context, Metrics, PyTree, Rollout


@struct.dataclass
class ActionChunks(Transform):
    """Makes of trajectories ``[L, B]`` their first steps ``[1, B]`` with all ``L`` actions: ``action`` ``[1, B, L, ...]``.

    For agents within :class:`rl_jax.agents.chunked.Chunked`. A chunk that reaches beyond its episode repeats the last action, as in the
    published code of Chi et al. 2023 (arXiv 2303.04137).
    """

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        # Beyond an episode's end a drawn trajectory repeats its last step.
        chunk: Any = jnp.moveaxis(rollout.action, 0, 1)[None]
        batch = jax.tree.map(lambda x: x[:1], rollout.replace(carry=(), start=None, last=None))  # type: ignore[attr-defined]
        return state, batch.replace(action=chunk), {}
