"""A2C: the synchronous advantage actor-critic."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import flax.linen as nn

from rl_jax.agents.checks import at_least, not_negative, positive, widths, within
from rl_jax.agents.policy_gradient import PolicyGradient
from rl_jax.experience import chain, gae, normalize_obs, normalize_reward
from rl_jax.loop import Trainer
from rl_jax.losses import LogPolicy, NegativeEntropy, SquaredValue
from rl_jax.networks import actor_critic
from rl_jax.types import Environment, Spec


def a2c(
    network: nn.Module | Callable[[Spec], nn.Module] = actor_critic,
    learning_rate: Any = 7e-4,
    value_weight: Any = 0.5,
    entropy_weight: Any = 0.01,
    max_grad_norm: Any = 0.5,
    anneal: bool = True,
) -> PolicyGradient:
    """Advantage actor-critic (Mnih et al. 2016, section 4 and Algorithm S3, all workers in step): one gradient per rollout.

    Needs an experience chain that ends in :func:`rl_jax.experience.gae`; ``lam=1`` gives the paper's n-step advantages.

    Args:
        network: a module or a function from :class:`~rl_jax.types.Spec` to one.
        learning_rate: RMSProp's; falls linearly to zero over the planned training if ``anneal``.
        value_weight, entropy_weight: weights of the value error and of the entropy.
        max_grad_norm: bound on the gradient's global norm.
    """
    return PolicyGradient(
        terms={"policy": LogPolicy(), "value": SquaredValue(), "entropy": NegativeEntropy()},
        weights={"policy": 1.0, "value": value_weight, "entropy": entropy_weight},
        learning_rate=learning_rate,
        max_grad_norm=max_grad_norm,
        network=network,
        epochs=1,
        minibatches=1,
        anneal=anneal,
        optimizer="rmsprop",
        name="A2C",
    )


@dataclass(frozen=True)
class A2CConfig:
    """A2C as one flat list of numbers."""

    num_envs: int = 64
    """Parallel environments."""
    rollout_length: int = 8
    """Steps of each environment per update."""
    learning_rate: float = 2e-3
    """RMSProp's step size at the start."""
    anneal: bool = True
    """Let the learning rate fall linearly to zero."""
    gamma: float = 0.99
    """Discount per step."""
    gae_lambda: float = 1.0
    """Mixes one-step (0) and Monte-Carlo (1) advantages."""
    entropy_weight: float = 0.01
    """Weight of the entropy bonus."""
    value_weight: float = 0.5
    """Weight of the value error."""
    max_grad_norm: float = 0.5
    """Bound on the gradient's global norm."""
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
        at_least(self, 1, "num_envs", "rollout_length", "memory_width")
        positive(self, "learning_rate", "max_grad_norm")
        within(self, 0, 1, "gamma", "gae_lambda")
        not_negative(self, "entropy_weight", "value_weight")
        widths(self)

    def trainer(self, env: Environment, **options: Any) -> Trainer:
        """The whole run; ``options`` are further arguments of :meth:`rl_jax.Trainer.create`."""
        self.check()
        network = partial(
            actor_critic,
            hidden=self.hidden,
            activation=self.activation,
            memory=self.memory,
            memory_width=self.memory_width,
        )
        scaling: list[Any] = [normalize_obs()] if self.normalize_obs else []
        scaling += [normalize_reward(self.gamma)] if self.normalize_reward else []
        agent = a2c(network, self.learning_rate, self.value_weight, self.entropy_weight, self.max_grad_norm, self.anneal)
        return Trainer.create(
            env=env,
            agent=agent,
            experience=chain(*scaling, gae(self.gamma, self.gae_lambda)),
            num_envs=self.num_envs,
            rollout_length=self.rollout_length,
            **options,
        )
