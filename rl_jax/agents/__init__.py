"""Agents: short functions that compose the parts, from the numbers of their configurations."""

from typing import TYPE_CHECKING

from rl_jax._lazy import lazy

if TYPE_CHECKING:
    from rl_jax.agents import goals as goals
    from rl_jax.agents import offline as offline
    from rl_jax.agents.actor_critic.ddpg import ddpg
    from rl_jax.agents.actor_critic.mdpo_off_policy import mdpo_off_policy
    from rl_jax.agents.actor_critic.sac import SoftActorCritic, sac
    from rl_jax.agents.actor_critic.td3 import DeterministicActorCritic, td3
    from rl_jax.agents.base import AgentBase, AgentWrapper
    from rl_jax.agents.policy_gradient.a2c import a2c
    from rl_jax.agents.policy_gradient.grpo import dr_grpo, grpo, rft, rloo
    from rl_jax.agents.policy_gradient.mdpo import mdpo
    from rl_jax.agents.policy_gradient.ppo import ppo
    from rl_jax.agents.policy_gradient.update import Learner, PolicyGradient
    from rl_jax.agents.q_learning.dqn import QLearning, dqn, rainbow
    from rl_jax.agents.q_learning.pqn import PQN, pqn
    from rl_jax.agents.q_learning.q_policy import QPolicy
    from rl_jax.agents.q_learning.r2d2 import r2d2
    from rl_jax.agents.random_repeat import RandomRepeat
    from rl_jax.agents.streaming.stream_ac import StreamAC, stream_ac
    from rl_jax.agents.streaming.stream_q import StreamQ, stream_q
    from rl_jax.agents.streaming.stream_td import StreamTD

lazy(__name__)

__all__ = [
    "PQN",
    "AgentBase",
    "AgentWrapper",
    "DeterministicActorCritic",
    "Learner",
    "PolicyGradient",
    "QLearning",
    "QPolicy",
    "RandomRepeat",
    "SoftActorCritic",
    "StreamAC",
    "StreamQ",
    "StreamTD",
    "a2c",
    "ddpg",
    "dqn",
    "dr_grpo",
    "grpo",
    "mdpo",
    "mdpo_off_policy",
    "ppo",
    "pqn",
    "r2d2",
    "rainbow",
    "rft",
    "rloo",
    "sac",
    "stream_ac",
    "stream_q",
    "td3",
]
