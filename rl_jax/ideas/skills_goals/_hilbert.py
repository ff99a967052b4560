"""HILP's embedding, and what is done with it: values, directions, midpoints."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rl_jax.networks.critics import Body
from rl_jax.networks.torsos import Dense
from rl_jax.replay.recorded.goals import observed_place
from rl_jax.spaces import ObsSpace
from rl_jax.types import PyTree, Spec


class _Embedding(nn.Module):
    body: nn.Module
    dim: int

    @nn.compact
    def __call__(self, place: Any) -> jax.Array:
        return Dense(self.dim, 1.0)(self.body(place))


class HilbertValues(nn.Module):
    """``V(s, g) = -|phi(s) - phi(g)|``, values ``[2, B]``: Euclidean distances of embeddings ``[2, B, dim]``, two of them.

    Attributes:
        body: places, as goals show them, to features.
        dim: of the embedding.
        reached: the place that an observation shows.
    """

    body: nn.Module
    dim: int
    reached: Callable[[PyTree], jax.Array] = observed_place

    def setup(self) -> None:
        ensemble = nn.vmap(_Embedding, variable_axes={"params": 0}, split_rngs={"params": True}, in_axes=0, axis_size=2)
        self.phi = ensemble(self.body, self.dim)

    def embed(self, place: Any) -> jax.Array:
        """``phi`` ``[2, B, dim]`` of places ``[B, ...]``."""
        return self.phi(jnp.broadcast_to(place, (2, *place.shape)))

    def __call__(self, obs: Any) -> jax.Array:
        square = jnp.sum((self.embed(self.reached(obs)) - self.embed(obs["goal"])) ** 2, axis=-1)
        return -jnp.sqrt(jnp.maximum(square, 1e-6))


def hilbert_values(
    spec: Spec,
    dim: int,
    reached: Callable[[PyTree], jax.Array],
    hidden: tuple[int, ...],
    activation: str,
    dtype: str,
    layer_norm: bool,
) -> HilbertValues:
    """The usual Hilbert values."""
    space: ObsSpace = spec.obs_space["goal"]  # type: ignore[index]
    return HilbertValues(Body(space, hidden, activation, dtype, layer_norm), dim, reached)


def direction(start: jax.Array, end: jax.Array) -> jax.Array:
    """The unit vectors ``[..., D]`` from ``start`` to ``end``; zeros where they are one."""
    way = end - start
    return way * jax.lax.rsqrt(jnp.sum(way**2, axis=-1, keepdims=True) + 1e-12)


def reward_direction(phi: jax.Array, next_phi: jax.Array, reward: jax.Array) -> jax.Array:
    """The unit direction ``[D]`` along which rewards ``[B]`` grow: their least squares on ``next_phi - phi`` ``[B, D]``."""
    way = next_phi - phi
    z = jnp.linalg.lstsq(way, reward)[0]
    return direction(jnp.zeros_like(z), z)


def midpoint(start: jax.Array, end: jax.Array, places: jax.Array, neighbours: int) -> jax.Array:
    """Midpoints ``[B, D]``: the mean of the ``neighbours`` places ``[M, D]`` whose larger distance to both ends is smallest."""

    def distance(x: jax.Array) -> jax.Array:
        return jnp.sqrt(jnp.sum((x[:, None] - places) ** 2, axis=-1))

    larger = jnp.maximum(distance(start), distance(end))
    chosen = jax.lax.top_k(-larger, neighbours)[1]
    return jnp.mean(places[chosen], axis=1)
