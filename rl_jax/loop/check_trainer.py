"""Mistakes in the parts of a trainer, found by tracing alone: each is one line that names the part and the fix."""

import dataclasses
import inspect
from collections.abc import Iterator
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.errors import ProtocolError, check_part, returned
from rl_jax.experience.transform import Chain
from rl_jax.loop.collect import reset_envs
from rl_jax.loop.parts import naming_environment
from rl_jax.loop.state import TrainState
from rl_jax.loop.trainer import Trainer
from rl_jax.ops.random.reused_keys import kept_keys
from rl_jax.ops.tree_difference import difference, kind_of
from rl_jax.spaces import Discrete, MultiDiscrete, describe
from rl_jax.tracing import naming_function
from rl_jax.types import Agent, Boundary, Curriculum, ExperienceTransform, PyTree, Replay, Updates

#: What makes a class a pytree.
_STRUCT = "@flax.struct.dataclass"


def check_trainer(trainer: Trainer) -> None:
    """Check the parts of a trainer as :func:`rl_jax.envs.check_env` checks an environment. Nothing is compiled or run.

    Looked at are: the arguments of their functions; whether parts are pytrees with static fields that can be compared; what ``act``
    and ``value`` return; what any function of a part raises when it is traced, with the line of code; whether states keep their
    structure, shapes and dtypes; and whether a random key that was used stays in a state.

    Raises:
        ProtocolError: a part is not as it must be.
        RLJaxError: the loop or another part has noticed the mistake first.
    """
    check_part("what the agent's bind returned", trainer.agent, Agent, "let it return the agent")
    _check_signatures(trainer)
    _check_pytree(trainer)
    task = getattr(trainer.curriculum, "task", None)
    with naming_function(), naming_environment(trainer.env, task):
        key = jax.eval_shape(lambda: jax.random.key(0))
        _check_acting(trainer, key)
        state = jax.eval_shape(lambda key: trainer.init(key, 1), key)
        try:
            jaxpr, (next_state, _) = jax.make_jaxpr(trainer.train_step, return_shape=True)(state)
        except TypeError:
            _check_learning(trainer, state)  # a loop over learning steps says less of a state that changes
            raise
    for path, old, new in difference(state, next_state):
        part, where = _part_of(trainer, path)
        raise ProtocolError(f"{part}: its state{where} is {old} from init and {new} after a train step; {_same(old, new)}")
    for path in kept_keys(jaxpr, state):
        if path[0].name not in ("agent", "experience", "replay", "curriculum", "schedule"):
            continue
        part, where = _part_of(trainer, path)
        raise ProtocolError(
            f"{part}: its state{where} is a random key that a train step uses and does not change, so that every step draws the same; "
            f"return a new one of jax.random.split, or use jax.random.fold_in(key, context.update)"
        )


def _check_signatures(trainer: Trainer) -> None:
    """Every function of a part can be called as its protocol says."""
    transforms = trainer.experience.transforms if isinstance(trainer.experience, Chain) else (trainer.experience,)
    parts: list[tuple[Any, type]] = [(trainer.agent, Agent), *((part, ExperienceTransform) for part in transforms)]
    parts += [(trainer.replay, Replay), (trainer.curriculum, Curriculum), (trainer.updates, Updates)]
    for part, protocol in parts:
        for name, function in vars(protocol).items():
            if name.startswith("_") or not inspect.isfunction(function):
                continue
            takes = list(inspect.signature(function).parameters)[1:]
            try:
                inspect.signature(getattr(part, name)).bind(*takes)
            except TypeError as error:
                raise ProtocolError(
                    f"{type(part).__name__}.{name} cannot be called as {name}({', '.join(takes)}) ({error}): let it take these"
                ) from None


def _check_pytree(trainer: Trainer) -> None:
    """Leaves are numbers, static fields can be compared, and the environment can be hashed."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(trainer):
        if not isinstance(leaf, bool | int | float | complex | np.ndarray | np.generic | jax.Array):
            where = jax.tree_util.keystr(path).removeprefix(".")
            fix = (
                f"write it as a class with __call__, {_STRUCT}"
                if inspect.isroutine(leaf)
                else f"decorate its class with {_STRUCT}"
            )
            raise ProtocolError(f"{where} is a {type(leaf).__name__}, which is no pytree: {fix}, or make the field static")
    for owner, name, value in _static_fields(trainer):
        if _holds_array(value):
            raise ProtocolError(
                f"{owner}: its static field {name} holds an array, and programs are told apart by comparing static fields: let the "
                f"field be a leaf (without pytree_node=False), or a tuple of numbers"
            )
    try:
        hash(trainer.env)
    except TypeError as error:
        raise ProtocolError(
            f"{type(trainer.env).__name__}: this environment cannot be hashed ({error}); make its class @dataclass(frozen=True) with "
            f"fields that can be, or @dataclass(eq=False)"
        ) from None


def _static_fields(part: Any) -> Iterator[tuple[str, str, Any]]:
    """The class, name and value of every static field of a part and of the parts in it."""
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            if field.metadata.get("pytree_node", True):
                yield from _static_fields(value)
            elif value is not getattr(part, "env", None):
                yield type(part).__name__, field.name, value
    elif isinstance(part, dict | list | tuple):
        for item in part.values() if isinstance(part, dict) else part:
            yield from _static_fields(item)


def _holds_array(value: Any) -> bool:
    if isinstance(value, dict | list | tuple):
        return any(map(_holds_array, value.values() if isinstance(value, dict) else value))
    if isinstance(value, nn.Module):
        return any(_holds_array(getattr(value, field.name)) for field in dataclasses.fields(value))
    return isinstance(value, np.ndarray | jax.Array)


def _check_acting(trainer: Trainer, key: Any) -> None:
    """What ``act`` and ``value`` return for the first observations."""
    agent, name, number = trainer.agent, type(trainer.agent).__name__, trainer.num_envs

    def begin(key: jax.Array) -> Any:
        keys = jax.random.split(key, 3)
        levels = trainer.curriculum.init(keys[0], trainer.base)
        memory = agent.initial_carry(number)
        return agent.init(keys[1], trainer.base), reset_envs(trainer.curriculum, levels, memory, keys[2], number).boundary

    state, start = jax.eval_shape(begin, key)

    def act(state: PyTree, start: Boundary, key: jax.Array, greedy: bool) -> Any:
        result = agent.act(state, start.carry, start.obs, start.first, key, greedy)
        return returned(f"{name}.act", result, ("carry", "action", "extras"))

    space = trainer.base.action_space
    whole = isinstance(space, Discrete | MultiDiscrete)
    expected = f"{'int32' if whole else 'float32'}{[number, *space.shape]}"
    for greedy in (False, True):
        carry, action, extras = jax.eval_shape(partial(act, greedy=greedy), state, start, key)
        fits = hasattr(action, "dtype") and jnp.issubdtype(action.dtype, jnp.integer if whole else jnp.floating)
        if not fits or action.shape != (number, *space.shape):
            unit = "" if whole else ", in unit coordinates (-1 to 1)"
            how = "greedy=True" if greedy else "greedy=False"
            raise ProtocolError(
                f"{name}.act with {how} returned {kind_of(action)} as action, expected {expected} for {describe(space)}{unit}; "
                f"reshape or cast it"
            )
        for path, old, new in difference(start.carry, carry):
            where = jax.tree_util.keystr(path)
            raise ProtocolError(f"{name}.act: the carry{where} is {old} before and {new} after it; {_same(old, new)}")
        for field, leaf in extras.items() if isinstance(extras, dict) else [("", extras)]:
            if not isinstance(extras, dict) or jnp.shape(leaf)[:1] != (number,):
                what = (
                    f"extras['{field}'] of the shape {list(jnp.shape(leaf))}"
                    if field
                    else f"a {type(extras).__name__} as extras"
                )
                raise ProtocolError(
                    f"{name}.act returned {what}; let extras be a dict of arrays [N, ...], {{}} if there are none"
                )
    found = jax.eval_shape(agent.value, state, start.carry, start.obs, start.first)
    if kind_of(found) != f"float32[{number}]":
        raise ProtocolError(
            f"{name}.value returned {kind_of(found)}, expected float32[{number}]: one value for each environment"
        )


def _check_learning(trainer: Trainer, state: TrainState) -> None:
    """The agent's state before and after one call of ``learn``."""

    def learn(state: TrainState) -> PyTree:
        state, rollout, context, _ = trainer._collect(state)
        sample = trainer.replay.sample(trainer.replay.add(state.replay, rollout, context), context)
        return returned(
            "the agent's learn", trainer.agent.learn(state.agent, sample, context), ("state", "metrics", "priorities")
        )[0]

    for path, old, new in difference(state.agent, jax.eval_shape(learn, state)):
        where, name = jax.tree_util.keystr(path), type(trainer.agent).__name__
        raise ProtocolError(f"{name}.learn: its state{where} is {old} before and {new} after it; {_same(old, new)}")


def _part_of(trainer: Trainer, path: tuple[Any, ...]) -> tuple[str, str]:
    """The name of the part whose state a path leads into, and the rest of the path."""
    slot, rest = path[0].name, path[1:]
    part = trainer.updates if slot == "schedule" else getattr(trainer, slot, trainer.env)
    if isinstance(part, Chain) and rest:
        part, rest = part.transforms[rest[0].idx], rest[1:]
    return type(part).__name__, jax.tree_util.keystr(rest)


def _same(old: str, new: str) -> str:
    """The fix of a value that changes its kind."""
    keys = "key<" in old + new
    return (
        "let both be typed keys (jax.random.key)"
        if keys
        else "let both have one structure, shape and dtype (jnp.asarray(x, dtype))"
    )
