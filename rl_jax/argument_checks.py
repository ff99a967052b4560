"""Numbers that Python gives to a part, held to the types of :mod:`rl_jax.values`: ``alpha: NotNegative`` wherever it comes from.

Where a part is used within ``jit`` or ``vmap`` its numbers are traced, and arrays hold one number per run: both pass unseen.
"""

import math
from typing import Annotated, Any

import jax
import numpy as np

from rl_jax.errors import RLJaxError
from rl_jax.values import Range, Takes, short

#: A bound that may be infinite, for none.
Bound = Annotated[float, Range(1e-30, math.inf)]
#: Any number, or infinity.
Limit = Annotated[float, Range(-math.inf, math.inf)]


def check_argument(what: str, value: Any, hint: Any, fix: str = "") -> None:
    """Refuse a value that its type does not hold.

    Args:
        what: what it is called.
        value: what was given.
        hint: the type, such as :data:`rl_jax.values.Count`.
        fix: what to do instead, after the range.

    Raises:
        RLJaxError: with the range.
    """
    if isinstance(value, jax.Array | np.ndarray):
        return
    takes = Takes.of(hint)
    try:
        takes.check(value)
    except ValueError:
        raise RLJaxError(f"{what} must be {takes}, not {short(value)}{fix and '; ' + fix}") from None


def check_numbers(whose: str, part: Any, **hints: Any) -> None:
    """:func:`check_argument` of some of a part's fields, each by its name and type.

    Raises:
        RLJaxError: with the field and its range.
    """
    for name, hint in hints.items():
        check_argument(f"{whose} {name}", getattr(part, name), hint)
