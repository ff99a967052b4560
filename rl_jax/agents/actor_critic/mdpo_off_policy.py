"""MDPO, off-policy: soft actor-critic whose policy is held to an older self."""

from functools import partial
from typing import Any

from rl_jax.agents.actor_critic.sac import SoftActorCritic
from rl_jax.agents.configs.actor_critic import MDPOOffPolicyConfig
from rl_jax.agents.configs.base import numbers_of, usual
from rl_jax.networks.build import Maker
from rl_jax.networks.critics import critics as twin_critics
from rl_jax.networks.critics import stochastic_actor


def mdpo_off_policy(
    actor: Maker | None = None, critics: Maker | None = None, *, config: MDPOOffPolicyConfig | None = None, **overrides: Any
) -> SoftActorCritic:
    """Mirror descent policy optimisation from replay (Tomar et al. 2020, arXiv 2005.09814, Algorithm 2).

    The policy minimises ``E[kappa log pi - (kappa - lambda) log pi_k - Q]``; ``kappa = lambda`` is SAC, a larger one holds it to
    ``pi_k``, itself as it was up to ``refresh_period`` learning steps ago. The published code also learns a state value, climbs
    the first critic only, decays the Gaussian's parameters, and acts by the mode in training; here everything else is SAC's.

    Args:
        actor, critics: modules or functions from :class:`~rl_jax.types.Spec` to one, instead of the usual ones.
        config: all numbers; default :class:`~rl_jax.agents.configs.MDPOOffPolicyConfig` as it is. A
        overrides: its fields that shall be others, such as ``kappa=0.5``.
            ``temperature`` of ``None`` is learned as SAC does.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(MDPOOffPolicyConfig, config, overrides, actor=actor, critics=critics)
    return SoftActorCritic(
        learning_rate=numbers.learning_rate,
        optimizer=numbers.optimizer,
        tau=numbers.tau,
        temperature=numbers.temperature,
        initial_temperature=1.0,
        kappa=numbers.kappa,
        random_steps=1.0 * numbers.random_steps,
        refresh_period=numbers.refresh_period,
        actor=usual(actor, partial(stochastic_actor, **numbers.layers())),
        critics=usual(critics, partial(twin_critics, **numbers.layers())),
        name="MDPO",
    )
