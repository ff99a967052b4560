"""How often the agent learns per train step."""

import jax
from flax import struct

from rl_jax.types import Context, Key, PyTree, Rollout


@struct.dataclass
class Constant:
    """The same whole number of ``learn`` calls in every train step."""

    number: int = struct.field(pytree_node=False, default=1)

    def init(self, key: Key) -> PyTree:
        """No state."""
        del key
        return ()

    def count(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, jax.Array | int]:
        """``number``."""
        return state, self.number
