"""What a run is asked to do: options that every agent shares, an agent's own numbers, and the folder's ``config.json``."""

import contextlib
import dataclasses
import io
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

import rl_jax as rl
from rl_jax.agents.configs import CONFIGS
from rl_jax.agents.configs.by_name import PASSED, is_own
from rl_jax.curricula import FixedTask, PooledStarts
from rl_jax.data import Dataset
from rl_jax.errors import RLJaxError
from rl_jax.loop import Trainer
from rl_jax.loop.updates import PerStep
from rl_jax.run.failures import writing
from rl_jax.run.options import PYTHON, RunOptions
from rl_jax.types import Environment
from rl_jax.values import INT32, Count, Takes, check_fields, fields, option, short


def env_arguments(texts: Sequence[str]) -> dict[str, Any]:
    """The arguments of ``--env-args``: ``NAME=VALUE``, where the value is JSON, ``True``, ``False`` or ``None``, or else a text.

    Raises:
        RLJaxError: one has no name, or a name stands twice.
    """
    arguments: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise RLJaxError(f"--env-args takes NAME=VALUE, not {short(text)}; for example --env-args backend=spring")
        if name in arguments:
            raise RLJaxError(
                f"--env-args has {short(name, quoted=False)} twice: leave out one of them, or start one run for each"
            )
        try:
            arguments[name] = json.loads(value)
        except RecursionError:
            raise RLJaxError(f"--env-args {short(name, quoted=False)} is nested too deep: give a plainer value") from None
        except ValueError:
            arguments[name] = {"True": True, "False": False, "None": None}.get(value, value)
    return arguments


def make_env(options: RunOptions) -> Environment:
    """The environment of a run, checked against the protocol without compiling anything.

    Raises:
        RLJaxError: it cannot be made or traced, with its own reason.
    """
    arguments = env_arguments(options.env_args)
    told = f" with --env-args {short(' '.join(options.env_args), quoted=False)}" if arguments else ""
    jax.devices()  # whatever is wrong with those is not the environment's doing
    with contextlib.redirect_stdout(sys.stderr if ":" in options.env else io.StringIO()):  # libraries print when imported
        try:
            env = rl.envs.make(options.env, **arguments)
            _check_limit(options.env, getattr(env, "time_limit", None))
            _check(env, told)
        except RLJaxError:
            raise
        except Exception as error:  # whatever the environment's own code raises
            what = f"{options.env} cannot be made{told}, it raised {type(error).__name__}: {error}"
            raise RLJaxError(f"{what}; correct that (RL_JAX_TRACEBACK=1 shows where)") from error
    return env


def _check(env: Environment, told: str) -> None:
    """Against the protocol; what it was made with may be what is wrong."""
    try:
        rl.envs.check_env(env)
    except RLJaxError as error:
        if not told:
            raise
        raise RLJaxError(f"{error} (made{told})") from error


def _check_limit(name: str, limit: Any) -> None:
    try:
        Takes.of(Count | None).check(limit)
    except ValueError:
        raise RLJaxError(f"time_limit of {name} must be an integer from 1 to {INT32}, not {short(limit)}") from None


def load_data(configuration: Any, options: RunOptions, env: Environment) -> Dataset | None:
    """The data set that an agent's ``configuration`` learns from; ``None`` for all others.

    Raises:
        RLJaxError: it cannot be read, or is not of the environment.
    """
    return rl.data.load(options.data, env) if getattr(configuration, "DATA", False) else None


def make_trainer(configuration: Any, options: RunOptions, env: Environment, data: Dataset | None = None) -> Trainer:
    """The run of an agent's ``configuration``, as the options say.

    Args:
        configuration: the agent's.
        options: of the run.
        env: the environment.
        data: of :func:`load_data`. Without it, an agent that learns from data can act and cannot learn.

    Raises:
        RLJaxError: a configuration of one's own returns no trainer.
    """
    curriculum = FixedTask(env, env.default_params)
    pool = None if options.reset_pool is None else PooledStarts(curriculum, options.reset_pool)
    arguments: dict[str, Any] = dict(zip(PASSED, (options.time_limit, pool, options.episode_info), strict=True))
    if getattr(configuration, "DATA", False):
        task = env.default_params
        arguments["data"] = Dataset.absent(env.observation_space(task), env.action_space(task)) if data is None else data
    trainer = configuration.trainer(env, **arguments)
    if not isinstance(trainer, Trainer):
        name = type(configuration).__name__
        raise RLJaxError(
            f"{name}.trainer returned a {type(trainer).__name__}: let it return rl_jax.Trainer.create(env=env, ..., **options)"
        )
    return trainer


def configured(kind: type, values: dict[str, Any]) -> Any:
    """An agent's configuration with these values.

    Raises:
        RLJaxError: with the option that cannot be.
    """
    configuration = kind(**values)
    check = getattr(configuration, "check", None)
    check() if callable(check) else check_fields(configuration)
    return configuration


def check_learns(trainer: Trainer, options: RunOptions) -> None:
    """Refuse a run that would end before its first learning step.

    Raises:
        RLJaxError: with the largest ``--learning-starts`` that leaves one.
    """
    updates = trainer.updates
    if not isinstance(updates, PerStep):
        return
    steps = trainer.num_updates(options.steps) * trainer.steps_per_update
    if (steps - updates.start) * updates.ratio < 1:
        latest = steps - math.ceil(1 / updates.ratio)
        fix = f"--learning-starts {latest} or fewer" if latest >= 0 else f"--steps {math.ceil(1 / updates.ratio)} or more"
        raise RLJaxError(
            f"--learning-starts {updates.start} leaves no learning step within --steps {options.steps} at --updates-per-step "
            f"{updates.ratio}: use {fix}"
        )


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


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write a JSON file whole or not at all."""
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    with writing(path):
        temporary.write_text(json.dumps(content, indent=2) + "\n")
        temporary.replace(path)


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a ``config.json``.

    Raises:
        RLJaxError: it is missing or is none of ours.
    """
    path, use = Path(path), "use the config.json of a run folder"
    if os.path.exists(path) and not os.path.isfile(path):  # which would have its reader wait
        raise RLJaxError(f"{path} is no file; {use}")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_once)
    except FileNotFoundError:
        raise RLJaxError(f"there is no {path}: name a run folder, as given to --out, or its config.json") from None
    except OSError as error:
        raise RLJaxError(f"cannot read {path} ({error.strerror}); {use}") from None
    except (ValueError, RecursionError) as error:
        raise RLJaxError(f"{path} is not a configuration of rl_jax ({error}); {use}") from None
    kinds = {"agent": str, "run": dict, "hyperparameters": dict}
    if wrong := [n for n, kind in kinds.items() if not isinstance(content, dict) or not isinstance(content.get(n), kind)]:
        raise RLJaxError(f"{path} is not a configuration of rl_jax (it lacks {', '.join(wrong)}); {use}")
    if content["agent"] not in CONFIGS and not is_own(content["agent"]) and content.get("command") != PYTHON:
        raise RLJaxError(f"{path} is of an unknown agent {short(content['agent'])}; known: {', '.join(CONFIGS)}")
    return content


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, in which no name stands twice."""
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]} stands there twice")
    return dict(pairs)


def restore(kind: type, values: dict[str, Any], source: Path) -> Any:
    """A configuration dataclass from its JSON."""
    return kind(**restore_values(fields(kind), values, source))


def restore_values(takes: dict[str, Takes], values: dict[str, Any], source: Path) -> dict[str, Any]:
    """Values of options from their JSON.

    Raises:
        RLJaxError: an option is unknown, or one does not take its value.
    """
    if unknown := sorted(set(values) - set(takes)):
        names = ", ".join(short(name, quoted=False) for name in unknown[:5])
        raise RLJaxError(f"{source} has options that this version does not know: {names}; remove them")
    ready = {}
    for name, value in values.items():
        try:
            ready[name] = takes[name].check(value)
        except ValueError:
            was = short(json.dumps(value, default=str), quoted=False)
            raise RLJaxError(f"{source}: {name} is {was}, and it takes {takes[name]}: correct or remove it") from None
    return ready


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Names and values that differ between two JSON configurations."""
    return [f"{option(name)} {new[name]} (was {old.get(name)})" for name in new if new[name] != old.get(name)]
