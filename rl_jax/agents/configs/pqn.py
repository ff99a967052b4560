"""Numbers of PQN."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import rl_jax as rl
from rl_jax.agents.configs.base import AgentConfig, OptimizerName
from rl_jax.values import Count, NotNegative, Positive, Range, Share, Widths


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
