"""Agents: short functions that compose the parts, with the published defaults."""

from rl_jax.agents.a2c import A2CConfig, a2c
from rl_jax.agents.dqn import DQNConfig, RainbowConfig
from rl_jax.agents.mdpo import MDPOConfig, mdpo
from rl_jax.agents.policy_gradient import Learner, PolicyGradient
from rl_jax.agents.ppo import PPOConfig, ppo
from rl_jax.agents.pqn import PQN, PQNConfig
from rl_jax.agents.q_learning import QLearning
from rl_jax.agents.q_policy import QPolicy
from rl_jax.agents.r2d2 import R2D2Config

#: Agents that the command line knows, by name.
CONFIGS = {
    "ppo": PPOConfig,
    "a2c": A2CConfig,
    "mdpo": MDPOConfig,
    "pqn": PQNConfig,
    "dqn": DQNConfig,
    "rainbow": RainbowConfig,
    "r2d2": R2D2Config,
}

__all__ = [
    "CONFIGS",
    "PQN",
    "A2CConfig",
    "DQNConfig",
    "Learner",
    "MDPOConfig",
    "PPOConfig",
    "PQNConfig",
    "PolicyGradient",
    "QLearning",
    "QPolicy",
    "R2D2Config",
    "RainbowConfig",
    "a2c",
    "mdpo",
    "ppo",
]
