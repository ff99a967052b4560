"""Networks: flax.linen modules over time-major observations, and small action distributions."""

from rl_jax.networks.actor_critic import ActorCritic, Outputs, PolicyHead, actor_critic
from rl_jax.networks.distributions import Categorical, DiagonalGaussian, Distribution, MultiCategorical
from rl_jax.networks.initializers import orthogonal
from rl_jax.networks.memory import GRU, NoMemory
from rl_jax.networks.torsos import ACTIVATIONS, CNN, MLP, Conv, Dense, Identity, to_float, to_vector

__all__ = [
    "ACTIVATIONS",
    "CNN",
    "GRU",
    "MLP",
    "ActorCritic",
    "Categorical",
    "Conv",
    "Dense",
    "DiagonalGaussian",
    "Distribution",
    "Identity",
    "MultiCategorical",
    "NoMemory",
    "Outputs",
    "PolicyHead",
    "actor_critic",
    "orthogonal",
    "to_float",
    "to_vector",
]
