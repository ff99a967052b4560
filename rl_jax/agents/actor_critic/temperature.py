"""The temperature of soft actor-critic: what it aims at when it is learned."""

import math
from typing import Any

from rl_jax.spaces import Discrete


def usual_target_entropy(space: Any) -> float:
    """Minus the number of action elements in a box (Haarnoja et al. 2018), ``log(A) / 2`` among ``A`` discrete actions; in nats.

    Christodoulou's ``0.98 log A`` is the uniform policy but for a little, which a policy that prefers anything cannot meet: on
    CartPole the temperature then grows past 100,000 within 20,000 steps.
    """
    if isinstance(space, Discrete):
        return 0.5 * math.log(space.n)
    return -float(len(space.low))
