"""The tanh-Gaussian: a diagonal Gaussian squashed into the open unit cube."""

import math

import jax
import jax.numpy as jnp
from flax import struct

#: Actions are kept this far from the bounds before the squashing is undone: the last float32 below 1 is 6e-8 away.
_EDGE = 1e-6


@struct.dataclass
class TanhGaussian:
    """``tanh(u)`` with ``u`` from a diagonal Gaussian; ``mean`` and ``log_std`` ``[..., D]`` are those of ``u``.

    Haarnoja et al. 2018 ("Soft Actor-Critic Algorithms and Applications"), appendix C. Actions ``float [..., D]`` lie in
    ``[-1, 1]``. There is no ``entropy``: it has no closed form, and ``-log_prob`` of a sample estimates it without bias.
    ``axes`` trailing axes are the action's own: 1 for a vector, 0 for a scalar.
    """

    mean: jax.Array
    log_std: jax.Array
    axes: int = struct.field(pytree_node=False, default=1)

    def _sum(self, x: jax.Array) -> jax.Array:
        return jnp.sum(x, axis=tuple(range(-self.axes, 0)))

    def unsquashed(self, noise: jax.Array) -> jax.Array:
        """``u`` ``[..., D]`` from standard normal ``noise`` of the same shape."""
        return self.mean + jnp.exp(self.log_std) * noise

    def log_prob_unsquashed(self, u: jax.Array) -> jax.Array:
        """Log-density ``[...]`` of the *action* ``tanh(u)``, in nats: exact however close the action is to a bound.

        The density of ``u`` divided by ``1 - tanh(u)^2``, whose logarithm is ``2 (log 2 - u - softplus(-2u))``.
        """
        z = (u - self.mean) * jnp.exp(-self.log_std)
        gaussian = -0.5 * z**2 - self.log_std - 0.5 * math.log(2 * math.pi)
        return self._sum(gaussian - 2.0 * (math.log(2.0) - u - jax.nn.softplus(-2.0 * u)))

    def sample_and_log_prob(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Draw actions ``[..., D]``; with their log-densities ``[...]``, in nats."""
        u = self.unsquashed(jax.random.normal(key, self.mean.shape, self.mean.dtype))
        return jnp.tanh(u), self.log_prob_unsquashed(u)

    def sample(self, key: jax.Array) -> jax.Array:
        """Draw actions ``[..., D]``."""
        return self.sample_and_log_prob(key)[0]

    def mode(self) -> jax.Array:
        """The squashed mean ``[..., D]``, which is what the field calls the mode (it is the median of every element)."""
        return jnp.tanh(self.mean)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """Log-density ``[...]`` of given actions, in nats. Prefer :meth:`log_prob_unsquashed` where ``u`` is known."""
        return self.log_prob_unsquashed(jnp.arctanh(jnp.clip(action, -1.0 + _EDGE, 1.0 - _EDGE)))
