"""A2C: the synchronous advantage actor-critic."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn

from rl_jax.agents.policy_gradient.update import PolicyGradient
from rl_jax.losses import LogPolicy, NegativeEntropy, SquaredValue
from rl_jax.networks import actor_critic
from rl_jax.types import Spec


def a2c(
    network: nn.Module | Callable[[Spec], nn.Module] = actor_critic,
    learning_rate: Any = 7e-4,
    value_weight: Any = 0.5,
    entropy_weight: Any = 0.01,
    max_grad_norm: Any = 0.5,
    anneal: bool = True,
) -> PolicyGradient:
    """Advantage actor-critic (Mnih et al. 2016, section 4 and Algorithm S3, all workers in step): one gradient per rollout.

    Needs an experience chain that ends in :func:`rl_jax.experience.gae`; ``lam=1`` gives the paper's n-step advantages.

    Args:
        network: a module or a function from :class:`~rl_jax.types.Spec` to one.
        learning_rate: RMSProp's; falls linearly to zero over the planned training if ``anneal``.
        value_weight, entropy_weight: weights of the value error and of the entropy.
        max_grad_norm: bound on the gradient's global norm.
    """
    return PolicyGradient(
        terms={"policy": LogPolicy(), "value": SquaredValue(), "entropy": NegativeEntropy()},
        weights={"policy": 1.0, "value": value_weight, "entropy": entropy_weight},
        learning_rate=learning_rate,
        max_grad_norm=max_grad_norm,
        network=network,
        epochs=1,
        minibatches=1,
        anneal=anneal,
        optimizer="rmsprop",
        name="A2C",
    )
