"""Numbers of PPO, A2C and MDPO: policy gradients with a learned value, on fresh rollouts."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import rl_jax as rl
from rl_jax.agents.configs.base import AgentConfig, OptimizerName
from rl_jax.values import Count, NotNegative, Positive, Range, Share, Widths


@dataclass(frozen=True)
class OnPolicyConfig(AgentConfig):
    """A policy gradient with a learned value, on fresh rollouts. Subclasses add the agent and its numbers.

    Where a default is not the paper's, the field says so: most are for many environments side by side and small tasks.
    """

    RUN = AgentConfig.RUN | {"gamma", "gae_lambda", "normalize_obs", "normalize_reward"}

    num_envs: Count = 64
    """Parallel environments (PPO: 1 for MuJoCo, 8 for Atari)."""
    rollout_length: Count = 32
    """Steps of each environment per update (PPO: 2048 for MuJoCo, 128 for Atari; with many environments fewer do)."""
    learning_rate: Positive = 1e-3
    """Step size at the start (PPO: 3e-4 for MuJoCo, 2.5e-4 for Atari)."""
    optimizer: OptimizerName = "adam"
    """What makes steps of gradients."""
    anneal: bool = True
    """Let the learning rate fall linearly to zero."""
    gamma: Share = 0.99
    """Discount per step."""
    gae_lambda: Share = 0.95
    """Mixes one-step (0) and Monte-Carlo (1) advantages."""
    entropy_weight: NotNegative = 0.01
    """Weight of the entropy bonus (PPO: 0.01 for Atari, none for MuJoCo)."""
    value_weight: NotNegative = 0.5
    """Weight of the value error, which is half the square (PPO: 1 on the whole square; its code: 0.5 on the half)."""
    max_grad_norm: Positive = 0.5
    """Bound on the gradient's global norm (of the published code)."""
    normalize_obs: bool = True
    """Normalise observations by running statistics (as the published code does for MuJoCo)."""
    normalize_reward: bool = True
    """Divide rewards by the running spread of returns (as the published code does for MuJoCo)."""
    hidden: Widths = (64, 64)
    """Widths of the hidden layers."""
    activation: Literal["tanh", "relu", "silu", "gelu"] = "tanh"
    """Activation of the hidden layers."""
    torso_dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of the hidden layers' arithmetic; parameters, heads, memory and losses stay float32."""
    memory: Literal["none", "gru", "transformer"] = "none"
    """Memory between torso and heads."""
    memory_width: Annotated[int, Range(1, 1_000_000)] = 128
    """Units of the memory."""

    def layers(self) -> dict[str, Any]:
        """What functions that make networks are told about the hidden layers and the memory."""
        layers = {"hidden": self.hidden, "activation": self.activation, "dtype": self.torso_dtype}
        return {**layers, "memory": self.memory, "memory_width": self.memory_width}

    def experience(self) -> "rl.experience.Chain":
        """The chain that it learns from: normalisation if asked, then GAE."""
        scaling: list[Any] = [rl.experience.normalize_obs()] if self.normalize_obs else []
        scaling += [rl.experience.normalize_reward(self.gamma)] if self.normalize_reward else []
        return rl.chain(*scaling, rl.experience.gae(self.gamma, self.gae_lambda))

    def trainer(self, env: "rl.types.Environment", **options: Any) -> "rl.Trainer":
        """The whole run; ``options`` are further arguments of :meth:`rl_jax.Trainer.create`."""
        self.check()
        return rl.Trainer.create(
            env=env,
            agent=self.agent(),
            experience=self.experience(),
            num_envs=self.num_envs,
            rollout_length=self.rollout_length,
            **options,
        )


@dataclass(frozen=True)
class PPOConfig(OnPolicyConfig):
    """PPO as one flat list of numbers, for the command line and for configuration files."""

    epochs: Annotated[int, Range(1, 10_000)] = 4
    """Passes over a rollout (the paper: 10 for MuJoCo, 3 for Atari)."""
    minibatches: Count = 4
    """Pieces per pass; must divide the rollout (a recurrent agent's: the environments). (The paper: pieces of 64 or 256 steps.)"""
    clip_epsilon: Positive = 0.2
    """Half-width of the probability ratio's interval (the paper: 0.2; 0.1 for Atari)."""
    value_clip_epsilon: Positive | None = None
    """Clip the value's change to this (in units of scaled return); none: the plain squared error, as in the
    paper (its code clips to 0.2)."""
    standardize_advantage: Literal["minibatch", "batch", "none"] = "minibatch"
    """Where advantages are brought to mean 0 and standard deviation 1."""

    def experience(self) -> "rl.experience.Chain":
        """The chain that PPO learns from: normalisation if asked, then GAE."""
        batch = self.standardize_advantage == "batch"
        return rl.chain(super().experience(), rl.experience.standardize_advantage()) if batch else super().experience()

    def agent(self) -> "rl.agents.PolicyGradient":
        """The agent alone."""
        return rl.agents.ppo(config=self)


@dataclass(frozen=True)
class A2CConfig(OnPolicyConfig):
    """A2C as one flat list of numbers."""

    rollout_length: Count = 8
    """Steps of each environment per update (the paper: 5)."""
    learning_rate: Positive = 2e-3
    """Step size at the start (the paper draws it from 1e-4 to 1e-2; baselines: 7e-4)."""
    optimizer: OptimizerName = "rmsprop"
    """What makes steps of gradients."""
    gae_lambda: Share = 1.0
    """Mixes one-step (0) and Monte-Carlo (1) advantages."""

    def agent(self) -> "rl.agents.PolicyGradient":
        """The agent alone."""
        return rl.agents.a2c(config=self)


@dataclass(frozen=True)
class MDPOConfig(OnPolicyConfig):
    """On-policy MDPO as one flat list of numbers."""

    epochs: Annotated[int, Range(1, 10_000)] = 10
    """Passes over a rollout."""
    minibatches: Count = 1
    """Pieces per pass; must divide the rollout (a recurrent agent's: the environments)."""
    step_size: Positive = 1.0
    """Mirror descent's step size: how far the policy may move per update."""
    anneal_step_size: bool = True
    """Let the step size fall linearly to zero."""
    entropy_weight: NotNegative = 0.0
    """Weight of the entropy bonus."""

    def agent(self) -> "rl.agents.PolicyGradient":
        """The agent alone."""
        return rl.agents.mdpo(config=self)
