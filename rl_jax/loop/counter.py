"""An exact counter beyond 2^32, and the random streams that are derived from it."""

import jax
import jax.numpy as jnp
from flax import struct

# The streams of one train step. A stream's number is part of every run's reproducibility: append, never renumber.
COLLECT, EXPERIENCE, CURRICULUM, REPLAY, LEARN, UPDATES, PREPARE, STARTS, BETWEEN = range(9)
# The streams of a run, far from all other numbers that are folded in.
INIT, TRAIN, EVALUATE = (2**31 + i for i in range(3))
# And of runs of one seed that follow one another: plus the run's number.
PHASES = 2**30


@struct.dataclass
class Counter:
    """A 64-bit count as two ``uint32`` words, since jax has no 64-bit integers by default."""

    high: jax.Array
    low: jax.Array

    @classmethod
    def zero(cls) -> "Counter":
        return cls(jnp.zeros((), jnp.uint32), jnp.zeros((), jnp.uint32))

    def next(self) -> "Counter":
        """The count plus 1."""
        low = self.low + jnp.uint32(1)
        return Counter(self.high + (low == 0).astype(jnp.uint32), low)

    def as_float(self) -> jax.Array:
        """``float32``, for ratios only."""
        return self.high.astype(jnp.float32) * jnp.float32(2**32) + self.low.astype(jnp.float32)

    def key(self, key: jax.Array) -> jax.Array:
        """The key of this count: the same whether or not the run was stopped in between."""
        return jax.random.fold_in(jax.random.fold_in(key, self.high), self.low)

    def to_int(self) -> int:
        """On the host, the exact Python integer (of a scalar counter)."""
        return (int(self.high) << 32) + int(self.low)
