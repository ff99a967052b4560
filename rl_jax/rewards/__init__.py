"""Rewards that are learned: models that say how good a step is, and learn it from what experts or people have shown."""

from typing import TYPE_CHECKING

from rl_jax._lazy import lazy

if TYPE_CHECKING:
    from rl_jax.rewards.discriminator import Discriminator
    from rl_jax.rewards.discriminator_network import DiscriminatorNetwork
    from rl_jax.rewards.divergences import LeastSquares, Logistic
    from rl_jax.rewards.gradient_penalty import GradientPenalty
    from rl_jax.types import RewardModel

lazy(__name__)

__all__ = ["Discriminator", "DiscriminatorNetwork", "GradientPenalty", "LeastSquares", "Logistic", "RewardModel"]
