"""The one map between a policy's actions and those of a box, element by element.

====================  ==================================================================================
bounds                unit coordinate ``u`` to action
====================  ==================================================================================
both, floats          ``low + (clip(u, -1, 1) + 1) / 2 * (high - low)``
both, whole numbers   ``[-1, 1]`` cut into as many equal pieces as there are numbers, one for each
``low`` alone         ``low + softplus(u)``
``high`` alone        ``high - softplus(u)``
none                  ``u``
====================  ==================================================================================

With one bound or none, whole numbers are the nearest ones. Nothing that is played lies outside of the bounds, however the dtype
rounds. Densities and entropies are of ``u``, which is what is stored: the map has no parameters, so its Jacobian cancels in every
ratio and divergence of two policies.

``low`` and ``high`` are ``float64`` arrays of the box's shape, infinite where there is no bound.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_FLOAT32 = np.finfo(np.float32)


def is_integer(dtype: Any) -> bool:
    """Whether a dtype is of whole numbers or booleans."""
    return bool(jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.bool_))


def limits(dtype: Any) -> tuple[float, float]:
    """The least and the largest finite number of a dtype."""
    if jnp.issubdtype(dtype, jnp.bool_):
        return 0.0, 1.0
    info = jnp.iinfo(dtype) if is_integer(dtype) else jnp.finfo(dtype)
    return float(info.min), float(info.max)


def from_unit(action: jax.Array, low: np.ndarray, high: np.ndarray, dtype: Any) -> jax.Array:
    """Actions ``[..., shape]`` of ``dtype`` for unit coordinates ``[..., shape]``."""
    if not is_integer(dtype):
        return _real(action, low, high, dtype)
    low, high = np.ceil(low), np.floor(high)
    both = np.isfinite(low) & np.isfinite(high)
    if both.all():
        return _whole(action, low, high, dtype)
    # Rounded within what a float32 can say of the dtype.
    least, most = limits(dtype)
    real = jnp.rint(_real(action, low, high, np.float32))
    real = jnp.clip(real, *_within(np.maximum(low, least), np.minimum(high, most), np.float32)).astype(dtype)
    return jnp.where(both, _whole(action, np.where(both, low, 0.0), np.where(both, high, 0.0), dtype), real)


def to_unit(action: jax.Array, low: np.ndarray, high: np.ndarray) -> jax.Array:
    """Unit coordinates, ``float32``, of actions within the bounds: what :func:`from_unit` makes these actions of again.

    Of a whole number it is the middle of its piece (exact for ranges of up to 2^22 numbers); zero where one action alone is possible.
    """
    both = np.isfinite(low) & np.isfinite(high)
    unit = _unit_whole(action, low, high, both) if is_integer(action.dtype) else _unit_real(action, low, high, both)
    if both.all():
        return unit
    action = action.astype(jnp.float32)
    # softplus backwards, as far from minus infinity as a float32 tells an action from its bound.
    above = jnp.maximum(jnp.where(np.isfinite(low), action - _finite(low), _finite(high) - action), _FLOAT32.tiny)
    inverse = above + jnp.log(-jnp.expm1(-above))
    return jnp.where(both, unit, jnp.where(np.isfinite(low) | np.isfinite(high), inverse, action))


def _finite(bound: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(bound), bound, 0.0).astype(np.float32)


def _within(low: np.ndarray, high: np.ndarray, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """The least and largest numbers of a float ``dtype`` within the bounds, as ``float32``; if there is none, the nearest."""
    least, most = limits(dtype)
    kind = jnp.dtype(dtype)
    lower, upper = np.maximum(low, least).astype(kind), np.minimum(high, most).astype(kind)
    up, down = np.nextafter(lower, np.asarray(most, kind)), np.nextafter(upper, np.asarray(least, kind))
    inside = np.where(lower.astype(np.float64) < low, up, lower), np.where(upper.astype(np.float64) > high, down, upper)
    empty = inside[0].astype(np.float64) > inside[1].astype(np.float64)
    return np.where(empty, lower, inside[0]).astype(np.float32), np.where(empty, lower, inside[1]).astype(np.float32)


def _real(action: jax.Array, low: np.ndarray, high: np.ndarray, dtype: Any) -> jax.Array:
    has_low, has_high = np.isfinite(low), np.isfinite(high)
    if not (has_low | has_high).any():
        return action.astype(dtype)
    both = has_low & has_high
    value = action
    if both.any():
        value = _linear(action, _finite(low), _finite(high))
    if not both.all():
        above = jax.nn.softplus(action)
        one_bound = jnp.where(has_low, _finite(low) + above, jnp.where(has_high, _finite(high) - above, action))
        value = jnp.where(both, value, one_bound)
    least, most = _within(low, high, dtype)
    # An element without a bound may go to infinity, which is a failure that is seen.
    return jnp.clip(value, np.where(has_low, least, -np.inf), np.where(has_high, most, np.inf)).astype(dtype)


def _linear(action: jax.Array, low: np.ndarray, high: np.ndarray) -> jax.Array:
    share = (jnp.clip(action, -1.0, 1.0) + 1.0) * 0.5
    with np.errstate(over="ignore"):
        width = high - low
    narrow = np.isfinite(width)
    value: Any = low + share * np.where(narrow, width, 0.0)
    if not narrow.all():
        value = jnp.where(narrow, value, low * (1.0 - share) + high * share)
    # Rounding of the width may miss the bound by as much as the width is coarse.
    return jnp.where(share >= 1.0, high, value)


def _wrapped(number: np.ndarray) -> np.ndarray:
    """Whole numbers modulo 2^32: in ``uint32`` the difference of any two 32-bit numbers is right."""
    return np.mod(number, 2.0**32).astype(np.uint32)


def _whole(action: jax.Array, low: np.ndarray, high: np.ndarray, dtype: Any) -> jax.Array:
    top = _wrapped(high - low)
    share = (jnp.clip(action, -1.0, 1.0) + 1.0) * 0.5
    # Beyond the largest float32 below 2^32 a cast says nothing; nor does it of NaN, which the minimum keeps within bounds.
    place = jnp.minimum(jnp.floor(share * (top.astype(np.float32) + 1.0)), np.float32(2**32 - 256)).astype(jnp.uint32)
    place = jnp.where(share >= 1.0, top, jnp.minimum(place, top))
    return (place + _wrapped(low)).astype(dtype)


def _unit_whole(action: jax.Array, low: np.ndarray, high: np.ndarray, both: np.ndarray) -> jax.Array:
    first = np.where(both, np.ceil(low), 0.0)
    count = np.where(both, np.floor(high) - first + 1.0, 1.0).astype(np.float32)
    wide = jnp.int32 if jnp.issubdtype(action.dtype, jnp.signedinteger) else jnp.uint32
    place = (action.astype(wide).astype(jnp.uint32) - _wrapped(first)).astype(jnp.float32)
    return (place + 0.5) / count * 2.0 - 1.0


def _unit_real(action: jax.Array, low: np.ndarray, high: np.ndarray, both: np.ndarray) -> jax.Array:
    # In halves, for the difference of two bounds can be too large for a float32.
    lower, upper = (np.where(both, bound, 0.0).astype(np.float32) * np.float32(0.5) for bound in (low, high))
    half = upper - lower
    wide = half >= _FLOAT32.tiny
    unit = (action.astype(jnp.float32) * 0.5 - lower) / np.where(wide, half, np.float32(1.0)) * 2.0 - 1.0
    return jnp.where(wide, jnp.clip(unit, -1.0, 1.0), 0.0)
