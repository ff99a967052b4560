"""Metrics that are reduced on the device: sums and weights, never a value per environment and step."""

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.ops import joined

#: What a row of metrics has besides those that parts report.
RESERVED = (
    *("steps", "seed", "run", "wall", "steps_per_second", "failed", "eval/return", "eval/unfinished"),
    *("eval/nonfinite", "nonfinite_update", "learn_calls"),
)


@struct.dataclass
class Means:
    """Weighted means in the making: ``sums[name] / weights[name]``; NaN where nothing was counted."""

    sums: dict[str, jax.Array]
    weights: dict[str, jax.Array]

    @classmethod
    def of(cls, values: dict[str, jax.Array], weights: dict[str, jax.Array] | None = None) -> "Means":
        """Means of single values, weight 1 unless said otherwise."""
        sums = {name: jnp.asarray(value, jnp.float32) for name, value in values.items()}
        unit_weight = jnp.ones((), jnp.float32)
        return cls(sums, {name: (weights or {}).get(name, unit_weight) for name in sums})

    @classmethod
    def zeros_like(cls, shape: "Means") -> "Means":
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shape)

    def __add__(self, other: "Means") -> "Means":
        return jax.tree.map(jnp.add, self, other)

    def __or__(self, other: "Means") -> "Means":
        """All means of the two.

        Raises:
            RLJaxError: two parts report under one name.
        """
        return Means(joined(self.sums, other.sums), {**self.weights, **other.weights})

    def finish(self) -> dict[str, jax.Array]:
        """The means, ``float32`` scalars by name; NaN where nothing was counted."""
        return {name: self.sums[name] / self.weights[name] for name in self.sums}

    def finite(self) -> jax.Array:
        """Whether every sum is finite."""
        return jnp.all(jnp.stack([jnp.isfinite(value) for value in self.sums.values()]))
