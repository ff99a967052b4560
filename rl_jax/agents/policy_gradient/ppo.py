"""PPO: proximal policy optimisation, feed-forward and recurrent."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn

from rl_jax.agents.policy_gradient.update import PolicyGradient
from rl_jax.losses import ClippedPolicy, ClippedValue, KLDiagnostic, NegativeEntropy, SquaredValue
from rl_jax.networks import actor_critic
from rl_jax.types import Spec


def ppo(
    network: nn.Module | Callable[[Spec], nn.Module] = actor_critic,
    learning_rate: Any = 1e-3,
    clip_epsilon: Any = 0.2,
    value_weight: Any = 0.5,
    entropy_weight: Any = 0.01,
    max_grad_norm: Any = 0.5,
    value_clip_epsilon: Any = None,
    epochs: int = 4,
    minibatches: int = 4,
    anneal: bool = True,
    standardize: bool = True,
) -> PolicyGradient:
    """Proximal policy optimisation (Schulman et al. 2017, eq. 9), with the details of its published code.

    Needs an experience chain that ends in :func:`rl_jax.experience.gae`.

    Args:
        network: a module or a function from :class:`~rl_jax.types.Spec` to one; a remembering network makes PPO recurrent.
        learning_rate: Adam's; falls linearly to zero over the planned training if ``anneal``.
        clip_epsilon: half-width of the probability ratio's interval.
        value_weight, entropy_weight: weights of the value error and of the entropy.
        max_grad_norm: bound on the gradient's global norm.
        value_clip_epsilon: clip the value's change too; ``None`` for the plain squared error.
        epochs, minibatches: passes over a rollout, and pieces per pass.
        standardize: standardise advantages within each minibatch.
    """
    value = SquaredValue() if value_clip_epsilon is None else ClippedValue(value_clip_epsilon)
    return PolicyGradient(
        terms={
            "policy": ClippedPolicy(clip_epsilon, standardize),
            "value": value,
            "entropy": NegativeEntropy(),
            "kl": KLDiagnostic(),
        },
        weights={"policy": 1.0, "value": value_weight, "entropy": entropy_weight, "kl": 0.0},
        learning_rate=learning_rate,
        max_grad_norm=max_grad_norm,
        network=network,
        epochs=epochs,
        minibatches=minibatches,
        anneal=anneal,
        name="PPO",
    )
