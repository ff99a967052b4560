"""PPO: proximal policy optimisation, feed-forward and recurrent."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import flax.linen as nn

from rl_jax.agents.checks import at_least, not_negative, positive, widths, within
from rl_jax.agents.policy_gradient import PolicyGradient
from rl_jax.errors import RLJaxError
from rl_jax.experience import Chain, chain, gae, normalize_obs, normalize_reward, standardize_advantage
from rl_jax.loop import Trainer
from rl_jax.losses import ClippedPolicy, ClippedValue, KLDiagnostic, NegativeEntropy, SquaredValue
from rl_jax.networks import actor_critic
from rl_jax.types import Environment, Spec


def ppo(
    network: nn.Module | Callable[[Spec], nn.Module] = actor_critic,
    learning_rate: Any = 1e-3,
    clip_epsilon: Any = 0.2,
    value_weight: Any = 0.5,
    entropy_weight: Any = 0.01,
    max_grad_norm: Any = 0.5,
    value_clip_epsilon: Any = None,
    epochs: int = 4,
    minibatches: int = 4,
    anneal: bool = True,
    standardize: bool = True,
) -> PolicyGradient:
    """Proximal policy optimisation (Schulman et al. 2017, eq. 9), with the details of its published code.

    Needs an experience chain that ends in :func:`rl_jax.experience.gae`.

    Args:
        network: a module or a function from :class:`~rl_jax.types.Spec` to one; a remembering network makes PPO recurrent.
        learning_rate: Adam's; falls linearly to zero over the planned training if ``anneal``.
        clip_epsilon: half-width of the probability ratio's interval.
        value_weight, entropy_weight: weights of the value error and of the entropy.
        max_grad_norm: bound on the gradient's global norm.
        value_clip_epsilon: clip the value's change too; ``None`` for the plain squared error.
        epochs, minibatches: passes over a rollout, and pieces per pass.
        standardize: standardise advantages within each minibatch.
    """
    value = SquaredValue() if value_clip_epsilon is None else ClippedValue(value_clip_epsilon)
    return PolicyGradient(
        terms={
            "policy": ClippedPolicy(clip_epsilon, standardize),
            "value": value,
            "entropy": NegativeEntropy(),
            "kl": KLDiagnostic(),
        },
        weights={"policy": 1.0, "value": value_weight, "entropy": entropy_weight, "kl": 0.0},
        learning_rate=learning_rate,
        max_grad_norm=max_grad_norm,
        network=network,
        epochs=epochs,
        minibatches=minibatches,
        anneal=anneal,
        name="PPO",
    )


@dataclass(frozen=True)
class PPOConfig:
    """PPO as one flat list of numbers, for the command line and for configuration files."""

    num_envs: int = 64
    """Parallel environments."""
    rollout_length: int = 32
    """Steps of each environment per update."""
    epochs: int = 4
    """Passes over a rollout."""
    minibatches: int = 4
    """Pieces per pass; must divide the rollout (a recurrent agent's: the environments)."""
    learning_rate: float = 1e-3
    """Adam's step size at the start."""
    anneal: bool = True
    """Let the learning rate fall linearly to zero."""
    gamma: float = 0.99
    """Discount per step."""
    gae_lambda: float = 0.95
    """Mixes one-step (0) and Monte-Carlo (1) advantages."""
    clip_epsilon: float = 0.2
    """Half-width of the probability ratio's interval."""
    entropy_weight: float = 0.01
    """Weight of the entropy bonus."""
    value_weight: float = 0.5
    """Weight of the value error."""
    value_clip_epsilon: float | None = None
    """Clip the value's change to this (in units of scaled return); none: the plain squared error."""
    max_grad_norm: float = 0.5
    """Bound on the gradient's global norm."""
    standardize_advantage: Literal["minibatch", "batch", "none"] = "minibatch"
    """Where advantages are brought to mean 0 and standard deviation 1."""
    normalize_obs: bool = True
    """Normalise observations by running statistics."""
    normalize_reward: bool = True
    """Divide rewards by the running spread of returns."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers."""
    activation: Literal["tanh", "relu", "silu", "gelu"] = "tanh"
    """Activation of the hidden layers."""
    memory: Literal["none", "gru"] = "none"
    """Memory between torso and heads."""
    memory_width: int = 128
    """Units of the memory."""

    def check(self) -> None:
        """Refuse numbers that cannot be.

        Raises:
            RLJaxError: with the option's name and the values it takes.
        """
        at_least(self, 1, "num_envs", "rollout_length", "epochs", "minibatches", "memory_width")
        positive(self, "learning_rate", "clip_epsilon", "max_grad_norm")
        within(self, 0, 1, "gamma", "gae_lambda")
        not_negative(self, "entropy_weight", "value_weight")
        if self.value_clip_epsilon is not None and not self.value_clip_epsilon > 0:
            raise RLJaxError(f"--value-clip-epsilon must be positive or none, not {self.value_clip_epsilon}")
        widths(self)

    def experience(self) -> Chain:
        """The chain that PPO learns from: normalisation if asked, then GAE."""
        transforms: list[Any] = []
        if self.normalize_obs:
            transforms.append(normalize_obs())
        if self.normalize_reward:
            transforms.append(normalize_reward(self.gamma))
        transforms.append(gae(self.gamma, self.gae_lambda))
        if self.standardize_advantage == "batch":
            transforms.append(standardize_advantage())
        return chain(*transforms)

    def agent(self) -> PolicyGradient:
        """The agent alone."""
        return ppo(
            network=partial(
                actor_critic,
                hidden=self.hidden,
                activation=self.activation,
                memory=self.memory,
                memory_width=self.memory_width,
            ),
            learning_rate=self.learning_rate,
            clip_epsilon=self.clip_epsilon,
            value_weight=self.value_weight,
            entropy_weight=self.entropy_weight,
            max_grad_norm=self.max_grad_norm,
            value_clip_epsilon=self.value_clip_epsilon,
            epochs=self.epochs,
            minibatches=self.minibatches,
            anneal=self.anneal,
            standardize=self.standardize_advantage == "minibatch",
        )

    def trainer(self, env: Environment, **options: Any) -> Trainer:
        """The whole run; ``options`` are further arguments of :meth:`rl_jax.Trainer.create`."""
        self.check()
        return Trainer.create(
            env=env,
            agent=self.agent(),
            experience=self.experience(),
            num_envs=self.num_envs,
            rollout_length=self.rollout_length,
            **options,
        )
