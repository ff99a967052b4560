"""Probes of dictionary observations: what an agent must read, obey or show to its critic alone. See :mod:`rl_jax.envs.probes`.

``c`` and ``d`` are cues, -1 or 1.

====================== ============================================================ =====================================
name                   what happens                                                 the right answer
====================== ============================================================ =====================================
``probe/masked``       four steps, obs ``time`` and a mask that allows two of four  the first of the two allowed, V = 4 at
                       actions, drawn at each; reward 1 for the first of the two,   the first step; no way to tell which
                       0 for the other, -10 for a forbidden one                     are allowed but the mask
``probe/dictionary``   one step, obs ``number`` c and ``choice`` [d > 0]; reward 1  action [c d > 0], V = 1; blind to
                       if action = [c d > 0], else -1                               either part: 0
``probe/privileged``   one step, obs ``cue`` c, and ``privileged`` d; reward 1 if   action [c > 0], V = 1 + 10 d; blind
                       action = [c > 0], else -1, and 10 d either way               to d, advantages are mostly noise
====================== ============================================================ =====================================

``info["right"]`` says whether the action was the right one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rl_jax.envs.fixed_spaces import FixedSpaces
from rl_jax.masks import MASK
from rl_jax.spaces import PRIVILEGED, Box, Dict, Discrete, Space, mask_space
from rl_jax.types import Key, PyTree, Step


class CuesState(NamedTuple):
    """``cues``: ``float32[2]``, -1 or 1 each, drawn at every step; ``time``: ``int32``, steps taken."""

    cues: jax.Array
    time: jax.Array


@dataclass(frozen=True)
class StructuredProbe(FixedSpaces):
    """A probe whose observation is a dictionary.

    Attributes:
        name: with the prefix ``probe/``.
        obs_space, act_space: its spaces.
        see: ``(cues, time) -> obs``, ``time`` counting from 0.
        pay: ``(cues, action) -> (reward, right)``.
        steps: length of an episode, which ends as terminated.
    """

    name: str
    obs_space: Dict
    act_space: Space
    see: Callable[[jax.Array, jax.Array], dict[str, Any]]
    pay: Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
    steps: int = 1

    def reset(self, key: Key, params: PyTree) -> tuple[CuesState, PyTree]:
        state = CuesState(_draw(key), jnp.zeros((), jnp.int32))
        return state, self.see(*state)

    def step(self, key: Key, state: CuesState, action: jax.Array, params: PyTree) -> Step:
        reward, right = self.pay(state.cues, action)
        state = CuesState(_draw(key), state.time + 1)
        info = {"right": right.astype(jnp.float32)}
        return Step(
            state, self.see(*state), jnp.asarray(reward, jnp.float32), state.time >= self.steps, jnp.zeros((), bool), info
        )


def _draw(key: Key) -> jax.Array:
    return jnp.where(jax.random.bernoulli(key, shape=(2,)), jnp.float32(1.0), jnp.float32(-1.0))


def _first(cues: jax.Array) -> jax.Array:
    """The first of the two allowed actions, ``int32``: 0 to 2; the other one is the next, or with ``d < 0`` the last."""
    return jnp.where(cues[0] > 0, 0, 1).astype(jnp.int32)


def _see_mask(cues: jax.Array, time: jax.Array) -> dict[str, Any]:
    first = _first(cues)
    action = jnp.arange(4, dtype=jnp.int32)
    other = jnp.where(cues[1] > 0, first + 1, 3)
    return {"time": time[None].astype(jnp.float32), MASK: (action == first) | (action == other)}


def _pay_allowed(cues: jax.Array, action: jax.Array) -> tuple[jax.Array, jax.Array]:
    right, allowed = action == _first(cues), _see_mask(cues, jnp.zeros((), jnp.int32))[MASK][action]
    return jnp.where(right, 1.0, jnp.where(allowed, 0.0, -10.0)), right


def _see_parts(cues: jax.Array, time: jax.Array) -> dict[str, Any]:
    return {"number": cues[:1], "choice": (cues[1] > 0).astype(jnp.int32)}


def _pay_both(cues: jax.Array, action: jax.Array) -> tuple[jax.Array, jax.Array]:
    right = (action == 1) == (cues[0] * cues[1] > 0)
    return jnp.where(right, 1.0, -1.0), right


def _see_privileged(cues: jax.Array, time: jax.Array) -> dict[str, Any]:
    return {"cue": cues[:1], PRIVILEGED: cues[1:]}


def _pay_with_noise(cues: jax.Array, action: jax.Array) -> tuple[jax.Array, jax.Array]:
    right = (action == 1) == (cues[0] > 0)
    return jnp.where(right, 1.0, -1.0) + 10.0 * cues[1], right


_UNIT = Box.of(-1.0, 1.0, (1,))
_FOUR = Discrete(4)
_MASKED = Dict({"time": Box.of(0.0, 4.0, (1,)), MASK: mask_space(_FOUR)})
_PARTS = Dict({"number": _UNIT, "choice": Discrete(2)})
_PRIVILEGED = Dict({"cue": _UNIT, PRIVILEGED: _UNIT})

STRUCTURED_PROBES: dict[str, Callable[..., StructuredProbe]] = {
    "probe/masked": partial(StructuredProbe, "probe/masked", _MASKED, _FOUR, _see_mask, _pay_allowed, steps=4),
    "probe/dictionary": partial(StructuredProbe, "probe/dictionary", _PARTS, Discrete(2), _see_parts, _pay_both),
    "probe/privileged": partial(
        StructuredProbe, "probe/privileged", _PRIVILEGED, Discrete(2), _see_privileged, _pay_with_noise
    ),
}
"""Factories of these probes, by name."""
