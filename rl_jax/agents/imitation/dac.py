"""DAC: a discriminator's reward for an off-policy actor-critic."""

from typing import Any

from rl_jax.agents.actor_critic.td3 import td3
from rl_jax.agents.configs.actor_critic import TD3Config
from rl_jax.agents.configs.base import numbers_of
from rl_jax.agents.configs.imitation import DACConfig
from rl_jax.agents.rewarded import Rewarded
from rl_jax.data.dataset import Dataset
from rl_jax.experience import chain
from rl_jax.replay.n_step import n_step
from rl_jax.types import Agent


def dac(data: Dataset, agent: Agent | None = None, *, config: DACConfig | None = None, **overrides: Any) -> Rewarded:
    """Discriminator-actor-critic (Kostrikov et al. 2019, arXiv 1809.02925, Algorithm 1): TD3, paid by a discriminator.

    Needs a replay that draws trajectories of ``n_step`` steps as they are, without transforms: targets are made after the rewards.
    As in the paper's code the loss is logistic, with a two-sided gradient penalty between experts' and learners' steps, and the reward
    is ``log D - log(1 - D)``. How absorbing states are treated: see :class:`~rl_jax.rewards.discriminator.Discriminator`.

    Args:
        data: the expert's episodes.
        agent: another off-policy agent in TD3's place, such as :func:`rl_jax.agents.sac`.
        config: all numbers; default :class:`~rl_jax.agents.configs.imitation.DACConfig` as it is.
        overrides: its fields that shall be others, such as ``gradient_penalty=1.0``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(DACConfig, config, overrides)
    learner = td3(config=TD3Config(**numbers.of(TD3Config))) if agent is None else agent
    targets = chain(n_step(numbers.n_step, numbers.gamma))
    return Rewarded(learner, numbers.reward_model(data, numbers.gamma if numbers.absorbing else None), targets)
