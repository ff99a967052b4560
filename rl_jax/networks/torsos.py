"""Torsos: observations to features. Any leading axes; ``space`` says which trailing axes are the observation's own."""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.errors import UnsupportedSpace
from rl_jax.networks.initializers import orthogonal
from rl_jax.ops.arrays.product import product
from rl_jax.spaces import Box, Dict, Discrete, MultiDiscrete, ObsSpace, Space, leaves, seen_by_critic

Activation = Callable[[jax.Array], jax.Array]
ACTIVATIONS: dict[str, Activation] = {"tanh": nn.tanh, "relu": nn.relu, "silu": nn.silu, "gelu": nn.gelu}


def to_float(obs: jax.Array, space: Space) -> jax.Array:
    """Observations as floats: one-hot for (multi-)discrete spaces, bounds to ``[0, 1]`` for ``uint8``, otherwise a cast."""
    if isinstance(space, Discrete):
        return jax.nn.one_hot(obs, space.n, dtype=jnp.float32)
    if isinstance(space, MultiDiscrete):
        part = np.repeat(np.arange(len(space.nvec)), space.nvec)
        choice = np.concatenate([np.arange(n) for n in space.nvec])
        return (obs[..., part] == choice).astype(jnp.float32)
    x = obs.astype(jnp.float32)
    if obs.dtype != jnp.uint8:
        return x
    low, high = np.maximum(space.low, 0.0), np.minimum(space.high, 255.0)
    if np.ptp(low) == np.ptp(high) == 0:
        return (x - low[0]) / max(high[0] - low[0], 1.0) if low[0] else x / max(high[0], 1.0)
    low, width = (side.astype(np.float32).reshape(space.shape) for side in (low, np.maximum(high - low, 1.0)))
    return (x - low) / width


def is_image(space: ObsSpace) -> bool:
    """Whether observations are images, for a convolution: three axes ``[H, W, C]``, no side below its kernel of 3.

    All others are flattened to vectors, of any rank.
    """
    return isinstance(space, Box) and len(space.shape) == 3 and min(space.shape[:2]) >= 3


def to_vector(obs: Any, space: ObsSpace) -> jax.Array:
    """Observations as float vectors ``[..., features]``; of a dictionary the parts that ``space`` has but the mask, joined in order."""
    if isinstance(space, Dict):
        return jnp.concatenate([to_vector(x, part) for _, part, x in leaves(seen_by_critic(space), obs)], axis=-1)
    x = to_float(obs, space)
    lead = obs.ndim - len(space.shape)
    return x.reshape(*x.shape[:lead], -1)


class Dense(nn.Module):
    """A linear layer over any leading axes, with orthogonal initialisation (Saxe et al. 2014) or another, and zero bias.

    The product is taken over *one* flat leading axis: with several, the gradient of the kernel contracts several axes at once,
    which XLA's CPU backend does not hand to its fast matrix product (2.2 times slower for ``[1, 2048, 64]``).

    Attributes:
        features: outputs.
        scale: of the initial kernel.
        dtype: in which it computes, and of what it returns; parameters are ``float32``.
        kernel_init: another initialiser ``(key, (inputs, features), dtype)``; then ``scale`` is not used.
    """

    features: int
    scale: float = math.sqrt(2)
    dtype: str = "float32"
    kernel_init: Callable[..., jax.Array] | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        *lead, size = x.shape
        initial = self.kernel_init or orthogonal(self.scale)
        kernel = self.param("kernel", initial, (size, self.features), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        flat = product(x.reshape(math.prod(lead), size).astype(self.dtype), kernel.astype(self.dtype)) + bias.astype(self.dtype)
        return flat.reshape(*lead, self.features)


class LayerNorm(nn.Module):
    """Layer normalisation over the last axis (Ba et al. 2016).

    Over *one* flat leading axis, as in :class:`Dense`: with a second one, even of length 1, XLA's CPU backend takes ten times as
    long for the sums of the gradient.

    Attributes:
        epsilon: added to the variance.
        affine: learn a scale and an offset per feature.
    """

    epsilon: float = 1e-6
    affine: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        # The fast variance is a difference of two large numbers: far from zero nothing of it is right.
        norm = nn.LayerNorm(
            self.epsilon, x.dtype, use_bias=self.affine, use_scale=self.affine, use_fast_variance=False, name="norm"
        )
        return norm(x.reshape(-1, x.shape[-1])).reshape(x.shape)


class Identity(nn.Module):
    """Observations as vectors, without parameters."""

    space: ObsSpace

    @nn.compact
    def __call__(self, obs: Any) -> jax.Array:
        return to_vector(obs, self.space)


class MLP(nn.Module):
    """Hidden layers of the given widths, each followed by the activation: ``[..., features] -> [..., widths[-1]]``.

    Attributes:
        widths: of the layers.
        activation: after each.
        normalize: layer normalisation before each activation (Ba et al. 2016).
        dtype: in which the layers compute; the result is ``float32``, as parameters are.
    """

    widths: tuple[int, ...] = (64, 64)
    activation: Activation = nn.tanh
    normalize: bool = False
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for width in self.widths:
            x = Dense(width, dtype=self.dtype)(x)
            x = self.activation(LayerNorm()(x) if self.normalize else x)
        return x.astype(jnp.float32)


class Conv(nn.Module):
    """A valid convolution written as one matrix product over patches: ``[..., H, W, C] -> [..., H', W', features]``.

    A convolution whose kernels are vmapped (over seeds) becomes a grouped convolution, which XLA's CPU backend runs in a
    naive loop, as it does all convolutions within loops; a batched matrix product stays fast everywhere. Patches of the sizes
    used here are cheap to gather.

    Raises:
        UnsupportedSpace: a side is shorter than the kernel.

    Attributes:
        features: filters.
        size, stride: of the square kernel.
        dtype: in which it computes.
        kernel_init: as of :class:`Dense`; its inputs are those of one patch.
    """

    features: int
    size: int = 3
    stride: int = 1
    dtype: str = "float32"
    kernel_init: Callable[..., jax.Array] | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        height, width = x.shape[-3:-1]
        if min(height, width) < self.size:
            raise UnsupportedSpace(
                f"a convolution with a kernel of {self.size} has no place on {height} x {width}: use fewer or smaller ones, or an MLP"
            )
        rows = (height - self.size) // self.stride + 1
        columns = (width - self.size) // self.stride + 1
        patches = [
            x[..., i : i + self.stride * (rows - 1) + 1 : self.stride, j : j + self.stride * (columns - 1) + 1 : self.stride, :]
            for i in range(self.size)
            for j in range(self.size)
        ]
        return Dense(self.features, dtype=self.dtype, kernel_init=self.kernel_init)(jnp.concatenate(patches, axis=-1))


class CNN(nn.Module):
    """The MinAtar network (Young & Tian 2019): one 3x3 convolution of 16 filters, then a layer of 128, both ReLU.

    Attributes:
        space: of the observations.
        filters: of each convolution.
        width: of the last layer; ``None`` leaves it out and gives the flat convolution.
        normalize: layer normalisation before each activation.
        dtype: in which the layers compute; the result is ``float32``, as parameters are.
    """

    space: Space
    filters: tuple[int, ...] = (16,)
    width: int | None = 128
    normalize: bool = False
    dtype: str = "float32"

    @nn.compact
    def __call__(self, obs: jax.Array) -> jax.Array:
        x = to_float(obs, self.space).astype(self.dtype)
        for features in self.filters:
            x = Conv(features, dtype=self.dtype)(x)
            x = nn.relu(LayerNorm()(x) if self.normalize else x)
        x = x.reshape(*x.shape[:-3], -1)
        if self.width is not None:
            x = Dense(self.width, dtype=self.dtype)(x)
            x = nn.relu(LayerNorm()(x) if self.normalize else x)
        return x.astype(jnp.float32)


class Encoder(nn.Module):
    """A dictionary of observations to features ``[..., features]``: each part by :func:`torso`, joined in order of their names.

    Attributes:
        space: of the parts that are read; the mask is not, nor are others of the observation.
        width, normalize, dtype: of :class:`CNN`, for parts that are images.
    """

    space: Dict
    width: int | None = 128
    normalize: bool = False
    dtype: str = "float32"

    @nn.compact
    def __call__(self, obs: Any) -> jax.Array:
        options = {"width": self.width, "normalize": self.normalize, "dtype": self.dtype}
        return jnp.concatenate(
            [torso(part, name.replace("/", "_"), **options)(x) for name, part, x in leaves(seen_by_critic(self.space), obs)],
            axis=-1,
        )


def torso(space: ObsSpace, name: str | None = None, **options: Any) -> nn.Module:
    """What makes features of observations: a :class:`CNN` of images, an :class:`Encoder` of dictionaries, vectors of all others.

    Args:
        space: of the observations.
        name: of the module, within another.
        options: of :class:`CNN`.
    """
    if isinstance(space, Dict):
        return Encoder(space, name=name, **options)
    return CNN(space, name=name, **options) if is_image(space) else Identity(space, name=name)
