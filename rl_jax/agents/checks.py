"""Refusing numbers that cannot be, in the words of the command line."""

from typing import Any

from rl_jax.errors import RLJaxError


def option(name: str) -> str:
    """A field's name as it is typed."""
    return "--" + name.replace("_", "-")


def at_least(config: Any, least: int, *names: str) -> None:
    """Raise :class:`RLJaxError` unless the fields are at least ``least``."""
    for name in names:
        if getattr(config, name) < least:
            raise RLJaxError(f"{option(name)} must be at least {least}, not {getattr(config, name)}")


def positive(config: Any, *names: str) -> None:
    """Raise :class:`RLJaxError` unless the fields are positive and finite."""
    for name in names:
        if not 0 < getattr(config, name) < float("inf"):
            raise RLJaxError(f"{option(name)} must be a positive number, not {getattr(config, name)}")


def not_negative(config: Any, *names: str) -> None:
    """Raise :class:`RLJaxError` unless the fields are zero or more, and finite."""
    for name in names:
        if not 0 <= getattr(config, name) < float("inf"):
            raise RLJaxError(f"{option(name)} must not be negative, and is {getattr(config, name)}")


def within(config: Any, low: float, high: float, *names: str) -> None:
    """Raise :class:`RLJaxError` unless the fields lie between ``low`` and ``high``, inclusive."""
    for name in names:
        if not low <= getattr(config, name) <= high:
            raise RLJaxError(f"{option(name)} must lie between {low:g} and {high:g}, not {getattr(config, name)}")


def widths(config: Any, name: str = "hidden") -> None:
    """Raise :class:`RLJaxError` unless the field lists positive widths."""
    values = getattr(config, name)
    if not values or min(values) < 1:
        raise RLJaxError(f"{option(name)} needs at least one width, all positive, not {list(values)}")
