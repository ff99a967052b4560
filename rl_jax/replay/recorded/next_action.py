"""The action that the data have in the next state."""

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.experience import Transform
from rl_jax.types import Context, Metrics, PyTree, Rollout


@struct.dataclass
class NextAction(Transform):
    """Keeps the first step of each trajectory of two or more, with ``extras["next_action"]``: the action of the step after it.

    Where there is none, for the episode ended, ``extras["has_next_action"]`` is false and the step's own action stands there. It goes
    after targets of one step: ``chain(n_step(1, gamma), NextAction())``.
    """

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        mask, action = rollout.extras["mask"][1:2], rollout.action[1:2]
        batch = jax.tree.map(lambda x: x[:1], rollout.replace(carry=(), start=None, last=None))  # type: ignore[attr-defined]
        return state, batch.with_extras(next_action=jnp.asarray(action), has_next_action=mask), {}
