"""Maximum likelihood: cloning of what a rollout holds, whoever wrote it."""

import jax
from flax import struct

from rl_jax.types import Context, Metrics, PyTree, Rollout


@struct.dataclass
class NegativeLogLikelihood:
    """``-log pi(a)`` of every item of a batch ``[T, B]``, in nats. Which items are to be cloned is said by their weight."""

    def __call__(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        return -context.outputs.policy.log_prob(batch.action), {}
