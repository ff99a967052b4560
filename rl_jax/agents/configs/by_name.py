"""Configurations by name: the library's agents, and classes of one's own as ``module:NAME`` or ``file.py:NAME``."""

import dataclasses
import inspect
import os
import typing
from collections.abc import Collection
from pathlib import Path
from typing import Any

from rl_jax.agents.configs import CONFIGS
from rl_jax.errors import RLJaxError
from rl_jax.imports import MARK, imported
from rl_jax.values import Range, Takes, option, parts, short

#: What the type of an option is made of.
_PARTS = (bool, int, float, str, Path, type(None), ...)
_TYPES = "bool, int, float, str, Path, a Literal of texts, or a tuple of one of these"
#: Arguments that a run passes to ``trainer`` besides the environment.
PASSED = ("time_limit", "curriculum", "episode_info")


def is_own(name: str) -> bool:
    """Whether a name is that of a class of one's own."""
    return MARK in name


def spelled(name: str) -> str:
    """The name of a configuration in one spelling, whichever way its file was written."""
    if not is_own(name):
        return name
    where, _, attribute = name.rpartition(MARK)
    return f"{os.path.normpath(where)}{MARK}{attribute}" if where else name


def title_of(name: str) -> str:
    """How plots and lines call an agent: ``PPO``, or ``step_cost:Config``, as many files have a class of that name."""
    if not is_own(name):
        return name.upper()
    where, _, attribute = name.rpartition(MARK)
    return f"{Path(where).stem if where.endswith('.py') else where}{MARK}{attribute}"


def config_class(name: str, taken: Collection[str] = ()) -> Any:
    """The configuration class of a name.

    Args:
        name: of an agent of this library, or ``module:NAME`` or ``file.py:NAME``.
        taken: names that no field may have, as every run has such options.

    Raises:
        RLJaxError: there is none, or it is no dataclass that options and a trainer can be made of.
    """
    if not is_own(name):
        return CONFIGS[name]
    kind = imported(name, "my_module:Config")
    if not isinstance(kind, type) or not dataclasses.is_dataclass(kind):
        what = f"a {type(kind).__name__}" if not isinstance(kind, type) else "a class without fields"
        raise RLJaxError(
            f"{name} is {what}: name a dataclass, whose fields are the options and whose trainer(env, ...) is the run"
        )
    if not callable(getattr(kind, "trainer", None)):
        raise RLJaxError(f"{name} has no method trainer(env, **options): add one that returns an rl_jax.Trainer")
    _check_signature(name, kind)
    _check_fields(name, kind, taken)
    return kind


def _check_signature(name: str, kind: Any) -> None:
    try:
        inspect.signature(kind.trainer).bind(None, None, **dict.fromkeys(PASSED))
    except TypeError:
        raise RLJaxError(
            f"{name}.trainer cannot be called as trainer(env, {', '.join(f'{one}=...' for one in PASSED)}): "
            f"let it be trainer(self, env, **options), and pass the options on to rl_jax.Trainer.create"
        ) from None


def _check_fields(name: str, kind: Any, taken: Collection[str]) -> None:
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except (NameError, TypeError, AttributeError) as error:
        raise RLJaxError(f"the types of {name}'s fields cannot be read ({error}): import what they name") from None
    for field in dataclasses.fields(kind):
        if field.name in taken:
            raise RLJaxError(f"{name} has a field {field.name}, and every run has {option(field.name)}: give it another name")
        if field.default is dataclasses.MISSING:
            raise RLJaxError(f"{name}'s field {field.name} has no plain default: give it one (a tuple in place of a list)")
        if not all(isinstance(part, Range | str) or part in _PARTS for part in parts(hints[field.name])):
            raise RLJaxError(f"{name}'s field {field.name} is of the type {field.type}, and an option is of {_TYPES}")
        takes = Takes.of(hints[field.name])
        try:
            takes.check(field.default)
        except ValueError:
            raise RLJaxError(f"{name}'s field {field.name} takes {takes}, and its default is {short(field.default)}") from None
