"""A2C: the synchronous advantage actor-critic."""

from functools import partial
from typing import Any

from rl_jax.agents.configs.base import numbers_of, usual
from rl_jax.agents.configs.on_policy import A2CConfig
from rl_jax.agents.policy_gradient.update import PolicyGradient
from rl_jax.losses import LogPolicy, NegativeEntropy, SquaredValue
from rl_jax.networks import actor_critic
from rl_jax.networks.build import Maker


def a2c(network: Maker | None = None, *, config: A2CConfig | None = None, **overrides: Any) -> PolicyGradient:
    """Advantage actor-critic (Mnih et al. 2016, section 4 and Algorithm S3, all workers in step): one gradient per rollout.

    Needs an experience chain that ends in :func:`rl_jax.experience.gae`; ``lam=1`` gives the paper's n-step advantages.

    Args:
        network: a module or a function from :class:`~rl_jax.types.Spec` to one, instead of the usual one; a remembering network
            makes the agent recurrent.
        config: all numbers; default :class:`~rl_jax.agents.configs.A2CConfig` as it is.
        overrides: its fields that shall be others, such as ``anneal=False``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(A2CConfig, config, overrides, network=network)
    return PolicyGradient(
        terms={"policy": LogPolicy(), "value": SquaredValue(), "entropy": NegativeEntropy()},
        weights={"policy": 1.0, "value": numbers.value_weight, "entropy": numbers.entropy_weight},
        learning_rate=numbers.learning_rate,
        max_grad_norm=numbers.max_grad_norm,
        network=usual(network, partial(actor_critic, **numbers.layers())),
        epochs=1,
        minibatches=1,
        anneal=numbers.anneal,
        optimizer=numbers.optimizer,
        name="A2C",
    )
