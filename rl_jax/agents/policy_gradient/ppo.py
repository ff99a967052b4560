"""PPO: proximal policy optimisation, feed-forward and recurrent."""

from functools import partial
from typing import Any

from rl_jax.agents.configs.base import numbers_of, usual
from rl_jax.agents.configs.on_policy import PPOConfig
from rl_jax.agents.policy_gradient.update import PolicyGradient
from rl_jax.losses import ClippedPolicy, ClippedValue, KLDiagnostic, NegativeEntropy, SquaredValue
from rl_jax.networks import actor_critic
from rl_jax.networks.build import Maker


def ppo(network: Maker | None = None, *, config: PPOConfig | None = None, **overrides: Any) -> PolicyGradient:
    """Proximal policy optimisation (Schulman et al. 2017, eq. 9), with the details of its published code.

    Needs an experience chain that ends in :func:`rl_jax.experience.gae`, or, with ``standardize_advantage="batch"``, in
    :func:`rl_jax.experience.standardize_advantage`.

    Args:
        network: a module or a function from :class:`~rl_jax.types.Spec` to one, instead of the usual one; a remembering network
            makes the agent recurrent.
        config: all numbers; default :class:`~rl_jax.agents.configs.PPOConfig` as it is.
        overrides: its fields that shall be others, such as ``learning_rate=3e-4``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(PPOConfig, config, overrides, network=network)
    clip = numbers.value_clip_epsilon
    return PolicyGradient(
        terms={
            "policy": ClippedPolicy(numbers.clip_epsilon, numbers.standardize_advantage == "minibatch"),
            "value": SquaredValue() if clip is None else ClippedValue(clip),
            "entropy": NegativeEntropy(),
            "kl": KLDiagnostic(),
        },
        weights={"policy": 1.0, "value": numbers.value_weight, "entropy": numbers.entropy_weight, "kl": 0.0},
        learning_rate=numbers.learning_rate,
        max_grad_norm=numbers.max_grad_norm,
        network=usual(network, partial(actor_critic, **numbers.layers())),
        epochs=numbers.epochs,
        minibatches=numbers.minibatches,
        anneal=numbers.anneal,
        optimizer=numbers.optimizer,
        name="PPO",
    )
