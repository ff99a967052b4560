"""How often the agent learns per train step."""

from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.errors import RLJaxError
from rl_jax.ops import shared
from rl_jax.types import Context, Key, PyTree, Rollout


@struct.dataclass
class Constant:
    """The same integer number of ``learn`` calls in every train step."""

    number: int = struct.field(pytree_node=False, default=1)

    def init(self, key: Key) -> PyTree:
        del key
        return ()

    def count(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, jax.Array | int]:
        return state, self.number


@struct.dataclass
class PerStep:
    """``ratio`` ``learn`` calls per environment step (the update-to-data ratio), any positive number.

    What a train step owes beyond an integer is carried over, exactly: after ``start + k`` environment steps there were
    ``floor(k * ratio)`` calls. The ratio is taken as the nearest fraction with a denominator of at most 1,000,000.

    Attributes:
        ratio: calls per environment step, over all environments.
        start: environment steps before the first call; their calls are not made up for.
    """

    ratio: Any = struct.field(pytree_node=False, default=1.0)
    start: int = struct.field(pytree_node=False, default=0)

    def init(self, key: Key) -> PyTree:
        """The numerator of what is owed, and the environment steps still to wait for."""
        del key
        if not 1e-6 <= self.ratio < 1e4:
            raise RLJaxError(
                f"the number of updates per environment step must lie above 0 and below 10,000 (and be no less than 1e-6), "
                f"not {self.ratio}"
            )
        return jnp.zeros((), jnp.int32), jnp.full((), self.start, jnp.int32)

    def count(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, jax.Array | int]:
        """The calls due now; the same in all runs of a vmapped batch, hence never batched itself."""
        owed, waiting = state
        steps = rollout.reward.size
        # The sum below must fit into int32.
        ratio = Fraction(self.ratio).limit_denominator(max(1, min(1_000_000, int(2**30 / (steps * self.ratio)))))
        counted = jnp.maximum(steps - waiting, 0)
        total = owed + counted * ratio.numerator
        state = total % ratio.denominator, jnp.maximum(waiting - steps, 0)
        return state, shared(total // ratio.denominator)
