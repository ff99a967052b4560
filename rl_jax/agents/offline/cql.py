"""CQL: soft actor-critic whose critics think little of what is not in the data."""

from functools import partial
from typing import Any

from rl_jax.agents.actor_critic.sac import SoftActorCritic
from rl_jax.agents.configs.base import numbers_of, usual
from rl_jax.agents.configs.offline import CQLConfig
from rl_jax.losses.conservative import Conservative
from rl_jax.networks.build import Maker
from rl_jax.networks.critics import critics as twin_critics
from rl_jax.networks.critics import stochastic_actor


def cql(
    actor: Maker | None = None, critics: Maker | None = None, *, config: CQLConfig | None = None, **overrides: Any
) -> SoftActorCritic:
    """Conservative Q-learning, CQL(H) with a fixed weight (Kumar et al. 2020, arXiv 2006.04779, eq. 4), on soft actor-critic.

    Targets have no entropy, as in the published code. The weight is not learned.

    Args:
        actor, critics: modules or functions from :class:`~rl_jax.types.Spec` to one, instead of the usual ones.
        config: all numbers; default :class:`~rl_jax.agents.configs.CQLConfig` as it is.
        overrides: its fields that shall be others, such as ``conservative=1.0``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(CQLConfig, config, overrides, actor=actor, critics=critics)
    return SoftActorCritic(
        learning_rate=numbers.learning_rate,
        optimizer=numbers.optimizer,
        tau=numbers.tau,
        temperature=None,
        initial_temperature=1.0,
        random_steps=0.0,
        critic_terms=(Conservative(numbers.conservative, numbers.samples),),
        entropy_backup=False,
        actor=usual(actor, partial(stochastic_actor, **numbers.layers())),
        critics=usual(critics, partial(twin_critics, **numbers.layers())),
        name="CQL",
    )
