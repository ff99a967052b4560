"""Errors meant for people: one line that says what is wrong and how to mend it."""

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any, TypeVar

T = TypeVar("T")


class RLJaxError(ValueError):
    """A mistake in how rl_jax was asked to do something; the message names the fix.

    The command line prints it as one line and exits with status 2.
    """


class UnsupportedSpace(RLJaxError):
    """An agent or a network cannot serve an observation or action space."""


class ProtocolError(RLJaxError):
    """An environment, transform or agent breaks the protocol that it claims to follow."""


class MissingExtra(RLJaxError):
    """An optional integration is not installed."""

    def __init__(self, feature: str, extra: str):
        super().__init__(f"{feature} needs the extra '{extra}': pip install 'rl_jax[{extra}]'")


class NonFinite(RLJaxError):
    """NaN or infinity was met in training."""


def chosen(what: str, name: Any, table: Mapping[Any, T]) -> T:
    """What a name stands for.

    Raises:
        RLJaxError: it is not among the names; nothing else is taken in its place.
    """
    if name not in table:
        raise RLJaxError(f"there is no {what} {name!r}: use {', '.join(map(str, table))}")
    return table[name]


def import_extra(module: str, feature: str, extra: str) -> ModuleType:
    """Import a module that comes with an extra.

    Args:
        module: its name.
        feature: what it is for, as errors call it.
        extra: what ``pip install 'rl_jax[extra]'`` installs.

    Raises:
        MissingExtra: it is not installed.
        RLJaxError: it is, and cannot be imported: with its own reason.
    """
    try:
        return importlib.import_module(module)
    except Exception as error:  # a broken installation raises whatever it likes
        top = module.partition(".")[0]
        if isinstance(error, ModuleNotFoundError) and error.name == top:
            raise MissingExtra(feature, extra) from None
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise RLJaxError(
            f"{feature} needs {top}, which is installed, but importing it failed: {reason}; repair it, for example by "
            f"pip install --force-reinstall 'rl_jax[{extra}]'"
        ) from error
