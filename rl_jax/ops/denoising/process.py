"""What all processes share: what a network is trained to say, its loss, and a loop of few steps."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from rl_jax.errors import RLJaxError
from rl_jax.types import Key, PyTree

#: A network: noisy items ``[B, ..., D]`` and times ``[B]``, both as :class:`Targets` has them, to ``[B, ..., D]``.
Apply = Callable[[jax.Array, jax.Array], jax.Array]

#: Up to so many steps are written out one after the other: a loop costs more than it saves, and nothing is fused across it.
UNROLLED = 4


class Targets(NamedTuple):
    """What a network is shown, and what it should say.

    Attributes:
        input: noisy items, scaled as the network sees them, ``[B, ..., D]``.
        time: how noisy they are, as the network is told, ``[B]``; of the order of one for every process.
        target: ``[B, ..., D]``.
        weight: of each item's squared error, ``[B]``.
    """

    input: jax.Array
    time: jax.Array
    target: jax.Array
    weight: jax.Array


class Process(Protocol):
    """A way from noise to items. Its ``time`` is in its own unit: EDM's noise level, DDPM's step, flow's share of the way."""

    def times(self, key: Key, num: int) -> jax.Array:
        """Random times to train at, ``[num]``."""
        ...

    def targets(self, x: jax.Array, noise: jax.Array, time: jax.Array) -> Targets:
        """What to train on, of clean items ``x`` and standard normal ``noise`` ``[B, ..., D]`` at ``time`` ``[B]``."""
        ...

    def sample(self, apply: Apply, noise: jax.Array, steps: int) -> jax.Array:
        """Items ``[B, ..., D]`` of standard normal ``noise``, one for one: ``steps`` calls of the network, and no other randomness."""
        ...


def draw_targets(process: Process, key: Key, x: jax.Array) -> Targets:
    """Targets of clean items ``x`` ``[B, ..., D]``, each with noise and a time of its own."""
    key_time, key_noise = jax.random.split(key)
    noise = jax.random.normal(key_noise, x.shape, jnp.float32)
    return process.targets(x, noise, process.times(key_time, x.shape[0]))


def losses(apply: Apply, targets: Targets) -> jax.Array:
    """Weighted squared errors ``[B]``, each the mean over its item's elements; not reduced over the batch."""
    error = jnp.square(apply(targets.input, targets.time) - targets.target)
    return targets.weight * jnp.mean(error.reshape(error.shape[0], -1), axis=1)


def check_steps(steps: int, most: int | None = None) -> None:
    """Refuse a number of steps that cannot be made.

    Raises:
        RLJaxError: it is below one, or above ``most``.
    """
    if steps < 1:
        raise RLJaxError(f"steps is {steps}: items are drawn in one step or more")
    if most is not None and steps > most:
        raise RLJaxError(f"steps is {steps}, of a process of {most}: use as many at the most, or train with more")


def run_steps(step: Callable[[jax.Array, Any], jax.Array], x: jax.Array, inputs: PyTree, num: int) -> jax.Array:
    """``x`` after ``num`` steps ``(x, row of inputs) -> x``; inputs are ``[num, ...]``."""
    return jax.lax.scan(lambda x, row: (step(x, row), None), x, inputs, unroll=num <= UNROLLED or 1)[0]
