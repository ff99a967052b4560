"""Every agent's numbers and their defaults, one flat dataclass each. Imports no jax: the parts are loaded when they are made."""

from rl_jax.agents.configs.actor_critic import DDPGConfig, MDPOOffPolicyConfig, SACConfig, TD3Config
from rl_jax.agents.configs.dqn import DQNConfig, PQNConfig, RainbowConfig
from rl_jax.agents.configs.generative import DiffusionBCConfig, FQLConfig
from rl_jax.agents.configs.grpo import DrGRPOConfig, GRPOConfig, RFTConfig, RLOOConfig
from rl_jax.agents.configs.imitation import DACConfig, GAILConfig
from rl_jax.agents.configs.offline import BCConfig, CQLConfig, IQLConfig, ReBRACConfig, RLPDConfig, TD3BCConfig
from rl_jax.agents.configs.on_policy import A2CConfig, MDPOConfig, PPOConfig
from rl_jax.agents.configs.r2d2 import R2D2Config
from rl_jax.agents.configs.streaming import StreamACConfig, StreamQConfig
from rl_jax.values import fields

#: Agents that the command line knows, by name.
CONFIGS = {
    "ppo": PPOConfig,
    "a2c": A2CConfig,
    "mdpo": MDPOConfig,
    "grpo": GRPOConfig,
    "dr-grpo": DrGRPOConfig,
    "rloo": RLOOConfig,
    "rft": RFTConfig,
    "pqn": PQNConfig,
    "dqn": DQNConfig,
    "rainbow": RainbowConfig,
    "r2d2": R2D2Config,
    "sac": SACConfig,
    "td3": TD3Config,
    "ddpg": DDPGConfig,
    "mdpo-off-policy": MDPOOffPolicyConfig,
    "bc": BCConfig,
    "td3-bc": TD3BCConfig,
    "rebrac": ReBRACConfig,
    "iql": IQLConfig,
    "cql": CQLConfig,
    "diffusion-bc": DiffusionBCConfig,
    "fql": FQLConfig,
    "rlpd": RLPDConfig,
    "gail": GAILConfig,
    "dac": DACConfig,
    "stream-q": StreamQConfig,
    "stream-ac": StreamACConfig,
}


def sweepable(kind: type) -> list[str]:
    """The numeric hyperparameters of an agent's configuration: those that can differ within one program."""
    return [name for name, takes in fields(kind).items() if takes.kind is float and not (takes.whole or takes.optional)]
