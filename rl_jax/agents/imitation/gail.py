"""GAIL: PPO, paid by a discriminator that learns from each rollout."""

from typing import Any

from rl_jax.agents.configs.base import numbers_of
from rl_jax.agents.configs.imitation import GAILConfig
from rl_jax.agents.policy_gradient.ppo import ppo
from rl_jax.agents.policy_gradient.update import PolicyGradient
from rl_jax.networks.build import Maker


def gail(network: Maker | None = None, *, config: GAILConfig | None = None, **overrides: Any) -> PolicyGradient:
    """Generative adversarial imitation (Ho & Ermon 2016, arXiv 1606.03476, Algorithm 1), with PPO in TRPO's place.

    The agent itself is PPO. Its chain begins with :func:`rl_jax.experience.learned_reward.learned_reward` of a
    :class:`~rl_jax.rewards.discriminator.Discriminator`: ``GAILConfig(...).chain(data)`` makes it.

    Args:
        network: as of :func:`rl_jax.agents.ppo`.
        config: all numbers; default :class:`~rl_jax.agents.configs.imitation.GAILConfig` as it is.
        overrides: its fields that shall be others, such as ``learning_rate=3e-4``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    return ppo(network, config=numbers_of(GAILConfig, config, overrides, network=network))
