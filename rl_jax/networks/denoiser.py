"""Denoisers: networks that see noisy items, how noisy they are, and conditions; see :mod:`rl_jax.ops.denoising`."""

import math
from statistics import NormalDist
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.errors import chosen
from rl_jax.networks.torsos import ACTIVATIONS, Dense, LayerNorm, torso
from rl_jax.spaces import Box, ObsSpace, check_supported, seen_by_actor
from rl_jax.types import Key, Spec


def fourier_frequencies(num: int) -> np.ndarray:
    """``2 pi`` times the sizes of standard normal frequencies, as in Tancik et al. 2020 (arXiv 2006.10739).

    Not random ones but their quantiles, so that all networks have the same.
    """
    return 2.0 * math.pi * np.asarray([NormalDist().inv_cdf(0.5 + (i + 0.5) / (2 * num)) for i in range(num)])


def sinusoidal_frequencies(num: int) -> np.ndarray:
    """From 1000 down to 0.1, evenly in the logarithm: those of Vaswani et al. 2017 (arXiv 1706.03762), of times in thousandths."""
    return 1000.0 * 10_000.0 ** -np.linspace(0.0, 1.0, num)


#: By name.
FREQUENCIES = {"fourier": fourier_frequencies, "sinusoidal": sinusoidal_frequencies}


class Denoiser(nn.Module):
    """A residual MLP: noisy items ``[B, *shape]`` to as many numbers.

    As the denoiser of SynthER (Lu et al. 2023, arXiv 2303.06614) it maps what it is given to ``width`` features, on which ``blocks`` of
    ``h + Dense(activation(h))`` follow, and a last layer, which begins at zero. Features of the time pass no layers of their own: it
    saves a quarter of the time on a CPU. What is made of observations and conditions does not depend on item and time, and is
    computed once for all steps of a sampler (XLA takes it out of the loop).

    Attributes:
        shape: of an item, such as ``(D,)``, or ``(H, D)`` of a chunk of ``H`` actions.
        space: of the observations, or ``None`` if there are none.
        condition_space: of what may be left out, such as a goal, or ``None``.
        width, blocks, activation: of the residual MLP.
        normalize: layer normalisation before each activation (Ba et al. 2016).
        time_features: ``"fourier"`` or ``"sinusoidal"``.
        frequencies: how many of them; each gives a sine and a cosine.
        dtype: in which the layers compute; the result is ``float32``.
    """

    shape: tuple[int, ...]
    space: ObsSpace | None = None
    condition_space: ObsSpace | None = None
    width: int = 64
    blocks: int = 3
    activation: str = "relu"
    normalize: bool = False
    time_features: str = "fourier"
    frequencies: int = 8
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, x: jax.Array, time: jax.Array, obs: Any = None, condition: Any = None, keep: jax.Array | bool = True
    ) -> jax.Array:
        """What the network says of noisy items.

        Args:
            x: ``[B, *shape]``.
            time: how noisy they are, as :class:`~rl_jax.ops.denoising.Targets` has it, ``[B]``.
            obs: observations ``[B, ...]``, if the network has a space of them.
            condition: conditions ``[B, ...]``, if the network has a space of them.
            keep: which conditions are read, ``bool [B]`` or one for all; in place of the others stands a learned vector.

        Returns:
            ``float32 [B, *shape]``.
        """
        activation = chosen("activation", self.activation, ACTIVATIONS)
        frequencies = chosen("time features", self.time_features, FREQUENCIES)(self.frequencies)
        angles = time[:, None] * jnp.asarray(frequencies, jnp.float32)
        noisy = jnp.concatenate([x.reshape(x.shape[0], -1), time[:, None], jnp.sin(angles), jnp.cos(angles)], axis=-1)
        h = Dense(self.width, dtype=self.dtype, name="item")(noisy)
        if self.space is not None:
            features = torso(self.space, "obs_torso", dtype=self.dtype)(obs)
            h = h + Dense(self.width, dtype=self.dtype, name="obs")(features)
        if self.condition_space is not None:
            features = torso(self.condition_space, "condition_torso", dtype=self.dtype)(condition)
            read = Dense(self.width, dtype=self.dtype, name="condition")(features)
            nothing = self.param("no_condition", nn.initializers.zeros, (self.width,), jnp.float32).astype(self.dtype)
            h = h + jnp.where(jnp.asarray(keep)[..., None], read, nothing)
        for i in range(self.blocks):
            y = LayerNorm(name=f"norm_{i}")(h) if self.normalize else h
            h = h + Dense(self.width, dtype=self.dtype, name=f"block_{i}")(activation(y))
        y = LayerNorm(name="norm")(h) if self.normalize else h
        output = Dense(math.prod(self.shape), 0.0, self.dtype, name="output")(activation(y))
        return output.astype(jnp.float32).reshape(x.shape)


def keep_condition(key: Key, num: int, dropout: Any) -> jax.Array:
    """Which of ``num`` conditions a network is trained with, ``bool [num]``: each is left out with probability ``dropout``."""
    return jax.random.bernoulli(key, 1.0 - dropout, (num,))


def denoiser(
    spec: Spec,
    width: int = 64,
    blocks: int = 3,
    activation: str = "relu",
    normalize: bool = False,
    condition_space: ObsSpace | None = None,
    dtype: str = "float32",
) -> Denoiser:
    """The usual denoiser of actions, or of chunks of actions if these are the spaces of ``spec``, given observations.

    Raises:
        UnsupportedSpace: actions are no real numbers.
    """
    check_supported("a denoiser", spec.action_space, (Box,))
    space = seen_by_actor(spec.obs_space)
    return Denoiser(spec.action_space.shape, space, condition_space, width, blocks, activation, normalize, dtype=dtype)
