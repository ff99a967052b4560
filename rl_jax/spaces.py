"""Spaces: what observations and actions look like.

Agents act in *unit coordinates*: every bounded continuous action lies in ``[-1, 1]`` and the loop maps it to the
environment's own bounds with :func:`to_env_action`. So the stored action, and its log-probability, are the policy's own
(never the clipped one), and no agent knows about bounds.
"""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.errors import UnsupportedSpace


@dataclass(frozen=True)
class Discrete:
    """One of ``n`` choices, an ``int32`` scalar in ``[0, n)``."""

    n: int

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    @property
    def dtype(self) -> Any:
        return jnp.int32


@dataclass(frozen=True)
class MultiDiscrete:
    """``len(nvec)`` independent choices, an ``int32`` vector whose entry ``i`` lies in ``[0, nvec[i])``."""

    nvec: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.nvec),)

    @property
    def dtype(self) -> Any:
        return jnp.int32


@dataclass(frozen=True)
class Box:
    """An array of the given shape within per-element bounds (infinite where unbounded).

    ``low`` and ``high`` are tuples of ``prod(shape)`` floats in C order: a space is hashable, so static under jit.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    shape: tuple[int, ...]
    dtype: Any = jnp.float32

    @classmethod
    def of(cls, low: Any, high: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> "Box":
        """A box from scalar or array bounds, broadcast to ``shape``."""

        def flat(bound: Any) -> tuple[float, ...]:
            return tuple(float(x) for x in np.broadcast_to(np.asarray(bound, np.float64), shape).reshape(-1))

        return cls(flat(low), flat(high), tuple(shape), jnp.dtype(dtype))

    @property
    def bounded(self) -> bool:
        """Whether every element has two finite bounds (float32's extremes count as infinite)."""
        limit = float(np.finfo(np.float32).max)
        return all(math.isfinite(x) and abs(x) < limit for x in self.low + self.high)


Space = Discrete | MultiDiscrete | Box


def to_env_action(space: Space, action: jax.Array) -> jax.Array:
    """The environment's action for a policy's action.

    Bounded boxes: clip to ``[-1, 1]``, then scale linearly to ``[low, high]``. Everything else passes unchanged.

    Args:
        space: the environment's action space.
        action: the policy's action(s), any leading axes, trailing axes ``space.shape``.
    """
    if isinstance(space, Box):
        if not space.bounded:
            return action.astype(space.dtype)
        low = np.asarray(space.low, np.float32).reshape(space.shape)
        high = np.asarray(space.high, np.float32).reshape(space.shape)
        unit = jnp.clip(action, -1.0, 1.0)
        return jnp.asarray(low + (unit + 1.0) * 0.5 * (high - low), space.dtype)
    return action


def to_unit_action(space: Space, action: jax.Array) -> jax.Array:
    """Inverse of :func:`to_env_action` within the bounds (for demonstrations and offline data)."""
    if isinstance(space, Box) and space.bounded:
        low = np.asarray(space.low, np.float32).reshape(space.shape)
        high = np.asarray(space.high, np.float32).reshape(space.shape)
        return (action - low) / (high - low) * 2.0 - 1.0
    return action


def describe(space: Space) -> str:
    """A short text such as ``Discrete(2)`` or ``Box(-2..2, (1,), float32)``."""
    if isinstance(space, Discrete):
        return f"Discrete({space.n})"
    if isinstance(space, MultiDiscrete):
        return f"MultiDiscrete({list(space.nvec)})"

    def bound(values: tuple[float, ...]) -> str:
        limit = float(np.finfo(np.float32).max)
        shown = [("-inf" if x < 0 else "inf") if abs(x) >= limit else f"{x:g}" for x in values]
        return shown[0] if len(set(shown)) == 1 else "[..]"

    return f"Box({bound(space.low)}..{bound(space.high)}, {space.shape}, {jnp.dtype(space.dtype).name})"


def check_supported(agent: str, space: Any, kinds: tuple[type, ...]) -> None:
    """Raise :class:`UnsupportedSpace` unless ``space`` is of one of ``kinds``."""
    if not isinstance(space, kinds):
        names = " or ".join(kind.__name__ for kind in kinds)
        shown = describe(space) if isinstance(space, Discrete | MultiDiscrete | Box) else repr(space)
        raise UnsupportedSpace(
            f"{agent} acts in {names} action spaces, but this environment's is {shown}; "
            f"choose another agent (see 'rl-jax list') or another environment"
        )
