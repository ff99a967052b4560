"""Small action distributions: categorical, a product of categoricals, and a diagonal Gaussian.

Every distribution is a pytree whose arrays have leading batch axes ``[...]``; methods reduce over the action's own axes.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct


@struct.dataclass
class Categorical:
    """One of ``A`` choices; ``logits`` ``[..., A]``, actions ``int32 [...]``."""

    logits: jax.Array

    def sample(self, key: jax.Array) -> jax.Array:
        """Draw actions ``[...]``."""
        return jax.random.categorical(key, self.logits).astype(jnp.int32)

    def mode(self) -> jax.Array:
        """The most probable action ``[...]``."""
        return jnp.argmax(self.logits, axis=-1).astype(jnp.int32)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """Log-probability ``[...]``, in nats."""
        chosen = jax.nn.one_hot(action, self.logits.shape[-1], dtype=self.logits.dtype)
        return jnp.sum(jax.nn.log_softmax(self.logits) * chosen, axis=-1)

    def entropy(self) -> jax.Array:
        """Entropy ``[...]``, in nats."""
        log_p = jax.nn.log_softmax(self.logits)
        return -jnp.sum(jnp.exp(log_p) * log_p, axis=-1)

    def kl(self, other: "Categorical") -> jax.Array:
        """``KL(self || other)`` ``[...]``, in nats."""
        log_p, log_q = jax.nn.log_softmax(self.logits), jax.nn.log_softmax(other.logits)
        return jnp.sum(jnp.exp(log_p) * (log_p - log_q), axis=-1)


@struct.dataclass
class MultiCategorical:
    """Independent choices side by side; ``logits`` ``[..., sum(nvec)]``, actions ``int32 [..., len(nvec)]``."""

    logits: jax.Array
    nvec: tuple[int, ...] = struct.field(pytree_node=False)

    def _parts(self) -> list[Categorical]:
        cuts = np.cumsum(self.nvec)[:-1].tolist()
        return [Categorical(part) for part in jnp.split(self.logits, cuts, axis=-1)]

    def sample(self, key: jax.Array) -> jax.Array:
        """Draw actions ``[..., len(nvec)]``."""
        keys = jax.random.split(key, len(self.nvec))
        return jnp.stack([part.sample(keys[i]) for i, part in enumerate(self._parts())], axis=-1)

    def mode(self) -> jax.Array:
        """The most probable action ``[..., len(nvec)]``."""
        return jnp.stack([part.mode() for part in self._parts()], axis=-1)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """Joint log-probability ``[...]``, in nats."""
        return sum((p.log_prob(action[..., i]) for i, p in enumerate(self._parts())), start=jnp.zeros(()))

    def entropy(self) -> jax.Array:
        """Joint entropy ``[...]``, in nats."""
        return sum((p.entropy() for p in self._parts()), start=jnp.zeros(()))

    def kl(self, other: "MultiCategorical") -> jax.Array:
        """``KL(self || other)`` ``[...]``, in nats."""
        pairs = zip(self._parts(), other._parts(), strict=True)
        return sum((p.kl(q) for p, q in pairs), start=jnp.zeros(()))


@struct.dataclass
class DiagonalGaussian:
    """A Gaussian with diagonal covariance; ``mean`` and ``log_std`` ``[..., D]``, actions ``float [..., D]``.

    In unit coordinates: the environment clips to ``[-1, 1]`` and rescales, the log-probability stays that of the unclipped
    draw, so the ratio of two policies is exact. ``axes`` trailing axes are the action's own: 1 for a vector, 0 for a scalar.
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

    def entropy(self) -> jax.Array:
        """Differential entropy ``[...]``, in nats."""
        per_element = jnp.broadcast_to(self.log_std, self.mean.shape) + 0.5 * math.log(2 * math.pi * math.e)
        return self._sum(per_element)

    def kl(self, other: "DiagonalGaussian") -> jax.Array:
        """``KL(self || other)`` ``[...]``, in nats."""
        ratio = jnp.exp(2 * (self.log_std - other.log_std))
        shift = ((self.mean - other.mean) * jnp.exp(-other.log_std)) ** 2
        return 0.5 * self._sum(ratio + shift - 1 + 2 * (other.log_std - self.log_std))


Distribution = Categorical | MultiCategorical | DiagonalGaussian
