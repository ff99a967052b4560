"""What a discriminator minimises on experts' and learners' steps, and what rewards are made of its output ``f``."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.types import Key


@runtime_checkable
class Divergence(Protocol):
    """Losses of a discriminator's outputs ``f`` ``[B]``, one for each step."""

    def expert(self, f: jax.Array, key: Key) -> jax.Array: ...

    def learner(self, f: jax.Array) -> jax.Array: ...


@struct.dataclass
class Logistic:
    """Cross-entropy with ``D = sigmoid(f)``, the probability of being the expert's (Goodfellow et al. 2014, eq. 1; GAIL, eq. 14).

    At the optimum ``f`` is the logarithm of the ratio of the expert's and the learner's densities.

    Attributes:
        labels: between which the expert's label is drawn uniformly; ``None``: it is 1. Salimans et al. 2016 (arXiv 1606.03498,
            section 3.4) smooth this side alone. A label above 1 is allowed: Blondé et al. 2020 take 0.7 and 1.2.
        entropy_weight: of the entropy of ``D``, which is added (Ho & Ermon's code and Blondé et al.: 0.001).
    """

    labels: tuple[Any, Any] | None = None
    entropy_weight: Any = 0.0

    def expert(self, f: jax.Array, key: Key) -> jax.Array:
        label: Any = 1.0
        if self.labels is not None:
            low, high = self.labels
            label = low + (high - low) * jax.lax.optimization_barrier(jax.random.uniform(key, f.shape, jnp.float32))
        return jax.nn.softplus(f) - label * f - self.entropy_weight * entropy(f)

    def learner(self, f: jax.Array) -> jax.Array:
        return jax.nn.softplus(f) - self.entropy_weight * entropy(f)


def entropy(f: jax.Array) -> jax.Array:
    """Of a choice between two with the log-odds ``f``, in nats."""
    return jax.nn.softplus(f) - f * jax.nn.sigmoid(f)


@struct.dataclass
class LeastSquares:
    """``(f - 1)^2`` for the expert's and ``(f + 1)^2`` for the learner's steps (Mao et al. 2017; Peng et al. 2021, AMP, eq. 6).

    At the optimum ``f`` is the difference of the densities over their sum, between -1 and 1.
    """

    def expert(self, f: jax.Array, key: Key) -> jax.Array:
        return jnp.square(f - 1.0)

    def learner(self, f: jax.Array) -> jax.Array:
        return jnp.square(f + 1.0)


#: Rewards of a discriminator's output ``f``, the log-odds of the expert where the loss is :class:`Logistic`.
#: ``gail``: ``-log(1 - D)``, never negative (Ho & Ermon 2016). ``airl``: ``log D - log(1 - D)``, which is ``f`` itself (Fu et al. 2018;
#: DAC, section 4.1). ``probability``: ``D``. ``least-squares``: ``max(0, 1 - (f - 1)^2 / 4)`` (AMP, eq. 7).
REWARDS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gail": jax.nn.softplus,
    "airl": lambda f: f,
    "probability": jax.nn.sigmoid,
    "least-squares": lambda f: jnp.maximum(0.0, 1.0 - 0.25 * jnp.square(f - 1.0)),
}
