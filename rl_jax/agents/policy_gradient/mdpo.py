"""MDPO, on-policy: trust-region policy optimisation by mirror descent, without clipping."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn

from rl_jax.agents.policy_gradient.update import PolicyGradient
from rl_jax.losses import MirrorDescentKL, NegativeEntropy, RatioPolicy, SquaredValue
from rl_jax.networks import actor_critic
from rl_jax.types import Spec


def mdpo(
    network: nn.Module | Callable[[Spec], nn.Module] = actor_critic,
    learning_rate: Any = 1e-3,
    step_size: Any = 1.0,
    value_weight: Any = 0.5,
    entropy_weight: Any = 0.0,
    max_grad_norm: Any = 0.5,
    epochs: int = 10,
    minibatches: int = 1,
    anneal: bool = True,
    anneal_step_size: bool = True,
) -> PolicyGradient:
    """Mirror descent policy optimisation (Tomar et al. 2020, arXiv:2005.09814, eq. 9 and Algorithm 1, on-policy).

    Each train step maximises ``E[ratio A] - KL(pi || pi_k) / t_k`` by ``epochs * minibatches`` gradient steps from ``pi_k``; with
    a single one the divergence has no gradient and this is the plain policy gradient. Needs an experience chain that ends in
    :func:`rl_jax.experience.gae`.

    Args:
        network: a module or a function from :class:`~rl_jax.types.Spec` to one.
        learning_rate: Adam's; falls linearly to zero over the planned training if ``anneal``.
        step_size: ``t_0``; ``t_k`` falls linearly to zero if ``anneal_step_size``, as in the paper.
        value_weight, entropy_weight: weights of the value error and of the entropy (the paper has none).
        max_grad_norm: bound on the gradient's global norm.
        epochs: passes over the rollout: ``m``, 10 full-batch steps in the paper.
        minibatches: pieces per pass.
    """
    return PolicyGradient(
        terms={
            "policy": RatioPolicy(),
            "mirror": MirrorDescentKL(step_size, anneal_step_size),
            "value": SquaredValue(),
            "entropy": NegativeEntropy(),
        },
        weights={"policy": 1.0, "mirror": 1.0, "value": value_weight, "entropy": entropy_weight},
        learning_rate=learning_rate,
        max_grad_norm=max_grad_norm,
        network=network,
        epochs=epochs,
        minibatches=minibatches,
        anneal=anneal,
        anchored=True,
        name="MDPO",
    )
