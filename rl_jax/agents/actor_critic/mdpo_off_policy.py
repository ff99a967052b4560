"""MDPO, off-policy: soft actor-critic whose policy is held to an older self."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn

from rl_jax.agents.actor_critic.soft_actor_critic import SoftActorCritic
from rl_jax.networks.critics import critics as twin_critics
from rl_jax.networks.critics import stochastic_actor
from rl_jax.types import Spec


def mdpo_off_policy(
    actor: nn.Module | Callable[[Spec], nn.Module] = stochastic_actor,
    critics: nn.Module | Callable[[Spec], nn.Module] = twin_critics,
    learning_rate: Any = 3e-4,
    tau: Any = 0.005,
    kappa: Any = 1.0,
    temperature: Any = 0.2,
    refresh_period: int = 1000,
    random_steps: Any = 1000.0,
) -> SoftActorCritic:
    """Mirror descent policy optimisation from replay (Tomar et al. 2020, arXiv 2005.09814, Algorithm 2).

    The policy minimises ``E[kappa log pi - (kappa - lambda) log pi_k - Q]``; ``kappa = lambda`` is SAC, a larger one holds it to
    ``pi_k``, itself as it was up to ``refresh_period`` learning steps ago. The published code also learns a state value, climbs
    the first critic only, decays the Gaussian's parameters, and acts by the mode in training; here everything else is SAC's.

    Args:
        actor, critics: modules or functions from :class:`~rl_jax.types.Spec` to one.
        learning_rate: Adam's.
        tau: share of the way that the slow critics move per learning step.
        kappa: ``1 / t``, the inverse of the mirror descent's step size.
        temperature: ``lambda``, weight of the entropy; ``None`` to learn it as SAC does.
        refresh_period: ``m``, gradient steps of one mirror descent step.
        random_steps: environment steps that are uniformly random at first.
    """
    return SoftActorCritic(
        learning_rate=learning_rate,
        tau=tau,
        temperature=temperature,
        kappa=kappa,
        random_steps=random_steps,
        refresh_period=refresh_period,
        actor=actor,
        critics=critics,
        name="MDPO",
    )
