"""Recurrent memories: modules that take and return a carry, and reset it where an episode begins."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from rl_jax.networks.initializers import orthogonal
from rl_jax.networks.torsos import Dense
from rl_jax.ops.arrays.product import product


class NoMemory(nn.Module):
    """The feed-forward case: an empty carry ``()``, features pass unchanged."""

    @nn.nowrap
    def initial_carry(self, num_envs: int) -> tuple[()]:
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
        """Zeros ``float32 [N, width]``."""
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

        return gru(kernel, bias, carry, inputs, first)


class Gates(NamedTuple):
    """The values at each step, ``[..., width]`` each: the memory before it, both gates, the candidate, and its recurrent part."""

    previous: jax.Array
    reset: jax.Array
    update: jax.Array
    new: jax.Array
    recurrent: jax.Array


def _steps(
    kernel: jax.Array, bias: jax.Array, carry: jax.Array, inputs: jax.Array, first: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, Gates]]:
    def step(h: jax.Array, x: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, tuple[jax.Array, Gates]]:
        projected, start = x
        h = jnp.where(start[:, None], 0.0, h)
        x_reset, x_update, x_new = jnp.split(projected, 3, axis=-1)
        h_reset, h_update, h_new = jnp.split(h @ kernel, 3, axis=-1)
        reset, update, recurrent = nn.sigmoid(x_reset + h_reset), nn.sigmoid(x_update + h_update), h_new + bias
        new = nn.tanh(x_new + reset * recurrent)
        next_h = (1.0 - update) * new + update * h
        return next_h, (next_h, Gates(h, reset, update, new, recurrent))

    return jax.lax.scan(step, carry, (inputs, first))


@jax.custom_jvp
def gru(
    kernel: jax.Array, bias: jax.Array, carry: jax.Array, inputs: jax.Array, first: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The recurrence of :class:`GRU`, with a derivative that computes outside of the scan all that is not recurrent.

    The derivative of a scan computes the gradient of ``kernel`` at each step and adds it up: one small product and a pass over
    the whole kernel per step. Given all memories, it is a single product over time and environments; so are all factors of
    the chain rule but the recurrent one.

    Args:
        kernel, bias: ``[width, 3 width]`` for reset gate, update gate and candidate, and ``[width]``.
        carry, inputs, first: ``[N, width]``, ``[T, N, 3 width]`` and ``[T, N]``.

    Returns:
        The memory after the last step, and all memories ``[T, N, width]``.
    """
    last, (memories, _) = _steps(kernel, bias, carry, inputs, first)
    return last, memories


@gru.defjvp
def _derivative(primals: tuple, tangents: tuple) -> tuple:
    kernel, first = primals[0], primals[4]
    d_kernel, d_bias, d_carry, d_inputs, _ = tangents
    last, (memories, gates) = _steps(*primals)
    previous, reset, update, new, recurrent = gates
    slope = (1.0 - update) * (1.0 - new**2)
    by_reset, by_update, by_new = (
        slope * recurrent * reset * (1.0 - reset),
        update * (1.0 - update) * (previous - new),
        slope * reset,
    )
    flat = previous.reshape(-1, previous.shape[-1])
    of_kernel = jnp.split(product(flat, d_kernel).reshape(d_inputs.shape), 3, axis=-1)
    of_inputs = jnp.split(d_inputs, 3, axis=-1)
    drive = by_reset * (of_inputs[0] + of_kernel[0]) + by_update * (of_inputs[1] + of_kernel[1])
    drive = drive + slope * of_inputs[2] + by_new * (of_kernel[2] + d_bias)

    def step(d_h: jax.Array, x: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
        drive, keep, factors, start = x
        d_h = jnp.where(start[:, None], 0.0, d_h)
        parts = jnp.split(factors * (d_h @ kernel), 3, axis=-1)
        d_h = drive + keep * d_h + parts[0] + parts[1] + parts[2]
        return d_h, d_h

    factors = jnp.concatenate([by_reset, by_update, by_new], axis=-1)
    return (last, memories), jax.lax.scan(step, d_carry, (drive, update, factors, first))
