"""TD3+BC: TD3 whose policy is drawn to the data's actions."""

from functools import partial
from typing import Any

from rl_jax.agents.actor_critic.td3 import DeterministicActorCritic
from rl_jax.agents.configs.base import numbers_of, usual
from rl_jax.agents.configs.offline import TD3BCConfig
from rl_jax.networks.build import Maker
from rl_jax.networks.critics import critics as twin_critics
from rl_jax.networks.critics import deterministic_actor


def td3_bc(
    actor: Maker | None = None, critics: Maker | None = None, *, config: TD3BCConfig | None = None, **overrides: Any
) -> DeterministicActorCritic:
    """TD3 from recorded experience (Fujimoto & Gu 2021, arXiv 2106.06860): the policy maximises ``lambda Q - (pi - a)^2``.

    ``lambda = alpha / mean |Q|`` (eq. 5). The loss here is the same divided by ``alpha``, which no step of Adam sees.

    Args:
        actor, critics: modules or functions from :class:`~rl_jax.types.Spec` to one, instead of the usual ones.
        config: all numbers; default :class:`~rl_jax.agents.configs.TD3BCConfig` as it is.
        overrides: its fields that shall be others, such as ``alpha=1.0``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(TD3BCConfig, config, overrides, actor=actor, critics=critics)
    return DeterministicActorCritic(
        learning_rate=numbers.learning_rate,
        actor_learning_rate=numbers.learning_rate,
        optimizer=numbers.optimizer,
        tau=numbers.tau,
        exploration_noise=0.1,
        target_noise=numbers.target_noise,
        target_noise_clip=numbers.target_noise_clip,
        random_steps=0.0,
        policy_delay=numbers.policy_delay,
        behaviour=1.0 / numbers.alpha,
        mean_distance=True,
        actor=usual(actor, partial(deterministic_actor, **numbers.layers())),
        critics=usual(critics, partial(twin_critics, **numbers.layers())),
        name="TD3+BC",
    )
