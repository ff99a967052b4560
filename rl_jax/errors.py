"""Errors meant for people: one line that says what is wrong and how to mend it."""

import importlib
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
    if not isinstance(name, Hashable) or name not in table:
        raise RLJaxError(f"there is no {what} {name!r}: use {', '.join(map(str, table))}")
    return table[name]


def check_part(slot: str, part: Any, protocol: type, fix: str) -> None:
    """Refuse what cannot be a part: it lacks members of the protocol, or has to be called first.

    Args:
        slot: where it was given, such as ``"experience"``.
        part: what was given.
        protocol: a :class:`typing.Protocol`; that its members are there is all that is looked at.
        fix: what to give instead.

    Raises:
        RLJaxError: with the fix.
    """
    if isinstance(part, type):
        raise RLJaxError(f"{slot} is the class {part.__name__}: pass an object of it, {part.__name__}(...)")
    missing = [name for name in vars(protocol) if not name.startswith("_") and not hasattr(part, name)]
    if not missing:
        return
    if callable(part) and hasattr(part, "__name__") and len(missing) > 1:
        raise RLJaxError(f"{slot} is the function {part.__name__}: call it, {part.__name__}(...), and pass what it returns")
    shown = repr(part) if isinstance(part, str | int | float) else f"a {type(part).__name__}"
    lacks = ", ".join(missing[:3]) + (" and more" if len(missing) > 3 else "")
    raise RLJaxError(f"{slot} is {shown}, which lacks {lacks}: {fix}")


def returned(what: str, result: Any, names: Sequence[str]) -> Any:
    """The result of a part's function, if it is a tuple of so many things.

    Raises:
        RLJaxError: with what the function has to return.
    """
    if isinstance(result, tuple) and len(result) == len(names):
        return result
    shown = f"a tuple of {len(result)}" if isinstance(result, tuple) else f"a {type(result).__name__}"
    raise RLJaxError(f"{what} returned {shown}: let it return ({', '.join(names)})")


def check_metrics(whose: str, metrics: Any) -> None:
    """Refuse metrics that are no numbers by name.

    Args:
        whose: the function that returned them.
        metrics: what it returned.

    Raises:
        RLJaxError: with what to report instead.
    """
    if not isinstance(metrics, Mapping):
        raise RLJaxError(f"{whose} returned a {type(metrics).__name__} as metrics: let it be a dict, {{}} if there are none")
    for name, value in metrics.items():
        if not isinstance(name, str):
            raise RLJaxError(f"{whose}: a metric is called {name!r:.60}: call it by a text, such as 'mine/x'")
        if not isinstance(value, bool | int | float) and not hasattr(value, "dtype"):
            raise RLJaxError(f"{whose}: the metric '{name}' is a {type(value).__name__}: report a number, such as a mean")
        if shape := getattr(value, "shape", ()):
            raise RLJaxError(
                f"{whose}: the metric '{name}' is an array of shape {list(shape)}: report a number, such as its mean"
            )


#: Who puts what into a rollout's extras, of the names that parts of this library read.
_FROM = {
    "advantage": "put rl.experience.gae() into the experience chain, before what reads it",
    "value_target": "put rl.experience.gae() into the experience chain, before what reads it",
    "mask": "give replay=rl.replay.Buffer(...), which it learns from",
    "discount": "give a replay with n-step targets, such as rl.replay.Buffer(transforms=rl.replay.n_step(3))",
}


@contextmanager
def naming_what_lacks(part: Any, extras: Iterable[str]) -> Iterator[None]:
    """A field of the rollout's ``extras`` that nobody has put there is said by name.

    Args:
        part: who needs it: a part, or what to call it.
        extras: the names that are there.

    Raises:
        RLJaxError: with who could put it there.
    """
    try:
        yield
    except KeyError as error:
        name, there = str(error.args[0]) if error.args else "?", ", ".join(sorted(extras))
        fix = _FROM.get(name, "put a transform that adds it into the experience chain, before what reads it")
        if name == "advantage" and "own" in extras:  # of whole episodes, where gae() is of no use
            fix = "put rl_jax.experience.advantage.group.group_advantage(8) into the experience chain, before what reads it"
        who = part if isinstance(part, str) else getattr(part, "name", type(part).__name__)
        raise RLJaxError(f"{who} needs '{name}', and the rollout's extras are {there}: {fix}") from error


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
