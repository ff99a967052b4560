"""Agents: short functions that compose the parts, with the published defaults."""

from rl_jax.agents.policy_gradient import Learner, PolicyGradient
from rl_jax.agents.ppo import PPOConfig, ppo

#: Agents that the command line knows, by name.
CONFIGS = {"ppo": PPOConfig}

__all__ = ["CONFIGS", "Learner", "PPOConfig", "PolicyGradient", "ppo"]
