"""What a run is asked to do: options that every agent shares, an agent's own numbers, and the folder's ``config.json``."""

import contextlib
import dataclasses
import io
import json
import os
import sys
import typing
import uuid
from pathlib import Path
from typing import Any

import rl_jax as rl
from rl_jax.agents import CONFIGS
from rl_jax.agents.checks import option
from rl_jax.curricula import FixedTask, PooledStarts
from rl_jax.errors import RLJaxError
from rl_jax.loop import Trainer
from rl_jax.run.options import RunOptions
from rl_jax.types import Environment


def make_env(options: RunOptions) -> Environment:
    """The environment of a run, checked against the protocol without compiling anything."""
    arguments = {}
    for text in options.env_args:
        name, equals, value = text.partition("=")
        if not equals:
            raise RLJaxError(f"--env-args takes NAME=VALUE, not '{text}'; for example --env-args backend=spring")
        try:
            arguments[name] = json.loads(value)
        except json.JSONDecodeError:
            arguments[name] = value
    with contextlib.redirect_stdout(sys.stderr if ":" in options.env else io.StringIO()):  # libraries print when imported
        try:
            env = rl.envs.make(options.env, **arguments)
        except RLJaxError:
            raise
        except Exception as error:  # whatever the environment's own code raises
            what = f"{options.env} cannot be made, it raised {type(error).__name__}: {error}"
            raise RLJaxError(f"{what}; correct that (RL_JAX_TRACEBACK=1 shows where)") from error
    rl.envs.check_env(env)
    return env


def make_trainer(configuration: Any, options: RunOptions, env: Environment) -> Trainer:
    """The run of an agent's ``configuration``, as the options say."""
    curriculum = FixedTask(env, env.default_params)
    pool = None if options.reset_pool is None else PooledStarts(curriculum, options.reset_pool)
    return configuration.trainer(env, time_limit=options.time_limit, curriculum=pool)


def plain(value: Any) -> Any:
    """A configuration value as JSON has it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def plain_values(values: dict[str, Any]) -> dict[str, Any]:
    """A dictionary of configuration values as JSON has them."""
    return {name: plain(value) for name, value in values.items()}


def save(path: str | os.PathLike[str], command: str, agent: str, options: RunOptions, hyperparameters: dict[str, Any]) -> None:
    """Write ``config.json``: everything needed to run this again."""
    content = {
        "rl_jax": rl.__version__,
        "id": uuid.uuid4().hex,
        "command": command,
        "agent": agent,
        "run": plain(options),
        "hyperparameters": plain_values(hyperparameters),
    }
    write_json(path, content)


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write a JSON file whole or not at all."""
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(content, indent=2) + "\n")
    temporary.replace(path)


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a ``config.json``.

    Raises:
        RLJaxError: it is missing or is none of ours.
    """
    path, use = Path(path), "use the config.json of a run folder"
    try:
        content = json.loads(path.read_text(), object_pairs_hook=_once)
    except FileNotFoundError:
        raise RLJaxError(f"there is no {path}: name a run folder, as given to --out, or its config.json") from None
    except OSError as error:
        raise RLJaxError(f"cannot read {path} ({error.strerror}); {use}") from None
    except ValueError as error:
        raise RLJaxError(f"{path} is not a configuration of rl_jax ({error}); {use}") from None
    kinds = {"agent": str, "run": dict, "hyperparameters": dict}
    if wrong := [n for n, kind in kinds.items() if not isinstance(content, dict) or not isinstance(content.get(n), kind)]:
        raise RLJaxError(f"{path} is not a configuration of rl_jax (it lacks {', '.join(wrong)}); {use}")
    if content["agent"] not in CONFIGS:
        raise RLJaxError(f"{path} is of an unknown agent '{content['agent']}'; known: {', '.join(CONFIGS)}")
    return content


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, in which no name stands twice."""
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]} stands there twice")
    return dict(pairs)


def restore(kind: type, values: dict[str, Any], source: Path) -> Any:
    """A configuration dataclass from its JSON."""
    hints = typing.get_type_hints(kind)
    if unknown := set(values) - set(hints):
        raise RLJaxError(f"{source} has options that this version does not know: {', '.join(sorted(unknown))}; remove them")
    ready = {}
    for name, value in values.items():
        if not _fits(value, hints[name]):
            wanted = str(getattr(hints[name], "__name__", hints[name]))
            raise RLJaxError(f"{source}: {name} is {json.dumps(value)}, which is no {wanted}; correct or remove it")
        path = value is not None and Path in (hints[name], *typing.get_args(hints[name]))
        ready[name] = Path(value) if path else tuple(value) if isinstance(value, list) else value
    return kind(**ready)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a JSON value (or one that is not JSON any more) is of a field's type."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return value in args
    if origin is tuple:
        return isinstance(value, list | tuple) and all(_fits(item, args[0]) for item in value)
    if args:  # a union
        return any(_fits(value, arg) for arg in args)
    kinds = {float: (int, float), Path: (str, Path), type(None): (type(None),)}.get(hint, (hint,))
    return isinstance(value, kinds) and (hint is bool or not isinstance(value, bool))


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Names and values that differ between two JSON configurations."""
    return [f"{option(name)} {new[name]} (was {old.get(name)})" for name in new if new[name] != old.get(name)]
