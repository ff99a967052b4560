"""RLPD: soft actor-critic whose batches are half recorded, half collected."""

from functools import partial
from typing import Any

from rl_jax.agents.actor_critic.sac import SoftActorCritic
from rl_jax.agents.configs.base import numbers_of, usual
from rl_jax.agents.configs.offline import RLPDConfig
from rl_jax.networks.build import Maker
from rl_jax.networks.critics import critics as many_critics
from rl_jax.networks.critics import stochastic_actor


def rlpd(
    actor: Maker | None = None, critics: Maker | None = None, *, config: RLPDConfig | None = None, **overrides: Any
) -> SoftActorCritic:
    """Reinforcement learning with prior data (Ball et al. 2023, arXiv 2302.02948, Algorithm 1).

    Soft actor-critic with layer normalisation and many critics, of which a target takes the smallest of a random few, and whose policy
    climbs their mean. The half of recorded data is the replay's: :class:`rl_jax.replay.Mixed`.

    Args:
        actor, critics: modules or functions from :class:`~rl_jax.types.Spec` to one, instead of the usual ones.
        config: all numbers; default :class:`~rl_jax.agents.configs.RLPDConfig` as it is.
        overrides: its fields that shall be others, such as ``members=2``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(RLPDConfig, config, overrides, actor=actor, critics=critics)
    return SoftActorCritic(
        learning_rate=numbers.learning_rate,
        optimizer=numbers.optimizer,
        tau=numbers.tau,
        temperature=numbers.temperature,
        initial_temperature=numbers.initial_temperature,
        target_entropy=numbers.target_entropy,
        random_steps=1.0 * numbers.random_steps,
        entropy_backup=numbers.entropy_backup,
        subset=numbers.subset,
        mean_critic=True,
        actor=usual(actor, partial(stochastic_actor, **numbers.layers())),
        critics=usual(critics, partial(many_critics, members=numbers.members, layer_norm=True, **numbers.layers())),
        name="RLPD",
    )
