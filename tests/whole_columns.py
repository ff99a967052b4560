"""Rollouts of whole episodes whose columns can be told apart, and an agent whose policy is known."""

from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from toy import context, rollout_of

from rl_jax.spaces import Box, Discrete
from rl_jax.types import Spec

T, N, G = 3, 8, 4


class Level(NamedTuple):
    """The level of a column, as much of it as selections read."""

    problem: Any


@struct.dataclass
class Fixed:
    """An agent whose policy is known in advance: the entropy of a step is its first parameter, a log-probability the second."""

    def params(self, state):
        return state

    def outputs(self, params, rollout):
        shape = rollout.reward.shape
        entropy, log_prob = (jnp.broadcast_to(x, shape) for x in params)
        return SimpleNamespace(policy=SimpleNamespace(entropy=lambda: entropy, log_prob=lambda action: log_prob))


def columns(outcome, advantage=None, own=None, prompt=None, mark=0.0):
    """A rollout of whole episodes that are paid at their ends; observation and log-probability tell columns apart."""
    outcome = np.asarray(outcome, float)
    number = len(outcome)
    own = np.ones((T, number), bool) if own is None else own
    weight = own / own.mean()
    names = np.broadcast_to(mark + np.arange(number, dtype=float), (T, number))
    advantage = outcome if advantage is None else np.asarray(advantage, float)
    spread = {"outcome": outcome, "advantage": advantage}
    extras = {name: jnp.asarray(np.broadcast_to(x, (T, number)), jnp.float32) for name, x in spread.items()}
    rollout = rollout_of(
        np.concatenate([np.zeros((T - 1, number)), outcome[None]]),
        obs=jnp.asarray(names[..., None], jnp.float32),
        own=own,
        weight=jnp.asarray(weight, jnp.float32),
        log_prob=jnp.asarray(-names, jnp.float32),
        **extras,
    )
    prompt = np.arange(number) // G if prompt is None else np.repeat(prompt, G)
    return rollout.replace(level=Level(jnp.asarray(np.broadcast_to(prompt, (T, number)), jnp.int32)))


def spec_of(rollout):
    """The spec of rollouts as the loop collects them, before any transform."""
    rollout = rollout.replace(extras={name: rollout.extras[name] for name in ("log_prob", "own")})
    length, number = rollout.reward.shape
    return Spec(Box.of(-9.0, 9.0, (1,)), Discrete(2), number, length, jax.eval_shape(lambda: rollout), whole=True)


def names_of(rollout):
    """Which columns these were."""
    return np.asarray(rollout.obs[0, :, 0])


@jax.jit
def update(part, state, rollout, context):
    """What a part makes of a rollout: its next state, the rollout, and metrics."""
    return part.update(state, rollout, context)


def updated(part, rollout, state=None, **known):
    """A part's state, rollout and metrics after one rollout; ``known``: of its context."""
    state = part.init(jax.random.key(0), spec_of(rollout)) if state is None else state
    return update(part, state, rollout, context(**known))
