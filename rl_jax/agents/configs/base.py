"""What the configuration of every agent has, and how Python changes some of its numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from rl_jax.agents.configs.spellings import meant
from rl_jax.errors import RLJaxError
from rl_jax.values import check_fields, fields, short

C = TypeVar("C", bound="AgentConfig")
#: Optimisers that have a name: see :func:`rl_jax.agents.optimizers.optimizer`.
OptimizerName = Literal["adam", "radam", "rmsprop"]


@dataclass(frozen=True)
class AgentConfig:
    """An agent, what it learns from and how it is run, as one flat list of numbers: the only place of their defaults.

    Class attributes:
        RUN: fields that are of the run around the agent: of its environments, rollouts, replay buffer or experience chain.
        NETWORK: fields that are of the networks alone.
        OPTIMIZER: fields that say how an optimiser with a name steps; one that optax has made knows that itself.
    """

    RUN = frozenset({"num_envs", "rollout_length"})
    NETWORK = frozenset({"hidden", "activation", "torso_dtype", "memory", "memory_width"})
    OPTIMIZER = frozenset({"learning_rate", "actor_learning_rate", "anneal", "max_grad_norm", "adam_epsilon"})

    def check(self) -> None:
        """Refuse numbers that cannot be.

        Raises:
            RLJaxError: with the option's name and the values it takes.
        """
        check_fields(self)

    def agent(self) -> Any:
        """The agent alone."""
        raise NotImplementedError


def numbers_of(kind: type[C], config: C | None, overrides: Mapping[str, Any], optimizer: Any = None, **networks: Any) -> C:
    """The numbers of an agent: a configuration's, its defaults if there is none, with some of them changed.

    Numbers may be arrays and may be traced; the agent's ``bind`` holds them to their ranges.

    Args:
        kind: the agent's configuration.
        config: one of these, or ``None``.
        overrides: fields and their values.
        optimizer: what the agent learns with, if that is no field.
        networks: of one's own, by name; ``None`` for the usual ones.

    Raises:
        RLJaxError: there is no such field, or the agent would not be another one for it.
    """
    if config is not None and not isinstance(config, kind):
        raise RLJaxError(f"config is a {type(config).__name__}: give a {kind.__name__}, or its fields alone")
    if callable(overrides.get("learning_rate")) and overrides.get("anneal"):
        raise RLJaxError("a learning_rate that is a schedule is not annealed besides: leave out anneal=True")
    optimizer = overrides.get("optimizer", optimizer)
    for field, value in overrides.items():
        _check_override(kind, field, value, networks)
        if field in kind.OPTIMIZER and optimizer is not None and not isinstance(optimizer, str):
            raise RLJaxError(f"{field} is of optimizers with a name, and what optax makes steps by itself: leave out {field}")
    numbers = kind() if config is None else config
    return replace(numbers, **overrides) if overrides else numbers


def _check_override(kind: Any, field: str, value: Any, networks: Mapping[str, Any]) -> None:
    """Refuse a field that is none, or that would change nothing, and a switch or width that cannot be."""
    known, name = fields(kind), kind.__name__
    if field not in known:
        near = meant(field, {*known, *networks})
        fix = f"did you mean {' or '.join(near)}?" if near else f"help(rl_jax.agents.configs.{name}) lists all"
        raise RLJaxError(f"{name} has no {short(field, quoted=False)}; {fix}")
    if field in kind.RUN:
        fix = f"give it to {name}({field}=...).trainer(env), or to the other parts of rl_jax.Trainer.create"
        raise RLJaxError(f"{field} is no number of the agent alone: {fix}")
    if field in kind.NETWORK and all(part is not None for part in networks.values()):
        own = " and ".join(networks)
        raise RLJaxError(f"{field} is of the usual networks, and {own} replace them: leave out {field}={short(value)}")
    takes = known[field]
    if takes.kind is bool or (takes.kind is int and field in kind.NETWORK):  # no leaves, so they are not traced
        try:
            takes.check(value)
        except ValueError:
            raise RLJaxError(f"{name}'s {field} must be {takes}, not {short(value)}") from None


def usual(part: Any, default: Any) -> Any:
    """A part that was given, or else the default."""
    return default if part is None else part
