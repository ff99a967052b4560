"""How long an episode can be, of environments that end their episodes themselves."""

from typing import Any

import numpy as np

from rl_jax.argument_checks import check_argument
from rl_jax.values import Count

#: What libraries call it, in their parameters or on their objects.
_NAMES = ("max_steps_in_episode", "max_timesteps", "max_steps", "time_limit")


def own_limit(*holders: Any) -> int | None:
    """The limit that one of a library's objects states; ``None`` if none does, or tasks of a batch differ in it."""
    for holder in holders:
        for name in _NAMES:
            value = getattr(holder, name, None)
            if value is not None and not callable(value) and np.ndim(value) == 0 and 1 <= float(value) < 2**31:
                return int(value)
    return None


def check_time_limit(limit: Any) -> None:
    """Refuse what is no number of steps; ``None`` is no limit.

    Raises:
        RLJaxError: with the range.
    """
    if limit is not None:
        check_argument("time_limit", limit, Count, "leave it out for no limit")


def longest_episode(env: Any, time_limit: int | None = None) -> int | None:
    """Steps after which an episode has ended, by the loop's time limit or the environment's own; ``None``: not known.

    Args:
        env: the environment.
        time_limit: the loop's, if it is not ``env.time_limit``.
    """
    loop_limit = env.time_limit if time_limit is None else time_limit
    limits = [limit for limit in (loop_limit, getattr(env, "own_limit", None)) if limit is not None]
    return min(limits, default=None)
