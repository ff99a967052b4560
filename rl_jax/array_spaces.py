"""Spaces of single arrays: choices, and numbers within bounds."""

import math
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from rl_jax.action_map import is_integer, limits
from rl_jax.errors import UnsupportedSpace

#: Bounds from here on count as none: the widest float32 is how many libraries write "unbounded".
_INFINITE = float(np.finfo(np.float32).max)


def _choices(space: str, n: Any) -> int:
    """``n`` if there can be as many choices.

    Raises:
        UnsupportedSpace: fewer than one, no whole number, or more than ``int32`` counts.
    """
    number = np.asarray(n)
    if number.shape != () or number.dtype.kind not in "iu" or not 1 <= int(number) < 2**31:
        raise UnsupportedSpace(f"{space} needs a whole number of choices from 1 to {2**31 - 1}, not {n!r}")
    return int(number)


@dataclass(frozen=True)
class Discrete:
    """One of ``n`` choices, an ``int32`` scalar in ``[0, n)``.

    Raises:
        UnsupportedSpace: ``n`` is not a whole number from 1 on.
    """

    n: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", _choices("Discrete", self.n))

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    @property
    def dtype(self) -> Any:
        return jnp.int32


@dataclass(frozen=True)
class MultiDiscrete:
    """``len(nvec)`` independent choices, an ``int32`` vector whose entry ``i`` lies in ``[0, nvec[i])``.

    Raises:
        UnsupportedSpace: there is no part, or one of them has no choice.
    """

    nvec: tuple[int, ...]

    def __post_init__(self) -> None:
        if np.ndim(self.nvec) != 1:
            raise UnsupportedSpace(
                f"MultiDiscrete needs a list with a number of choices for each part, such as (3, 2), not {self.nvec!r}"
            )
        if len(self.nvec) == 0:
            raise UnsupportedSpace("MultiDiscrete needs at least one part; nvec is empty")
        object.__setattr__(self, "nvec", tuple(_choices("each part of MultiDiscrete", n) for n in self.nvec))

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.nvec),)

    @property
    def dtype(self) -> Any:
        return jnp.int32


def _shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, list | tuple) or not all(isinstance(n, int | np.integer) and n >= 0 for n in shape):
        raise UnsupportedSpace(f"a Box's shape is a tuple of sizes, such as (3,), or () for a number, not {shape!r}")
    return tuple(int(n) for n in shape)


def _check_dtype(dtype: Any) -> None:
    try:
        found = None if dtype is None else jnp.dtype(dtype)
    except TypeError:
        found = None
    if found is None or not (is_integer(found) or jnp.issubdtype(found, jnp.floating)):
        raise UnsupportedSpace(
            f"a Box's dtype is one of real numbers or booleans, such as jnp.float32 or jnp.uint8, not {dtype!r}"
        )


def _floats(bound: Any, shape: tuple[int, ...] | None) -> tuple[float, ...]:
    """Bounds in C order; broadcast, if there is a shape."""
    try:
        array = np.asarray(bound, np.float64)
        array = array if shape is None else np.broadcast_to(array, shape)
    except (TypeError, ValueError):
        into = "numbers" if shape is None else f"one number, or numbers of shape {shape}"
        raise UnsupportedSpace(f"the bounds of a Box must be {into}, not {str(bound)[:60]!r}") from None
    return tuple(float(x) for x in array.reshape(-1))


@dataclass(frozen=True, repr=False)
class Box:
    """An array of the given shape within per-element bounds (infinite where unbounded).

    ``low`` and ``high`` are tuples of ``prod(shape)`` floats in C order: a space is hashable, so static under jit.

    Raises:
        UnsupportedSpace: no elements, bounds that are NaN, reversed, of another number or beyond what ``dtype`` holds, whole
            numbers or infinities of which none lies within the bounds, or a shape or dtype that arrays of numbers do not have.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    shape: tuple[int, ...]
    dtype: Any = jnp.float32

    def __post_init__(self) -> None:
        shape = _shape(self.shape)
        number = math.prod(shape)
        if number == 0:
            raise UnsupportedSpace(f"a Box needs at least one element, but its shape is {shape}")
        _check_dtype(self.dtype)
        for side in ("low", "high"):  # from arrays too, which could not be hashed
            object.__setattr__(self, side, _floats(getattr(self, side), None))
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "dtype", jnp.dtype(self.dtype))  # equal ones have equal hashes
        if not len(self.low) == len(self.high) == number:
            raise UnsupportedSpace(
                f"a Box of shape {shape} needs {number} bounds on each side, not {len(self.low)} and {len(self.high)}: "
                f"Box.of(low, high, shape) takes one number for all"
            )
        low, high = self.bounds()
        if np.isnan(low).any() or np.isnan(high).any():
            raise UnsupportedSpace("the bounds of a Box must be numbers (or infinite), not NaN")
        if (low > high).any():
            i = int(np.argmax(low > high))
            raise UnsupportedSpace(
                f"a Box needs low <= high, but element {i} has low {low[i]:g} and high {high[i]:g}: swap them"
            )
        if ((low == np.inf) | (high == -np.inf)).any():
            raise UnsupportedSpace(
                "a Box has no number between bounds that are both infinite on one side: give it another bound"
            )
        least, most = limits(self.dtype)
        for bound in (low, high):
            if (beyond := np.isfinite(bound) & ((bound < least) | (bound > most))).any():
                raise UnsupportedSpace(
                    f"{jnp.dtype(self.dtype).name} holds numbers from {least:g} to {most:g}, so a Box of it has no bound "
                    f"{bound[beyond][0]:g}: choose another dtype, or other bounds"
                )
        if is_integer(self.dtype) and (np.ceil(low) > np.floor(high)).any():
            raise UnsupportedSpace("a Box of whole numbers has none between its bounds: widen them, or make it a float")

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """``low`` and ``high`` ``[prod(shape)]`` as ``float64``, infinite where there is none."""
        low, high = np.asarray(self.low, np.float64), np.asarray(self.high, np.float64)
        return np.where(low <= -_INFINITE, -np.inf, low), np.where(high >= _INFINITE, np.inf, high)

    @classmethod
    def of(cls, low: Any, high: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> "Box":
        """A box from scalar or array bounds, broadcast to ``shape``.

        Raises:
            UnsupportedSpace: the bounds cannot be, see :class:`Box`, or do not fit the shape.
        """
        shape = _shape(shape)
        _check_dtype(dtype)
        return cls(_floats(low, shape), _floats(high, shape), shape, jnp.dtype(dtype))

    @property
    def bounded(self) -> bool:
        """Whether every element has two finite bounds (float32's extremes count as infinite)."""
        return bool(np.isfinite(self.bounds()).all())

    def __repr__(self) -> str:
        """Such as ``Box(-2..2, (1,), float32)``; bounds that differ between elements are not listed."""

        def bound(values: tuple[float, ...]) -> str:
            shown = [("-inf" if x < 0 else "inf") if abs(x) >= _INFINITE else f"{x:g}" for x in values]
            return shown[0] if len(set(shown)) == 1 else "[..]"

        return f"Box({bound(self.low)}..{bound(self.high)}, {self.shape}, {jnp.dtype(self.dtype).name})"


Space = Discrete | MultiDiscrete | Box


def describe(space: Any) -> str:
    """A short text such as ``Discrete(2)`` or ``Box(-2..2, (1,), float32)``."""
    if isinstance(space, Discrete):
        return f"Discrete({space.n})"
    if isinstance(space, MultiDiscrete):
        return f"MultiDiscrete({list(space.nvec)})"
    return repr(space)
