"""ReBRAC: TD3+BC with penalties of its own for policy and critics, and layer normalisation."""

from functools import partial
from typing import Any

from rl_jax.agents.actor_critic.td3 import DeterministicActorCritic
from rl_jax.agents.configs.base import numbers_of, usual
from rl_jax.agents.configs.offline import ReBRACConfig
from rl_jax.networks.build import Maker
from rl_jax.networks.critics import critics as twin_critics
from rl_jax.networks.critics import deterministic_actor


def rebrac(
    actor: Maker | None = None, critics: Maker | None = None, *, config: ReBRACConfig | None = None, **overrides: Any
) -> DeterministicActorCritic:
    """Revisited behaviour-regularised actor-critic (Tarasov et al. 2023, arXiv 2305.09836).

    The policy minimises ``beta_actor |pi - a|^2 - Q / mean |Q|`` with the smaller critic, and targets are less
    ``beta_critic |pi'(s') - a'|^2``. Needs batches with :class:`rl_jax.replay.NextAction`.

    Args:
        actor, critics: modules or functions from :class:`~rl_jax.types.Spec` to one, instead of the usual ones.
        config: all numbers; default :class:`~rl_jax.agents.configs.ReBRACConfig` as it is.
        overrides: its fields that shall be others, such as ``beta_critic=0.1``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(ReBRACConfig, config, overrides, actor=actor, critics=critics)
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
        behaviour=numbers.beta_actor,
        next_behaviour=numbers.beta_critic,
        cautious=True,
        actor=usual(actor, partial(deterministic_actor, **numbers.layers())),
        critics=usual(critics, partial(twin_critics, layer_norm=True, **numbers.layers())),
        name="ReBRAC",
    )
