"""Recorded experience on the command line: which agents take it, and the environment that it is of."""

import dataclasses
from typing import Any

from rl_jax.agents.configs import CONFIGS
from rl_jax.errors import RLJaxError
from rl_jax.run.options import RunOptions


def with_data(options: RunOptions, agent: str, kind: Any) -> RunOptions:
    """The options with the environment that the data set names, where none is given.

    Raises:
        RLJaxError: the agent needs a data set and has none, or has one and needs none.
    """
    takes = getattr(kind, "DATA", False)
    if options.data and not takes:
        able = ", ".join(name for name, other in CONFIGS.items() if getattr(other, "DATA", False))
        raise RLJaxError(
            f"{agent} learns from what it does itself: leave out --data, or choose an agent that learns from data: {able}"
        )
    if takes and not options.data:
        raise RLJaxError(
            f"{agent} learns from recorded experience: add --data FOLDER ('rl-jax record RUN' makes one), --data FILE.npz or "
            "--data minari:NAME"
        )
    if options.env or not options.data:
        return options
    from rl_jax.data.files import about, is_folder

    if not is_folder(options.data):
        raise RLJaxError(f"which environment is {options.data} of? Add --env NAME, to evaluate in ('rl-jax list' shows all)")
    content = about(options.data)
    arguments = tuple(content.get("env_args", ()))
    if not content["env"]:
        raise RLJaxError(f"{options.data} does not say which environment it is of: add --env NAME ('rl-jax list' shows all)")
    return dataclasses.replace(options, env=content["env"], env_args=options.env_args or arguments)
