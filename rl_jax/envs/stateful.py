"""Environments that keep their state to themselves are told apart by their signatures, before anything is called."""

import inspect
from typing import Any

from rl_jax.errors import ProtocolError


def check_pure(env: Any, name: str) -> None:
    """Refuse an environment that keeps its state to itself, as gymnasium's do.

    Raises:
        ProtocolError: with what can be done instead.
    """
    functions = ("reset_env", "step_env") if hasattr(env, "reset_env") and hasattr(env, "step_env") else ("reset", "step")
    for function, args in zip(functions, (("key", "params"), ("key", "state", "action", "params")), strict=True):
        try:
            signature = inspect.signature(getattr(env, function))
        except ValueError:  # it has none that can be seen
            continue
        try:
            signature.bind(*args)
        except TypeError:
            raise ProtocolError(
                f"{name}: its {function}({', '.join(signature.parameters)}) keeps the state inside, as gymnasium's environments do, "
                f"and cannot be compiled; here it is {function}({', '.join(args)}), a pure function in jax.numpy: use a JAX version "
                f"('rl-jax list' shows those that are known), or write it as a rl_jax.types.Environment"
            ) from None
    for space in ("observation_space", "action_space"):
        if not callable(getattr(env, space)):
            raise ProtocolError(f"{name}: {space} is a {type(getattr(env, space)).__name__}: let it be a function of params")
