"""A tree of sums, for drawing items with probabilities proportional to their values."""

import jax
import jax.numpy as jnp
from flax import struct

#: Children per node: few enough to add up in registers, many enough to keep the tree flat (2^20 leaves: seven levels). Measured
#: on a CPU, 256 draws among 2^20 leaves take 29 us with 2 children per node, 17 us with 8, 22 us with 16, 230 us with 64.
FAN_OUT = 8

_COLUMNS = jax.lax.GatherDimensionNumbers(offset_dims=(0,), collapsed_slice_dims=(0,), start_index_map=(0,))


def children(level: jax.Array, parents: jax.Array) -> jax.Array:
    """The children ``[FAN_OUT, B]`` of nodes ``[B]``; ``level`` is the flat level below these nodes.

    Children come first, so that sums over them are sums of long vectors.
    """
    rows = level.reshape(-1, FAN_OUT)
    mode = jax.lax.GatherScatterMode.PROMISE_IN_BOUNDS
    return jax.lax.gather(rows, parents[:, None], _COLUMNS, (1, FAN_OUT), mode=mode)


def sums_before(values: jax.Array) -> jax.Array:
    """``[W + 1, B]`` from ``[W, B]``: before each item the sum of the items above it, and at last the sum of all."""
    sums = [jnp.zeros_like(values[0])]
    for value in values:
        sums.append(sums[-1] + value)
    return jnp.stack(sums)


def pick(values: jax.Array, before: jax.Array, target: jax.Array) -> jax.Array:
    """On which item ``[B]`` of ``values`` ``[W, B]`` a ``target`` ``[B]`` below their sum falls: a positive one, if there is any.

    ``before`` is :func:`sums_before` of the values. That rounding can move a target onto its neighbour, but never onto a
    zero, is the reason for asking for positive values here.
    """
    number = jnp.arange(values.shape[0], dtype=jnp.int32)[:, None]
    return jnp.max(jnp.where((values > 0) & (before[:-1] <= target), number, 0), axis=0)


def depend_on(block: jax.Array, sums: jax.Array) -> jax.Array:
    """``block``, with a data dependency on the ``sums`` ``[rows, ...]`` of its rows.

    The block is written back into the level that it was read from. If the compiler could sum the rows after that write, it would
    copy the level first. The sums are never negative, which the compiler does not know.
    """
    return jnp.where(jnp.all(sums < 0), 0, block)


@struct.dataclass
class SumTree:
    """Non-negative ``float32`` values (the leaves) and the sums of every 8 of them, of every 8 of these, and so on.

    A parent is always computed anew as the sum of its children, so nothing drifts however often leaves are set. All methods
    work in place where the tree is donated or carried by a loop.

    Attributes:
        levels: flat arrays, the leaves first, each padded with zeros to a multiple of 8; the last has 8 entries.
    """

    levels: tuple[jax.Array, ...]

    @classmethod
    def zeros(cls, size: int) -> "SumTree":
        """A tree of ``size`` zeros."""
        levels = []
        while True:
            rows = -(-size // FAN_OUT)
            levels.append(jnp.zeros((rows * FAN_OUT,), jnp.float32))
            if rows <= 1:
                return cls(tuple(levels))
            size = rows

    @classmethod
    def of(cls, values: jax.Array) -> "SumTree":
        """A tree over ``values`` ``[n]``."""
        return cls.zeros(values.shape[0]).set_range(0, values)

    @property
    def leaves(self) -> jax.Array:
        """The values, and zeros up to a multiple of 8."""
        return self.levels[0]

    @property
    def total(self) -> jax.Array:
        """The sum of all values."""
        return jnp.sum(self.levels[-1])

    def get(self, indices: jax.Array) -> jax.Array:
        """The values ``[B]`` at ``indices`` ``[B]``."""
        return self.leaves.at[indices].get(mode="promise_in_bounds")

    def get_range(self, start: jax.Array | int, number: int) -> jax.Array:
        """The ``number`` values from ``start`` on."""
        return jax.lax.dynamic_slice_in_dim(self.leaves, start, number)

    def set(self, indices: jax.Array, values: jax.Array) -> "SumTree":
        """With other values ``[B]`` at ``indices`` ``[B]``; of several for one index the largest counts, on every device."""
        levels = list(self.levels)
        values = values.astype(jnp.float32)
        # Zeros that depend on the new values: these often come from reading the old ones, and had the compiler the choice of
        # writing before that, it would copy the leaves.
        zeros = jnp.minimum(values, 0.0)
        levels[0] = levels[0].at[indices].set(zeros).at[indices].max(values)
        for i in range(1, len(levels)):
            indices = indices // FAN_OUT
            # Equal indices write equal sums, so their order does not matter.
            levels[i] = levels[i].at[indices].set(jnp.sum(children(levels[i - 1], indices), axis=0))
        return SumTree(tuple(levels))

    def set_range(self, start: jax.Array | int, values: jax.Array) -> "SumTree":
        """With other values ``[n]`` from ``start`` on: many neighbours at once, much faster than :meth:`set`."""
        levels = []
        values = values.astype(jnp.float32)
        for level in self.levels:
            rows = level.shape[0] // FAN_OUT
            touched = min(rows, (values.shape[0] + FAN_OUT - 2) // FAN_OUT + 1)
            first = jnp.minimum(start // FAN_OUT, rows - touched)
            block = jax.lax.dynamic_slice_in_dim(level, first * FAN_OUT, touched * FAN_OUT)
            block = jax.lax.dynamic_update_slice_in_dim(block, values, start - first * FAN_OUT, axis=0)
            start, values = first, jnp.sum(block.reshape(touched, FAN_OUT), axis=1)
            levels.append(jax.lax.dynamic_update_slice_in_dim(level, depend_on(block, values), first * FAN_OUT, axis=0))
        return SumTree(tuple(levels))

    def sample(self, key: jax.Array, number: int) -> jax.Array:
        """``number`` independent draws ``[number]``, ``int32``; the probability of a leaf is its share of the total.

        A zero is never drawn. If all are zero, the answer is 0: look at :attr:`total` first. Every level has random bits of its
        own, so what a ``float32`` resolves limits the choice among 8 children, not among all leaves.
        """
        fractions = jax.random.uniform(key, (len(self.levels), number), jnp.float32)
        index = jnp.zeros((number,), jnp.int32)
        for level, fraction in zip(reversed(self.levels), fractions, strict=True):
            values = children(level, index)
            before = sums_before(values)
            index = index * FAN_OUT + pick(values, before, fraction * before[-1])
        return index
