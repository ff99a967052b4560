"""Networks of streaming agents: sparse at first, with normalised layers, and small. Feed-forward; actor and critic share nothing.

Elsayed et al. 2024, "Streaming Deep Reinforcement Learning Finally Works" (arXiv 2410.14606), section 3: layer normalisation that
learns nothing before each leaky ReLU, and sparse first weights in every layer, the last one included.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rl_jax.networks.distributions import LOG_STD, Categorical, DiagonalGaussian, Distribution, MultiCategorical
from rl_jax.networks.initializers import sparse
from rl_jax.networks.q_network import QOutputs
from rl_jax.networks.torsos import Conv, Dense, LayerNorm, is_image, to_float, to_vector
from rl_jax.ops import within
from rl_jax.spaces import Discrete, MultiDiscrete, ObsSpace, Space, leaves, seen_by_actor, seen_by_critic
from rl_jax.types import Spec

#: Where the number behind a standard deviation stops: far below, the deviation would be zero and its gradient infinite.
LEAST = -20.0


class StreamBody(nn.Module):
    """Observations ``[..., obs]`` to as many numbers as are asked for ``[..., outputs]``.

    Vectors pass through layers of the given widths. Image-like observations (three axes) pass through 16 filters of 3x3, normalised
    over all places and filters together, and one layer of 128, as in the published code for MinAtar. The parts of a dictionary are
    joined, images after their filters, and pass through the layers.

    Attributes:
        space: of the observations.
        hidden: widths of the layers.
        sparsity: share of first weights that are zero; see :func:`~rl_jax.networks.sparse`.
        normalize: layer normalisation before each activation.
    """

    space: ObsSpace
    hidden: tuple[int, ...] = (128, 128)
    sparsity: float = 0.9
    normalize: bool = True

    @nn.compact
    def __call__(self, obs: Any, outputs: int) -> jax.Array:
        first = sparse(self.sparsity)

        def activated(x: jax.Array) -> jax.Array:
            return nn.leaky_relu(LayerNorm(1e-5, affine=False)(x) if self.normalize else x)

        def features(space: Space, obs: jax.Array) -> jax.Array:
            if not is_image(space):
                return to_vector(obs, space)
            x = Conv(16, kernel_init=first)(to_float(obs, space))
            return activated(x.reshape(*x.shape[:-3], -1))

        parts = [features(part, x) for _, part, x in leaves(seen_by_critic(self.space), obs)]
        x = parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=-1)
        for width in (128,) if is_image(self.space) else self.hidden:
            x = activated(Dense(width, kernel_init=first)(x))
        return Dense(outputs, kernel_init=first)(x)


class StreamValue(nn.Module):
    """State values ``[...]`` of observations."""

    body: StreamBody

    @nn.compact
    def __call__(self, obs: Any) -> jax.Array:
        return self.body(obs, 1)[..., 0]


class StreamQNetwork(nn.Module):
    """Action values: ``(carry, obs [T, N, ...], first [T, N]) -> (carry, QOutputs)``, without memory."""

    body: StreamBody
    actions: int

    @nn.compact
    def __call__(self, carry: Any, obs: Any, first: jax.Array) -> tuple[Any, QOutputs]:
        q = self.body(obs, self.actions)
        return carry, QOutputs(q[..., None], q)

    @nn.nowrap
    def initial_carry(self, num_envs: int) -> tuple[()]:
        return ()


class StreamActor(nn.Module):
    """Observations to a policy; in a box, mean *and* deviation (a softplus) depend on the observation."""

    body: StreamBody
    action_space: Space

    @nn.compact
    def __call__(self, obs: Any) -> Distribution:
        space = self.action_space
        if isinstance(space, Discrete):
            return Categorical(self.body(obs, space.n))
        if isinstance(space, MultiDiscrete):
            return MultiCategorical(self.body(obs, sum(space.nvec)), space.nvec)
        mean, deviation = jnp.split(self.body(obs, 2 * math.prod(space.shape)), 2, axis=-1)
        shape = (*mean.shape[:-1], *space.shape)
        log_std = within(jnp.log(nn.softplus(jnp.maximum(deviation, LEAST))), *LOG_STD)
        return DiagonalGaussian(mean.reshape(shape), log_std.reshape(shape), len(space.shape))


def stream_body(spec: Spec, hidden: tuple[int, ...] = (128, 128), sparsity: float = 0.9, normalize: bool = True) -> StreamBody:
    """The network that all streaming agents use, without its meaning; as what acts reads observations."""
    return StreamBody(seen_by_actor(spec.obs_space), hidden, sparsity, normalize)


def stream_value(spec: Spec, **options: Any) -> StreamValue:
    """The usual critic; ``options`` are those of :func:`stream_body`."""
    return StreamValue(stream_body(spec, **options).clone(space=seen_by_critic(spec.obs_space)))


def stream_q_network(spec: Spec, atoms: int = 1, **options: Any) -> StreamQNetwork:
    """The usual Q-network; ``options`` are those of :func:`stream_body`, and there is one number per action."""
    return StreamQNetwork(stream_body(spec, **options), spec.action_space.n)  # type: ignore[union-attr]


def stream_actor(spec: Spec, **options: Any) -> StreamActor:
    """The usual policy; ``options`` are those of :func:`stream_body`."""
    return StreamActor(stream_body(spec, **options), spec.action_space)
