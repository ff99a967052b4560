"""Networks: flax.linen modules over time-major observations, and small action distributions."""

from rl_jax.networks.actor_critic import ActorCritic, Outputs, PolicyHead, actor_critic
from rl_jax.networks.distributions import Categorical, DiagonalGaussian, Distribution, MultiCategorical
from rl_jax.networks.memory import GRU, NoMemory
from rl_jax.networks.torsos import ACTIVATIONS, CNN, MLP, Conv, Identity, to_float, to_vector

__all__ = [
    "ACTIVATIONS",
    "CNN",
    "GRU",
    "MLP",
    "ActorCritic",
    "Categorical",
    "Conv",
    "DiagonalGaussian",
    "Distribution",
    "Identity",
    "MultiCategorical",
    "NoMemory",
    "Outputs",
    "PolicyHead",
    "actor_critic",
    "to_float",
    "to_vector",
]
