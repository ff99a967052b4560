"""What agents that learn from a replay buffer share."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import rl_jax as rl
from rl_jax.agents.configs.base import AgentConfig, OptimizerName
from rl_jax.values import Count, CountOrZero, Positive, Range, Share, Widths


@dataclass(frozen=True)
class ReplayedConfig(AgentConfig):
    """An agent that learns from a replay buffer, by default single steps drawn uniformly. Subclasses add the agent and its numbers.

    Where a default is not the paper's, the field says so. Most such are for small tasks: narrow networks, which take larger steps,
    and few steps until learning starts. For the papers' tasks take the papers' numbers.
    """

    RUN = AgentConfig.RUN | {"buffer_size", "batch_size", "updates_per_step", "learning_starts", "gamma", "n_step"}

    num_envs: Count = 8
    """Parallel environments (the papers: one; the accelerator has room for more)."""
    rollout_length: Count = 1
    """Steps of each environment between two visits to the replay buffer."""
    buffer_size: Annotated[int, Range(1, 10**12)] = 1_000_000
    """Transitions that the replay buffer holds, over all environments."""
    batch_size: Count = 128
    """Transitions per learning step (DQN: 32; DDPG: 64; TD3: 100; SAC: 256)."""
    updates_per_step: Annotated[int | float, Range(1e-6, 9999)] = 1
    """Learning steps per environment step, any number above or below one."""
    learning_starts: CountOrZero = 1_000
    """Environment steps before the first learning step (DQN: 50 000; TD3: 1000 or 10 000, by task)."""
    learning_rate: Positive = 1e-3
    """Step size (SAC: 3e-4, for its wider networks)."""
    optimizer: OptimizerName = "adam"
    """What makes steps of gradients (SAC, TD3, DDPG, Rainbow: adam; DQN: rmsprop)."""
    gamma: Share = 0.99
    """Discount per step."""
    n_step: Annotated[int, Range(1, 10_000)] = 1
    """Steps whose rewards a target sums."""
    hidden: Widths = (64, 64)
    """Widths of the hidden layers (SAC: 256 256; TD3 and DDPG: 400 300; small tasks need no more than this)."""
    activation: Literal["tanh", "relu", "silu", "gelu"] = "relu"
    """Activation of the hidden layers."""
    torso_dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of the hidden layers' arithmetic; parameters, heads, memory and losses stay float32."""

    def layers(self) -> dict[str, Any]:
        """What all functions that make networks are told about the hidden layers."""
        return {"hidden": self.hidden, "activation": self.activation, "dtype": self.torso_dtype}

    def replay(self) -> "rl.replay.Buffer":
        """The buffer, the way of drawing from it, and the batch transforms."""
        return rl.replay.Buffer(
            transforms=rl.chain(rl.replay.n_step(self.n_step, self.gamma)),
            capacity=self.buffer_size,
            batch_size=self.batch_size,
            length=self.n_step,
        )

    def trainer(self, env: "rl.types.Environment", **options: Any) -> "rl.Trainer":
        """The whole run; ``options`` are further arguments of :meth:`rl_jax.Trainer.create`."""
        self.check()
        return rl.Trainer.create(
            env=env,
            agent=self.agent(),
            replay=self.replay(),
            updates=rl.loop.PerStep(self.updates_per_step, self.learning_starts),
            num_envs=self.num_envs,
            rollout_length=self.rollout_length,
            **options,
        )


@dataclass(frozen=True)
class ActorCriticConfig(ReplayedConfig):
    """An actor-critic that learns from a replay buffer, with slow copies of its networks."""

    random_steps: CountOrZero = 1_000
    """Environment steps that are uniformly random at first (TD3: 1000 or 10 000, by task)."""
    tau: Share = 0.005
    """Share of the way that slow copies move per learning step."""
