"""Memories: modules that take and return a carry, and start afresh where an episode begins."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rl_jax.networks.initializers import orthogonal
from rl_jax.networks.torsos import Dense


class NoMemory(nn.Module):
    """The feed-forward case: an empty carry ``()``, features pass unchanged."""

    @nn.nowrap
    def initial_carry(self, num_envs: int) -> tuple[()]:
        """The empty carry."""
        del num_envs
        return ()

    def __call__(self, carry: Any, x: jax.Array, first: jax.Array) -> tuple[Any, jax.Array]:
        del first
        return carry, x


class GRU(nn.Module):
    """Gated recurrent unit (Cho et al. 2014, with the reset gate after the recurrent product as in cuDNN).

    The three input projections of all ``T`` steps are one matrix product; only the recurrent one is scanned.
    """

    width: int = 128

    @nn.nowrap
    def initial_carry(self, num_envs: int) -> jax.Array:
        """Zeros ``[N, width]``."""
        return jnp.zeros((num_envs, self.width), jnp.float32)

    @nn.compact
    def __call__(self, carry: jax.Array, x: jax.Array, first: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Run over time.

        Args:
            carry: memory before the first step, ``[N, width]``.
            x: features ``[T, N, features]``.
            first: ``[T, N]``, where an episode begins and the memory is zeroed before the step.

        Returns:
            The memory after the last step ``[N, width]``, and all memories ``[T, N, width]``.
        """
        inputs = Dense(3 * self.width, scale=1.0, name="input")(x)

        def orthogonal_blocks(key: jax.Array, shape: tuple[int, int]) -> jax.Array:
            blocks = [orthogonal()(k, (shape[0], shape[0]), jnp.float32) for k in jax.random.split(key, 3)]
            return jnp.concatenate(blocks, axis=-1)

        kernel = self.param("recurrent", orthogonal_blocks, (self.width, 3 * self.width))
        bias = self.param("candidate_bias", nn.initializers.zeros, (self.width,), jnp.float32)

        def step(h: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            projected, start = now
            h = jnp.where(start[:, None], 0.0, h)
            x_reset, x_update, x_new = jnp.split(projected, 3, axis=-1)
            h_reset, h_update, h_new = jnp.split(h @ kernel, 3, axis=-1)
            update = nn.sigmoid(x_update + h_update)
            new = nn.tanh(x_new + nn.sigmoid(x_reset + h_reset) * (h_new + bias))
            h = (1.0 - update) * new + update * h
            return h, h

        return jax.lax.scan(step, carry, (inputs, first))
