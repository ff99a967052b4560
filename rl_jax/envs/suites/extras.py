"""Environments of libraries that are extras, ``pip install 'rl_jax[craftax]'`` and so on, imported when one is first made.

Names begin with the extra's: ``craftax/Craftax-Classic-Symbolic-v1``, ``xminigrid/MiniGrid-Empty-5x5``,
``navix/Navix-Empty-5x5-v0``, ``jumanji/Snake-v1``, ``playground/CartpoleBalance``. An object of one of these libraries can be
given to :func:`rl_jax.envs.adapt` as well.
"""

import difflib
import importlib
import importlib.util
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rl_jax._lazy import lazy
from rl_jax.errors import RLJaxError, import_extra

if TYPE_CHECKING:
    from rl_jax.envs.suites.foreign import ForeignEnv
    from rl_jax.types import PyTree

lazy(__name__)


@dataclass(frozen=True)
class Extra:
    """One library.

    Attributes:
        package: what is imported.
        base: the module that holds the class of all its environments.
        module: the name of our module for it, the adapter, imported when first asked for: ``NAMES``, ``known() -> names``,
            ``make(name, **options) -> (env, params, options of wrap)`` and
            ``wrap(env, name, params, time_limit, **options) -> ForeignEnv``.
    """

    package: str
    base: str
    module: str

    @property
    def adapter(self) -> Any:
        return importlib.import_module(f"rl_jax.envs.suites.{self.module}")

    @property
    def installed(self) -> bool:
        return importlib.util.find_spec(self.package) is not None


EXTRAS = {
    "craftax": Extra("craftax", "craftax.environment_base.environment_bases", "craftax"),
    "jumanji": Extra("jumanji", "jumanji.env", "jumanji"),
    "navix": Extra("navix", "navix.environments.environment", "navix"),
    "playground": Extra("mujoco_playground", "mujoco_playground._src.mjx_env", "playground"),
    "xminigrid": Extra("xminigrid", "xminigrid.environment", "xminigrid"),
}
"""The extras, by the first part of their environments' names."""


def names() -> list[str]:
    """Environments of the extras that are installed; imports none of them."""
    return [f"{prefix}/{short}" for prefix, extra in EXTRAS.items() if extra.installed for short in extra.adapter.NAMES]


def imported() -> list[str]:
    """The extras that this process has imported, whose versions a result depends on."""
    return [prefix for prefix, extra in EXTRAS.items() if extra.package in sys.modules]


def make(name: str, time_limit: int | None = None, **options: Any) -> "ForeignEnv":
    """The environment ``name``, such as ``jumanji/Snake-v1``.

    Args:
        name: the extra, a slash, and the library's own name.
        time_limit: steps after which the loop truncates, beside any limit of the environment's own.
        options: see the module of the library.

    Raises:
        MissingExtra: the library is not installed.
        RLJaxError: it is, and cannot be imported; or: there is no such environment, or it cannot be made with these options.
    """
    from rl_jax.envs.dtypes import single_width

    prefix, _, short = name.partition("/")
    extra = EXTRAS[prefix]
    with single_width():
        import_extra(extra.package, f"the environment {name}", prefix)
    known = sorted(extra.adapter.known())
    if short not in known:
        lower = {other.lower(): other for other in known}
        near = [lower[other] for other in difflib.get_close_matches(short.lower(), lower, n=3, cutoff=0.5)]
        hint = f"did you mean {' or '.join(f'{prefix}/{other}' for other in near)}?" if near else f"it has {', '.join(known)}"
        raise RLJaxError(f"there is no environment '{name}'; {hint}")
    with single_width():
        try:
            env, params, wrap_options = extra.adapter.make(short, **options)
            return extra.adapter.wrap(env, name, params, time_limit, **wrap_options)
        except RLJaxError:
            raise
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise RLJaxError(f"{name} cannot be made with the options {options}: {error}") from error


def wrap(env: Any, params: "PyTree" = None, name: str | None = None, time_limit: int | None = None) -> "ForeignEnv | None":
    """An adapter for an environment object of one of these libraries; ``None`` if it is of no such."""
    from rl_jax.envs.dtypes import single_width
    from rl_jax.envs.suites.foreign import refuse_wrapped

    bases = {kind.__module__ for kind in type(env).__mro__}
    for prefix, extra in EXTRAS.items():
        if extra.base in bases:
            name = name or f"{prefix}/{type(env).__name__}"
            refuse_wrapped(name, env)
            with single_width():
                return extra.adapter.wrap(env, name, params, time_limit)
    return None


__all__ = ["EXTRAS", "Extra", "ForeignEnv", "imported", "make", "names", "wrap"]
