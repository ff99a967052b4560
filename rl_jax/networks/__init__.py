"""Networks: flax.linen modules over time-major observations, and small action distributions."""

from typing import TYPE_CHECKING

from rl_jax._lazy import lazy

if TYPE_CHECKING:
    from rl_jax.networks.activations import activations
    from rl_jax.networks.actor_critic import ActorCritic, Outputs, PolicyHead, actor_critic
    from rl_jax.networks.distributions import Categorical, DiagonalGaussian, Distribution, MultiCategorical
    from rl_jax.networks.initializers import orthogonal, sparse
    from rl_jax.networks.memory.history import History, WithHistory
    from rl_jax.networks.memory.recurrent import GRU, NoMemory
    from rl_jax.networks.memory.transformer import Cache, Transformer
    from rl_jax.networks.noisy import NoisyDense
    from rl_jax.networks.q_network import QNetwork, QOutputs, q_network
    from rl_jax.networks.torsos import ACTIVATIONS, CNN, MLP, Conv, Dense, Identity, to_float, to_vector

lazy(__name__)

__all__ = [
    "ACTIVATIONS",
    "CNN",
    "GRU",
    "MLP",
    "ActorCritic",
    "Cache",
    "Categorical",
    "Conv",
    "Dense",
    "DiagonalGaussian",
    "Distribution",
    "History",
    "Identity",
    "MultiCategorical",
    "NoMemory",
    "NoisyDense",
    "Outputs",
    "PolicyHead",
    "QNetwork",
    "QOutputs",
    "Transformer",
    "WithHistory",
    "activations",
    "actor_critic",
    "orthogonal",
    "q_network",
    "sparse",
    "to_float",
    "to_vector",
]
