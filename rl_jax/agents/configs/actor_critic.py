"""Numbers of SAC, off-policy MDPO, DDPG and TD3: actor-critics that learn from a replay buffer."""

from dataclasses import dataclass

import rl_jax as rl
from rl_jax.agents.configs.replayed import ActorCriticConfig
from rl_jax.values import Count, NotNegative, Number, Positive, Share


@dataclass(frozen=True)
class SACConfig(ActorCriticConfig):
    """SAC (Haarnoja et al. 2018; discrete: Christodoulou 2019) as one flat list of numbers."""

    temperature: NotNegative | None = None
    """Weight of the entropy, in units of reward per nat; none: learned."""
    initial_temperature: Positive = 1.0
    """Where a learned temperature starts."""
    target_entropy: Number | None = None
    """What a learned temperature aims at, in nats; none: minus the number of action elements, or log(A) / 2.
    (Discrete, the paper: 0.98 log(A), which a policy that prefers anything does not meet: the temperature grows without end.)"""

    def agent(self) -> "rl.agents.SoftActorCritic":
        """The agent alone."""
        return rl.agents.sac(config=self)


@dataclass(frozen=True)
class MDPOOffPolicyConfig(ActorCriticConfig):
    """Off-policy MDPO (Tomar et al. 2020) as one flat list of numbers."""

    kappa: NotNegative = 1.0
    """Inverse of the mirror descent's step size; at the temperature it is SAC."""
    temperature: NotNegative = 0.2
    """Weight of the entropy (the paper's lambda), in units of reward per nat."""
    refresh_period: Count = 1000
    """Gradient steps of one mirror descent step (the paper's m)."""

    def agent(self) -> "rl.agents.SoftActorCritic":
        """The agent alone."""
        return rl.agents.mdpo_off_policy(config=self)


@dataclass(frozen=True)
class DDPGConfig(ActorCriticConfig):
    """DDPG (Lillicrap et al. 2016) as one flat list of numbers."""

    learning_rate: Positive = 1e-3
    """Step size of the critics."""
    actor_learning_rate: Positive = 1e-3
    """Step size of the policy (DDPG: 1e-4; TD3: 1e-3)."""
    tau: Share = 0.01
    """Share of the way that slow copies move when they do (DDPG: 0.001; TD3: 0.005; small tasks are learned in fewer steps)."""
    exploration_noise: NotNegative = 0.1
    """Standard deviation of the Gaussian noise when acting, in units of half the action's range.
    (DDPG: 0.2, of an Ornstein-Uhlenbeck process; Fujimoto et al. 2018 found no gain in it.)"""

    def agent(self) -> "rl.agents.DeterministicActorCritic":
        """The agent alone."""
        return rl.agents.ddpg(config=self)


@dataclass(frozen=True)
class TD3Config(DDPGConfig):
    """TD3 (Fujimoto et al. 2018) as one flat list of numbers."""

    target_noise: NotNegative = 0.2
    """Standard deviation of the noise on the target's action."""
    target_noise_clip: NotNegative = 0.5
    """Bound of that noise."""
    policy_delay: Count = 2
    """Learning steps of the critics for one of the policy."""

    def agent(self) -> "rl.agents.DeterministicActorCritic":
        """The agent alone."""
        return rl.agents.td3(config=self)
