"""The network of a discriminator."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from rl_jax.errors import chosen
from rl_jax.networks.initializers import orthogonal
from rl_jax.networks.torsos import ACTIVATIONS, Dense
from rl_jax.ops.arrays.product import product


class SpectralDense(nn.Module):
    """A linear layer ``[B, D] -> [B, features]`` whose kernel is divided by its largest singular value.

    Miyato et al. 2018 (arXiv 1802.05957, Algorithm 1): the singular vectors are kept in the collection ``"singular"``, and one power
    iteration brings them up to date when the layer is called with ``iterate``; the value is differentiated, the vectors are not.
    (flax's ``SpectralNorm`` iterates in every call, also in those for rewards and for the gradient penalty.)
    """

    features: int

    @nn.compact
    def __call__(self, x: jax.Array, iterate: bool) -> jax.Array:
        kernel = self.param("kernel", orthogonal(2.0**0.5), (x.shape[-1], self.features), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        right = self.variable("singular", "right", lambda: _unit(jnp.ones((self.features,), jnp.float32)))
        left = self.variable("singular", "left", lambda: _unit(kernel @ right.value))
        if iterate:
            now = jax.lax.stop_gradient(kernel)
            left.value = _unit(now @ right.value)
            right.value = _unit(left.value @ now)
        largest = left.value @ kernel @ right.value
        return product(x, kernel) / jnp.maximum(largest, 1e-12) + bias


def _unit(x: jax.Array) -> jax.Array:
    return x / jnp.maximum(jnp.linalg.norm(x), 1e-12)


class DiscriminatorNetwork(nn.Module):
    """Steps as vectors ``[B, D]`` to one number each ``[B]``; without hidden layers it is linear.

    Attributes:
        hidden, activation: of the hidden layers.
        spectral_norm: of the hidden layers, see :class:`SpectralDense`. The last layer is free, as in the code of Blondé et al. 2020.
    """

    hidden: tuple[int, ...] = (64, 64)
    activation: str = "tanh"
    spectral_norm: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, iterate: bool = False) -> jax.Array:
        """``iterate``: bring the singular vectors up to date; needs ``mutable="singular"``."""
        activation = chosen("activation", self.activation, ACTIVATIONS)
        for width in self.hidden:
            x = activation(SpectralDense(width)(x, iterate) if self.spectral_norm else Dense(width)(x))
        return Dense(1, 0.01)(x)[..., 0]
