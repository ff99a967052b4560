"""Numbers of DQN, Rainbow and PQN."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import rl_jax as rl
from rl_jax.agents.configs.base import AgentConfig, OptimizerName
from rl_jax.agents.configs.replayed import ReplayedConfig
from rl_jax.errors import RLJaxError
from rl_jax.values import Count, CountOrZero, NotNegative, Number, Positive, Range, Share, Widths

Distribution = Literal["none", "c51", "quantile"]


@dataclass(frozen=True)
class DQNConfig(ReplayedConfig):
    """DQN (Mnih et al. 2015) as one flat list of numbers.

    The paper's numbers are for Atari and 50 million steps; those here are for small tasks and some 100 000 steps.
    """

    RUN = ReplayedConfig.RUN | {"prioritized", "priority_alpha", "priority_beta", "clip_reward"}
    NETWORK = ReplayedConfig.NETWORK | {"dueling"}

    buffer_size: Annotated[int, Range(1, 10**12)] = 50_000
    """Transitions that the replay buffer holds, over all environments (the paper: 1 million)."""
    updates_per_step: Annotated[int | float, Range(1e-6, 9999)] = 0.25
    """Learning steps per environment step, any number above or below one."""
    learning_rate: Positive = 1e-3
    """Step size at the start (DQN: 2.5e-4 of RMSProp; Rainbow: 6.25e-5 of Adam)."""
    anneal: bool = True
    """Let the learning rate fall linearly to zero (the papers keep it; the last policy is steadier so)."""
    target_period: CountOrZero = 0
    """Learning steps between copies into the target network; 0: Polyak averaging instead (DQN: 10 000; Rainbow: 2000; both are long
    for a run of 25 000 learning steps)."""
    tau: Share = 0.01
    """Share of Polyak averaging, if the target period is 0 (the papers copy)."""
    epsilon_start: Share = 1.0
    """Exploration rate at the start."""
    epsilon_end: Share = 0.05
    """Exploration rate at the end of its schedule (the paper: 0.1)."""
    epsilon_steps: NotNegative = 25_000
    """Environment steps until the exploration rate is at its end (the paper: 1 million frames)."""
    double: bool = False
    """Choose the next action by the online network (van Hasselt et al. 2016)."""
    dueling: bool = False
    """Split the network into value and advantages (Wang et al. 2016)."""
    n_step: Annotated[int, Range(1, 10_000)] = 1
    """Steps of the target (Rainbow: 3)."""
    prioritized: bool = False
    """Draw transitions by their TD error (Schaul et al. 2016)."""
    priority_alpha: Share = 0.6
    """Exponent of the priorities: 0 is uniform."""
    priority_beta: Share = 0.4
    """Exponent of the importance weights at the start; 1 at the end."""
    distribution: Distribution = "none"
    """Learn the return's distribution: c51 (Bellemare et al. 2017) or quantile (Dabney et al. 2018)."""
    atoms: Annotated[int, Range(2, 100_000)] = 51
    """Atoms or quantiles of the distribution (c51: 51; quantile: 200)."""
    value_low: Number = -10.0
    """Smallest return that c51 can tell apart."""
    value_high: Number = 10.0
    """Largest return that c51 can tell apart."""
    noisy: bool = False
    """Explore by noise on the weights instead of epsilon (Fortunato et al. 2018)."""
    clip_reward: NotNegative = 0.0
    """Clip rewards to this size when learning; 0: as they are (the paper: 1, since games count differently)."""
    huber: Positive = 10.0
    """Where the error of an expected value becomes linear (the paper: 1, of clipped rewards)."""
    kappa: Positive = 1.0
    """Where the error of a quantile becomes linear; far above the returns' scatter they are expectiles."""
    max_grad_norm: Positive = 10.0
    """Bound on the gradient's global norm (Wang et al. 2016; DQN has none)."""
    adam_epsilon: Positive = 1e-8
    """Added to the denominator of Adam's or another optimiser's step (Rainbow: 1.5e-4)."""
    hidden: Widths = (64, 64)
    """Widths of the hidden layers (images: the MinAtar network instead)."""
    activation: Literal["tanh", "relu", "silu", "gelu"] = "silu"
    """Activation of the hidden layers (the paper: relu)."""

    def check(self) -> None:
        """Refuse numbers that cannot be.

        Raises:
            RLJaxError: with the option's name and the values it takes.
        """
        super().check()
        if not self.value_low < self.value_high:
            raise RLJaxError(f"--value-low {self.value_low} must be below --value-high {self.value_high}")

    def head(self) -> Any:
        """What the network's outputs mean."""
        if self.distribution == "c51":
            return rl.losses.Categorical51(self.value_low, self.value_high, self.atoms)
        return (
            rl.losses.Quantiles(self.kappa, self.atoms)
            if self.distribution == "quantile"
            else rl.losses.ExpectedValue(self.huber)
        )

    def agent(self) -> "rl.agents.QLearning":
        """The agent alone."""
        return rl.agents.dqn(config=self)

    def replay(self) -> "rl.replay.Buffer":
        """The buffer, the way of drawing from it, and the batch transforms."""
        clip = [rl.experience.clip_reward(-self.clip_reward, self.clip_reward)] if self.clip_reward else []
        return rl.replay.Buffer(
            sampler=rl.replay.Prioritized(self.priority_alpha, self.priority_beta) if self.prioritized else rl.replay.Uniform(),
            transforms=rl.chain(*clip, rl.replay.n_step(self.n_step, self.gamma)),
            capacity=self.buffer_size,
            batch_size=self.batch_size,
            length=self.n_step,
        )


@dataclass(frozen=True)
class RainbowConfig(DQNConfig):
    """Rainbow (Hessel et al. 2018): DQN with every switch on."""

    double: bool = True
    """Choose the next action by the online network (van Hasselt et al. 2016)."""
    dueling: bool = True
    """Split the network into value and advantages (Wang et al. 2016)."""
    n_step: Annotated[int, Range(1, 10_000)] = 3
    """Steps of the target."""
    prioritized: bool = True
    """Draw transitions by their TD error (Schaul et al. 2016)."""
    priority_alpha: Share = 0.5
    """Exponent of the priorities: 0 is uniform."""
    distribution: Distribution = "c51"
    """Learn the return's distribution: c51 (Bellemare et al. 2017) or quantile (Dabney et al. 2018)."""
    noisy: bool = True
    """Explore by noise on the weights instead of epsilon (Fortunato et al. 2018)."""


@dataclass(frozen=True)
class PQNConfig(AgentConfig):
    """PQN as one flat list of numbers."""

    RUN = AgentConfig.RUN | {"gamma", "td_lambda"}

    num_envs: Count = 32
    """Parallel environments."""
    rollout_length: Count = 32
    """Steps of each environment per update."""
    epochs: Annotated[int, Range(1, 10_000)] = 4
    """Passes over a rollout."""
    minibatches: Count = 8
    """Pieces per pass; must divide the rollout (a recurrent agent's: the environments)."""
    learning_rate: Positive = 1e-3
    """The optimiser's step size at the start."""
    optimizer: OptimizerName = "radam"
    """What makes steps of gradients."""
    anneal: bool = True
    """Let the learning rate fall linearly to zero."""
    gamma: Share = 0.99
    """Discount per step."""
    td_lambda: Share = 0.65
    """Mixes one-step (0) and Monte-Carlo (1) targets."""
    epsilon_start: Share = 1.0
    """Exploration rate at the start."""
    epsilon_end: Share = 0.05
    """Exploration rate at the end of its schedule."""
    epsilon_steps: NotNegative = 50_000
    """Environment steps until the exploration rate is at its end."""
    max_grad_norm: Positive = 10.0
    """Bound on the gradient's global norm."""
    hidden: Widths = (64, 64)
    """Widths of the hidden layers (images: the MinAtar network instead)."""
    activation: Literal["tanh", "relu", "silu", "gelu"] = "relu"
    """Activation of the hidden layers."""
    torso_dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of the hidden layers' arithmetic; parameters, heads, memory and losses stay float32."""
    memory: Literal["none", "gru"] = "none"
    """Memory between torso and heads."""
    memory_width: Annotated[int, Range(1, 1_000_000)] = 64
    """Units of the memory."""

    def layers(self) -> dict[str, Any]:
        """What functions that make networks are told about the hidden layers and the memory."""
        layers = {"hidden": self.hidden, "activation": self.activation, "dtype": self.torso_dtype}
        return {**layers, "memory": self.memory, "memory_width": self.memory_width}

    def agent(self) -> "rl.agents.PQN":
        """The agent alone."""
        return rl.agents.pqn(config=self)

    def trainer(self, env: "rl.types.Environment", **options: Any) -> "rl.Trainer":
        """The whole run; ``options`` are further arguments of :meth:`rl_jax.Trainer.create`."""
        self.check()
        return rl.Trainer.create(
            env=env,
            agent=self.agent(),
            experience=rl.chain(rl.experience.gae(self.gamma, self.td_lambda)),
            num_envs=self.num_envs,
            rollout_length=self.rollout_length,
            **options,
        )
