"""DDPG: TD3 without its three changes."""

from functools import partial
from typing import Any

from rl_jax.agents.actor_critic.td3 import DeterministicActorCritic
from rl_jax.agents.configs.actor_critic import DDPGConfig
from rl_jax.agents.configs.base import numbers_of, usual
from rl_jax.networks.build import Maker
from rl_jax.networks.critics import critics as twin_critics
from rl_jax.networks.critics import deterministic_actor


def ddpg(
    actor: Maker | None = None, critic: Maker | None = None, *, config: DDPGConfig | None = None, **overrides: Any
) -> DeterministicActorCritic:
    """Deep deterministic policy gradient (Lillicrap et al. 2016, arXiv 1509.02971): TD3 without its three changes.

    The noise is Gaussian and independent between steps, as in Fujimoto et al. 2018, not an Ornstein-Uhlenbeck process; and
    there is neither batch normalisation nor weight decay, and the critic sees the action from its first layer on.

    Args:
        actor, critic: modules or functions from :class:`~rl_jax.types.Spec` to one, instead of the usual ones; an ensemble of
            critics has ``members=1``.
        config: all numbers; default :class:`~rl_jax.agents.configs.DDPGConfig` as it is.
        overrides: its fields that shall be others, such as ``tau=0.001``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(DDPGConfig, config, overrides, actor=actor, critic=critic)
    return DeterministicActorCritic(
        learning_rate=numbers.learning_rate,
        actor_learning_rate=numbers.actor_learning_rate,
        optimizer=numbers.optimizer,
        tau=numbers.tau,
        exploration_noise=numbers.exploration_noise,
        random_steps=1.0 * numbers.random_steps,
        actor=usual(actor, partial(deterministic_actor, **numbers.layers())),
        critics=usual(critic, partial(twin_critics, members=1, **numbers.layers())),
        name="DDPG",
    )
