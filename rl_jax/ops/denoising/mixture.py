"""Mixtures of Gaussians: data whose exact denoiser is known, to hold samplers and learned networks against."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.ops.denoising.ddpm import DDPM
from rl_jax.ops.denoising.edm import EDM
from rl_jax.ops.denoising.flow import Flow
from rl_jax.ops.denoising.process import Apply
from rl_jax.types import Key


@struct.dataclass
class Mixture:
    """``K`` round Gaussians in ``D`` dimensions.

    Attributes:
        means: ``[K, D]``.
        std: standard deviation of each, ``[K]``.
        weights: of each, ``[K]``, summing to one.
    """

    means: jax.Array
    std: jax.Array
    weights: jax.Array

    def draw(self, key: Key, num: int) -> jax.Array:
        """Items ``[num, D]``."""
        key_mode, key_noise = jax.random.split(key)
        mode = jax.random.categorical(key_mode, jnp.log(self.weights), shape=(num,))
        noise = jax.random.normal(key_noise, (num, self.means.shape[1]), jnp.float32)
        return jnp.asarray(self.means)[mode] + jnp.asarray(self.std)[mode, None] * noise

    def denoised(self, x: jax.Array, signal: jax.Array, spread: jax.Array) -> jax.Array:
        """The clean item expected, ``E[item | signal * item + spread * noise = x]``, ``[B, D]``, for ``x`` ``[B, D]``.

        Args:
            x: noisy items.
            signal, spread: of each, ``[B]``.
        """
        signal, spread = signal[:, None], spread[:, None]
        variance = (signal * self.std) ** 2 + spread**2  # [B, K]
        rest = x[:, None] - signal[..., None] * self.means  # [B, K, D]
        log_density = -0.5 * jnp.sum(rest**2, axis=-1) / variance - 0.5 * x.shape[1] * jnp.log(variance)
        share = jax.nn.softmax(jnp.log(self.weights) + log_density, axis=-1)
        gain = signal * self.std**2 / variance
        return jnp.sum(share[..., None] * (self.means + gain[..., None] * rest), axis=1)

    def network(self, process: Any) -> Apply:
        """The network that training by ``process`` would lead to, if it could represent anything.

        Args:
            process: an :class:`EDM`, a :class:`DDPM` or a :class:`Flow`.
        """
        if isinstance(process, EDM):
            return lambda x, time: self._edm(process, x, time)
        if isinstance(process, DDPM):
            return lambda x, time: self._ddpm(process, x, time)
        assert isinstance(process, Flow), process
        return lambda x, time: self._flow(process, x, time)

    def _edm(self, process: EDM, x: jax.Array, time: jax.Array) -> jax.Array:
        sigma, data = jnp.exp(4.0 * time), process.sigma_data
        total = jnp.sqrt(sigma**2 + data**2)[:, None]
        noisy = total * x
        clean = self.denoised(noisy, jnp.ones_like(sigma), sigma)
        return total * (clean - (data / total) ** 2 * noisy) / (sigma[:, None] * data)

    def _ddpm(self, process: DDPM, x: jax.Array, time: jax.Array) -> jax.Array:
        remaining = jnp.asarray(process.remaining(), jnp.float32)[jnp.round(time * process.length).astype(jnp.int32)]
        signal, spread = jnp.sqrt(remaining), jnp.sqrt(1.0 - remaining)
        return (x - signal[:, None] * self.denoised(x, signal, spread)) / spread[:, None]

    def _flow(self, process: Flow, x: jax.Array, time: jax.Array) -> jax.Array:
        kept = 1.0 - process.sigma_min
        spread = 1.0 - kept * time
        clean = self.denoised(x, time, spread)
        return clean - kept * (x - time[:, None] * clean) / spread[:, None]
