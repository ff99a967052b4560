"""Small action distributions: categorical, a product of categoricals, and a diagonal Gaussian.

Every distribution is a pytree whose arrays have leading batch axes ``[...]``; methods reduce over the action's own axes.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.masks import by_part, mask_of, usable

#: Bounds of a learned Gaussian's log standard deviation, in unit coordinates: those of the published code of SAC, which clips, where
#: :func:`rl_jax.ops.within` lets it come back. A deviation that nothing depends on would otherwise grow under an entropy bonus until it
#: overflows.
LOG_STD = (-20.0, 2.0)


def supported(logits: jax.Array) -> jax.Array:
    """The logits ``[..., A]``; where all of a row are minus infinity (a mask at an episode's end, say) all are allowed instead."""
    return jnp.where(jnp.max(logits, axis=-1, keepdims=True) == -jnp.inf, 0.0, logits)


def log_probabilities(logits: jax.Array) -> jax.Array:
    """Log-probabilities ``[..., A]``, in nats; a logit of minus infinity forbids a choice."""
    return jax.nn.log_softmax(supported(logits))


def mean_under(log_p: jax.Array, x: jax.Array) -> jax.Array:
    """The mean ``[...]`` of ``x`` ``[..., A]`` under probabilities ``exp(log_p)`` ``[..., A]``.

    What has no probability adds nothing, whatever ``x`` is there: selected before the product, so that neither the value nor the
    gradient multiplies zero by infinity.
    """
    return jnp.sum(jnp.exp(log_p) * jnp.where(log_p > -jnp.inf, x, 0.0), axis=-1)


@struct.dataclass
class Categorical:
    """One of ``A`` choices; ``logits`` ``[..., A]``, actions ``int32 [...]``.

    A logit of minus infinity forbids a choice: it has no probability and adds nothing to entropy, divergence or gradient.
    """

    logits: jax.Array

    def masked(self, mask: jax.Array) -> "Categorical":
        """The same among the choices that ``mask`` ``bool [..., A]`` allows."""
        return Categorical(jnp.where(usable(mask), self.logits, -jnp.inf))

    def sample(self, key: jax.Array) -> jax.Array:
        """Draw actions ``int32 [...]``."""
        return jax.random.categorical(key, supported(self.logits)).astype(jnp.int32)

    def mode(self) -> jax.Array:
        """The most probable action ``[...]``."""
        return jnp.argmax(self.logits, axis=-1).astype(jnp.int32)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """Log-probability ``[...]``, in nats; minus infinity of a forbidden choice, and of what is none of the ``A``."""
        chosen = action[..., None] == jnp.arange(self.logits.shape[-1])
        log_p = jnp.sum(jnp.where(chosen, log_probabilities(self.logits), 0.0), axis=-1)
        return jnp.where(jnp.any(chosen, axis=-1), log_p, -jnp.inf)

    def entropy(self) -> jax.Array:
        """Entropy ``[...]``, in nats."""
        log_p = log_probabilities(self.logits)
        return -mean_under(log_p, log_p)

    def kl(self, other: "Categorical") -> jax.Array:
        """``KL(self || other)`` ``[...]``, in nats; infinite where ``other`` forbids what ``self`` does."""
        log_p, log_q = log_probabilities(self.logits), log_probabilities(other.logits)
        possible = log_p > -jnp.inf
        return mean_under(log_p, jnp.where(possible, log_p, 0.0) - jnp.where(possible, log_q, 0.0))


@struct.dataclass
class MultiCategorical:
    """Independent choices side by side; ``logits`` ``[..., sum(nvec)]``, actions ``int32 [..., len(nvec)]``.

    Computed as one batch of categoricals, each filled up with forbidden choices to the largest: what is compiled does not grow
    with the number of parts.
    """

    logits: jax.Array
    nvec: tuple[int, ...] = struct.field(pytree_node=False)

    @property
    def parts(self) -> Categorical:
        """One categorical per part, ``[..., len(nvec)]``."""
        return Categorical(by_part(self.logits, self.nvec, -jnp.inf))

    def masked(self, mask: jax.Array) -> "MultiCategorical":
        """The same among the choices that ``mask`` ``bool [..., sum(nvec)]`` allows."""
        return MultiCategorical(jnp.where(usable(mask, self.nvec), self.logits, -jnp.inf), self.nvec)

    def sample(self, key: jax.Array) -> jax.Array:
        """Draw actions ``[..., len(nvec)]``."""
        keys = jax.random.split(key, len(self.nvec))
        return jax.vmap(lambda key, part: part.sample(key), in_axes=(0, -2), out_axes=-1)(keys, self.parts)

    def mode(self) -> jax.Array:
        """The most probable action ``[..., len(nvec)]``."""
        return self.parts.mode()

    def log_prob(self, action: jax.Array) -> jax.Array:
        """Joint log-probability ``[...]``, in nats."""
        return jnp.sum(self.parts.log_prob(action), axis=-1)

    def entropies(self) -> jax.Array:
        """The entropy of each part ``[..., len(nvec)]``, in nats."""
        return self.parts.entropy()

    def entropy(self) -> jax.Array:
        """Joint entropy ``[...]``, in nats."""
        return jnp.sum(self.entropies(), axis=-1)

    def kl(self, other: "MultiCategorical") -> jax.Array:
        """``KL(self || other)`` ``[...]``, in nats."""
        return jnp.sum(self.parts.kl(other.parts), axis=-1)


@struct.dataclass
class DiagonalGaussian:
    """A Gaussian with diagonal covariance; ``mean`` and ``log_std`` ``[..., D]``, actions ``float [..., D]``.

    In unit coordinates: the loop maps them to the environment's bounds (:mod:`rl_jax.action_map`), the log-probability stays that
    of the draw, so the ratio of two policies is exact. ``axes`` trailing axes are the action's own: 1 for a vector, 0 for a scalar.
    """

    mean: jax.Array
    log_std: jax.Array
    axes: int = struct.field(pytree_node=False, default=1)

    def _sum(self, x: jax.Array) -> jax.Array:
        return jnp.sum(x, axis=tuple(range(-self.axes, 0)))

    def sample(self, key: jax.Array) -> jax.Array:
        """Draw actions ``[..., D]``."""
        return self.mean + jnp.exp(self.log_std) * jax.random.normal(key, self.mean.shape, self.mean.dtype)

    def mode(self) -> jax.Array:
        """The mean ``[..., D]``."""
        return self.mean

    def log_prob(self, action: jax.Array) -> jax.Array:
        """Log-density ``[...]``, in nats."""
        z = (action - self.mean) * jnp.exp(-self.log_std)
        return -self._sum(0.5 * z**2 + self.log_std + 0.5 * math.log(2 * math.pi))

    def entropies(self) -> jax.Array:
        """The differential entropy of each element ``[..., D]``, in nats."""
        return jnp.broadcast_to(self.log_std, self.mean.shape) + 0.5 * math.log(2 * math.pi * math.e)

    def entropy(self) -> jax.Array:
        """Differential entropy ``[...]``, in nats."""
        return self._sum(self.entropies())

    def kl(self, other: "DiagonalGaussian") -> jax.Array:
        """``KL(self || other)`` ``[...]``, in nats."""
        ratio = jnp.exp(2 * (self.log_std - other.log_std))
        shift = ((self.mean - other.mean) * jnp.exp(-other.log_std)) ** 2
        return 0.5 * self._sum(ratio + shift - 1 + 2 * (other.log_std - self.log_std))


Distribution = Categorical | MultiCategorical | DiagonalGaussian


def masked(policy: Any, obs: Any) -> Any:
    """A policy on ``obs`` without the choices that these forbid; what is no choice passes unchanged, for it has no mask."""
    mask = mask_of(obs)
    return policy if mask is None else policy.masked(mask)
