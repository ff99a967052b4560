"""How steep a discriminator may be."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.types import Key


def gradient_norm(f: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """The Euclidean norm ``[B]`` of the gradient of ``f`` (``[B, D] -> [B]``, row by row) at each row of ``x``; differentiable at 0."""
    # Rows do not mix: the gradient of the sum is that of every row.
    square = jnp.sum(jnp.square(jax.grad(lambda x: jnp.sum(f(x)))(x)), axis=-1)
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)


@struct.dataclass
class GradientPenalty:
    """``weight * mean((|grad f(x)| - target)^2)`` at random points between an expert's and a learner's step.

    Gulrajani et al. 2017 (WGAN-GP, arXiv 1704.00028, eq. 3), as DAC has it: 10 and 1, two-sided.

    Attributes:
        weight: of the penalty.
        target: the norm that is asked for.
        one_sided: only larger norms are penalised, ``max(0, |grad f| - target)^2`` (Blondé et al. 2020, arXiv 2006.16785, section 5).
    """

    weight: Any = 10.0
    target: Any = 1.0
    one_sided: bool = struct.field(pytree_node=False, default=False)

    def __call__(self, f: Callable[[jax.Array], jax.Array], expert: jax.Array, learner: jax.Array, key: Key) -> jax.Array:
        """The penalty ``[]`` of ``f`` (``[B, D] -> [B]``), for an expert's and a learner's steps ``[B, D]``."""
        # Drawn once, and not again in every operation that uses it.
        share = jax.lax.optimization_barrier(jax.random.uniform(key, (expert.shape[0], 1), jnp.float32))
        excess = gradient_norm(f, share * expert + (1.0 - share) * learner) - self.target
        return self.weight * jnp.mean(jnp.square(jnp.maximum(excess, 0.0) if self.one_sided else excess))
