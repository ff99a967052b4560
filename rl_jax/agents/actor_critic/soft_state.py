"""The state of soft actor-critics."""

import jax
from flax import struct

from rl_jax.types import PyTree


@struct.dataclass
class SoftState:
    """The state of :class:`SoftActorCritic`.

    Attributes:
        params: ``actor``, ``critics`` and, if the temperature is learned, its logarithm ``log_alpha``.
        target: slow copy of the critics.
        reference: the actor's parameters that the new policy is held to; ``()`` if to none.
        policy_opt, critic_opt: the optimiser's states, of actor and temperature together and of all critics together.
        count: learning steps done.
        random: whether this rollout acts uniformly at random.
    """

    params: dict[str, PyTree]
    target: PyTree
    reference: PyTree
    policy_opt: PyTree
    critic_opt: PyTree
    count: jax.Array
    random: jax.Array
