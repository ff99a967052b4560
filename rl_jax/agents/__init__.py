"""Agents: short functions that compose the parts, with the published defaults."""

from rl_jax.agents.a2c import A2CConfig, a2c
from rl_jax.agents.adaptive_replay_ratio import AdaptiveReplayRatio, RatioState
from rl_jax.agents.dqn import DQNConfig, RainbowConfig
from rl_jax.agents.lpg import LPG, LPGState
from rl_jax.agents.mdpo import MDPOConfig, mdpo
from rl_jax.agents.mdpo_off_policy import MDPOOffPolicyConfig, mdpo_off_policy
from rl_jax.agents.policy_gradient import Learner, PolicyGradient
from rl_jax.agents.ppo import PPOConfig, ppo
from rl_jax.agents.pqn import PQN, PQNConfig
from rl_jax.agents.q_learning import QLearning
from rl_jax.agents.q_policy import QPolicy
from rl_jax.agents.r2d2 import R2D2Config
from rl_jax.agents.random_repeat import RandomRepeat
from rl_jax.agents.relic import ReLIC, relic
from rl_jax.agents.sac import SACConfig, sac
from rl_jax.agents.stream_ac import StreamAC, StreamACConfig
from rl_jax.agents.stream_q import StreamQ, StreamQConfig
from rl_jax.agents.stream_td import StreamTD
from rl_jax.agents.td3 import DDPGConfig, TD3Config, ddpg, td3
from rl_jax.agents.watched import Watched, WatchedState, critic_units, q_units

#: Agents that the command line knows, by name.
CONFIGS = {
    "ppo": PPOConfig,
    "a2c": A2CConfig,
    "mdpo": MDPOConfig,
    "pqn": PQNConfig,
    "dqn": DQNConfig,
    "rainbow": RainbowConfig,
    "r2d2": R2D2Config,
    "sac": SACConfig,
    "td3": TD3Config,
    "ddpg": DDPGConfig,
    "mdpo-off-policy": MDPOOffPolicyConfig,
    "stream-q": StreamQConfig,
    "stream-ac": StreamACConfig,
}

__all__ = [
    "CONFIGS",
    "LPG",
    "PQN",
    "A2CConfig",
    "AdaptiveReplayRatio",
    "DDPGConfig",
    "DQNConfig",
    "LPGState",
    "Learner",
    "MDPOConfig",
    "MDPOOffPolicyConfig",
    "PPOConfig",
    "PQNConfig",
    "PolicyGradient",
    "QLearning",
    "QPolicy",
    "R2D2Config",
    "RainbowConfig",
    "RandomRepeat",
    "RatioState",
    "ReLIC",
    "SACConfig",
    "StreamAC",
    "StreamACConfig",
    "StreamQ",
    "StreamQConfig",
    "StreamTD",
    "TD3Config",
    "Watched",
    "WatchedState",
    "a2c",
    "critic_units",
    "ddpg",
    "mdpo",
    "mdpo_off_policy",
    "ppo",
    "q_units",
    "relic",
    "sac",
    "td3",
]
