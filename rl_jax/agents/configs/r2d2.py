"""Numbers of R2D2."""

from dataclasses import dataclass
from typing import Annotated, Literal

import rl_jax as rl
from rl_jax.agents.configs.replayed import ReplayedConfig
from rl_jax.values import Count, NotNegative, Positive, Range, Share, Widths


@dataclass(frozen=True)
class R2D2Config(ReplayedConfig):
    """Recurrent DQN in the manner of R2D2 (Kapturowski et al. 2019) as one flat list of numbers."""

    RUN = ReplayedConfig.RUN | {"sequence_length", "period", "prioritized", "priority_alpha", "priority_beta"}
    NETWORK = ReplayedConfig.NETWORK | {"dueling"}

    num_envs: Count = 16
    """Parallel environments."""
    buffer_size: Annotated[int, Range(1, 10**12)] = 100_000
    """Steps that the replay buffer holds, over all environments."""
    batch_size: Count = 32
    """Sequences per learning step."""
    burn_in: Annotated[int, Range(0, 1_000_000)] = 0
    """Steps of a sequence that only warm up the memory (the paper: 40)."""
    sequence_length: Annotated[int, Range(1, 1_000_000)] = 16
    """Steps of a sequence that are learned from (the paper: 80)."""
    period: Annotated[int, Range(1, 1_000_000)] = 8
    """Steps between the starts of two sequences (the paper: 40)."""
    updates_per_step: Annotated[int | float, Range(1e-6, 9999)] = 0.0625
    """Learning steps per environment step, any number above or below one."""
    learning_rate: Positive = 1e-3
    """Adam's step size at the start."""
    anneal: bool = True
    """Let the learning rate fall linearly to zero (the paper keeps it)."""
    n_step: Annotated[int, Range(1, 10_000)] = 5
    """Steps of the target."""
    target_period: Count = 200
    """Learning steps between copies into the target network."""
    epsilon_start: Share = 1.0
    """Exploration rate at the start."""
    epsilon_end: Share = 0.05
    """Exploration rate at the end of its schedule."""
    epsilon_steps: NotNegative = 25_000
    """Environment steps until the exploration rate is at its end."""
    double: bool = True
    """Choose the next action by the online network."""
    dueling: bool = True
    """Split the network into value and advantages."""
    rescale: bool = True
    """Learn the value in the scale h of the paper, which compresses large returns."""
    prioritized: bool = True
    """Draw sequences by 0.9 of their largest and 0.1 of their mean TD error."""
    priority_alpha: Share = 0.9
    """Exponent of the priorities: 0 is uniform."""
    priority_beta: Share = 0.6
    """Exponent of the importance weights at the start; 1 at the end."""
    max_grad_norm: Positive = 10.0
    """Bound on the gradient's global norm."""
    hidden: Widths = (64, 64)
    """Widths: one layer before the memory, the others after it."""
    activation: Literal["tanh", "relu", "silu", "gelu"] = "tanh"
    """Activation of the hidden layers."""
    memory: Literal["none", "gru"] = "gru"
    """Memory of the network; none makes it feed-forward DQN."""
    memory_width: Annotated[int, Range(1, 1_000_000)] = 64
    """Units of the memory."""

    def agent(self) -> "rl.agents.QLearning":
        """The agent alone."""
        return rl.agents.r2d2(config=self)

    def replay(self) -> "rl.replay.Buffer":
        """Sequences, overlapping if the period is shorter than they are, and n-step targets along them."""
        return rl.replay.Buffer(
            sampler=rl.replay.Prioritized(self.priority_alpha, self.priority_beta) if self.prioritized else rl.replay.Uniform(),
            transforms=rl.chain(rl.replay.n_step(self.n_step, self.gamma, collapse=False)),
            capacity=self.buffer_size,
            batch_size=self.batch_size,
            length=self.burn_in + self.sequence_length,
            period=self.period,
        )
