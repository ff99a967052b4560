"""Noisy layers: exploration by noise on the weights."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp


class NoisyDense(nn.Module):
    """A linear layer whose weights are ``mu + sigma * noise``, with factorised Gaussian noise.

    Fortunato et al. 2018, "Noisy Networks for Exploration", eqs. 10 and 11, with the initialisation of section 3.2. The noise
    comes from flax's stream ``"noise"``, one draw per application (shared by all rows of it); without that stream the layer
    uses ``mu`` alone.

    Attributes:
        features: outputs.
        sigma: initial size of the noise, ``sigma_0`` of the paper.
    """

    features: int
    sigma: float = 0.5

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        *lead, size = x.shape
        bound = 1.0 / math.sqrt(size)

        def spread(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
            return jax.random.uniform(key, shape, jnp.float32, -bound, bound)

        def constant(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
            return jnp.full(shape, self.sigma * bound, jnp.float32)

        kernel = self.param("kernel", spread, (size, self.features))
        bias = self.param("bias", spread, (self.features,))
        kernel_sigma = self.param("kernel_sigma", constant, (size, self.features))
        bias_sigma = self.param("bias_sigma", constant, (self.features,))
        if self.has_rng("noise") and not self.is_initializing():
            noise = jax.random.normal(self.make_rng("noise"), (size + self.features,))
            noise = jnp.sign(noise) * jnp.sqrt(jnp.abs(noise))
            into, out = noise[:size], noise[size:]
            kernel = kernel + kernel_sigma * into[:, None] * out
            bias = bias + bias_sigma * out
        flat = x.reshape(math.prod(lead), size) @ kernel + bias
        return flat.reshape(*lead, self.features)
