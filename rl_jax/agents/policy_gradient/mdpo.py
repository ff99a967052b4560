"""MDPO, on-policy: trust-region policy optimisation by mirror descent, without clipping."""

from functools import partial
from typing import Any

from rl_jax.agents.configs.base import numbers_of, usual
from rl_jax.agents.configs.on_policy import MDPOConfig
from rl_jax.agents.policy_gradient.update import PolicyGradient
from rl_jax.losses import MirrorDescentKL, NegativeEntropy, RatioPolicy, SquaredValue
from rl_jax.networks import actor_critic
from rl_jax.networks.build import Maker


def mdpo(network: Maker | None = None, *, config: MDPOConfig | None = None, **overrides: Any) -> PolicyGradient:
    """Mirror descent policy optimisation (Tomar et al. 2020, arXiv:2005.09814, eq. 9 and Algorithm 1, on-policy).

    Each train step maximises ``E[ratio A] - KL(pi || pi_k) / t_k`` by ``epochs * minibatches`` gradient steps from ``pi_k``; with
    a single one the divergence has no gradient and this is the plain policy gradient. Needs an experience chain that ends in
    :func:`rl_jax.experience.gae`.

    Args:
        network: a module or a function from :class:`~rl_jax.types.Spec` to one, instead of the usual one; a remembering network
            makes the agent recurrent.
        config: all numbers; default :class:`~rl_jax.agents.configs.MDPOConfig` as it is.
        overrides: its fields that shall be others, such as ``epochs=5``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(MDPOConfig, config, overrides, network=network)
    return PolicyGradient(
        terms={
            "policy": RatioPolicy(),
            "mirror": MirrorDescentKL(numbers.step_size, numbers.anneal_step_size),
            "value": SquaredValue(),
            "entropy": NegativeEntropy(),
        },
        weights={"policy": 1.0, "mirror": 1.0, "value": numbers.value_weight, "entropy": numbers.entropy_weight},
        learning_rate=numbers.learning_rate,
        max_grad_norm=numbers.max_grad_norm,
        network=usual(network, partial(actor_critic, **numbers.layers())),
        epochs=numbers.epochs,
        minibatches=numbers.minibatches,
        anneal=numbers.anneal,
        optimizer=numbers.optimizer,
        anchored=True,
        name="MDPO",
    )
