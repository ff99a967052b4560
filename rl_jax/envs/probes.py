"""Probe environments: the smallest tasks that each need one ability, with answers known in advance.

When an agent fails on a real task, the first probe that it fails too says what is broken. ``c`` is a cue, -1 or 1.

=========================== =============================================== =======================================
name                        what happens                                    the right answer
=========================== =============================================== =======================================
``probe/constant-reward``   one step, obs 0, reward 1                       V = 1
``probe/observed-reward``   one step, obs c, reward c                       V(c) = c
``probe/discount``          two steps, obs t, reward 1 at the end           V(0) = gamma, V(1) = 1
``probe/action-choice``     one step, obs 0, reward 1 for action 1,         action 1, V = 1
                            else -1
``probe/observed-action``   one step, obs c, reward 1 if action = [c > 0],  action [c > 0], V = 1;
                            else -1                                         blind to obs: 0
``probe/memory``            c is shown at the first step only; at the       return 1, without a memory 0;
                            last, reward 1 if action = [c > 0], else -1     V at step t: gamma^(steps - 1 - t)
``probe/continuous-action`` one step, action a in [-2, 4],                  a = 2 (1/3 in unit coordinates),
                            reward -(a - 2)^2                               V = 0
``probe/truncation``        obs 0, reward 1 for ever, cut after 4 steps     V = 1 / (1 - gamma), not a sum of 4
``probe/multi-discrete``    one step, obs c, two choices; the reward is     (2, 0) for c = 1, (0, 1) for c = -1;
                            the share of them that is right                 V = 1
=========================== =============================================== =======================================

Those of dictionary observations stand in :mod:`rl_jax.envs.structured_probes`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from rl_jax.argument_checks import check_argument
from rl_jax.envs.fixed_spaces import FixedSpaces
from rl_jax.envs.structured_probes import STRUCTURED_PROBES
from rl_jax.spaces import Box, Discrete, MultiDiscrete, Space
from rl_jax.types import Environment, Key, PyTree, Step
from rl_jax.values import Range


class ProbeState(NamedTuple):
    """``cue``: ``float32``, -1 or 1, drawn at reset; ``time``: ``int32``, steps taken."""

    cue: jax.Array
    time: jax.Array


@dataclass(frozen=True)
class Probe(FixedSpaces):
    """A probe, described by two functions and the numbers of steps.

    Attributes:
        name: with the prefix ``probe/``.
        obs_space, act_space: its spaces.
        see: ``(cue, time, steps) -> obs``, ``time`` counting from 0.
        pay: ``(cue, last, action) -> reward``; ``last`` says whether this step ends the episode.
        steps: length of an episode.
        endless: the end is a truncation, not a termination.
    """

    name: str
    obs_space: Space
    act_space: Space
    see: Callable[[jax.Array, jax.Array, int], jax.Array]
    pay: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
    steps: int = 1
    endless: bool = False

    def reset(self, key: Key, params: PyTree) -> tuple[ProbeState, jax.Array]:
        cue = jnp.where(jax.random.bernoulli(key), jnp.float32(1.0), jnp.float32(-1.0))
        state = ProbeState(cue, jnp.zeros((), jnp.int32))
        return state, self._obs(state)

    def step(self, key: Key, state: ProbeState, action: jax.Array, params: PyTree) -> Step:
        """Deterministic; ``key`` is not used."""
        last = state.time + 1 >= self.steps
        reward = jnp.asarray(self.pay(state.cue, last, action), jnp.float32)
        state = ProbeState(state.cue, state.time + 1)
        return Step(state, self._obs(state), reward, last & (not self.endless), last & self.endless, {})

    def _obs(self, state: ProbeState) -> jax.Array:
        return jnp.asarray(self.see(state.cue, state.time, self.steps), jnp.float32)


def _see_nothing(cue: jax.Array, time: jax.Array, steps: int) -> jax.Array:
    return jnp.zeros((1,))


def _see_cue(cue: jax.Array, time: jax.Array, steps: int) -> jax.Array:
    return cue[None]


def _see_time(cue: jax.Array, time: jax.Array, steps: int) -> jax.Array:
    return time[None]


def _see_cue_once(cue: jax.Array, time: jax.Array, steps: int) -> jax.Array:
    """The cue at the first step, and a sign that the answer is wanted at the last."""
    return jnp.stack([jnp.where(time == 0, cue, 0.0), jnp.where(time == steps - 1, 1.0, 0.0)])


def _pay_always(cue: jax.Array, last: jax.Array, action: jax.Array) -> jax.Array:
    return jnp.ones(())


def _pay_cue(cue: jax.Array, last: jax.Array, action: jax.Array) -> jax.Array:
    return cue


def _pay_at_end(cue: jax.Array, last: jax.Array, action: jax.Array) -> jax.Array:
    return jnp.where(last, 1.0, 0.0)


def _pay_action(cue: jax.Array, last: jax.Array, action: jax.Array) -> jax.Array:
    return jnp.where(action == 1, 1.0, -1.0)


def _pay_match(cue: jax.Array, last: jax.Array, action: jax.Array) -> jax.Array:
    """The action must say the cue's sign, at the last step."""
    return jnp.where(last, jnp.where((action == 1) == (cue > 0), 1.0, -1.0), 0.0)


def _pay_distance(cue: jax.Array, last: jax.Array, action: jax.Array) -> jax.Array:
    return -jnp.square(action[0] - 2.0)


def _pay_components(cue: jax.Array, last: jax.Array, action: jax.Array) -> jax.Array:
    right_action = jnp.where(cue > 0, jnp.array([2, 0], jnp.int32), jnp.array([0, 1], jnp.int32))
    return jnp.mean(jnp.where(action == right_action, 1.0, 0.0))


_UNIT = Box.of(-1.0, 1.0, (1,))
_TWO = Discrete(2)


def _memory(delay: int = 4) -> Probe:
    """``probe/memory`` with ``delay`` blank steps between the cue and the answer."""
    check_argument("probe/memory's delay", delay, Annotated[int, Range(0, 1_000_000)])
    space = Box.of(-1.0, 1.0, (2,))
    return Probe("probe/memory", space, _TWO, _see_cue_once, _pay_match, steps=delay + 2)


PROBES: dict[str, Callable[..., Environment]] = {
    "probe/constant-reward": partial(Probe, "probe/constant-reward", _UNIT, _TWO, _see_nothing, _pay_always),
    "probe/observed-reward": partial(Probe, "probe/observed-reward", _UNIT, _TWO, _see_cue, _pay_cue),
    "probe/discount": partial(Probe, "probe/discount", Box.of(0.0, 2.0, (1,)), _TWO, _see_time, _pay_at_end, steps=2),
    "probe/action-choice": partial(Probe, "probe/action-choice", _UNIT, _TWO, _see_nothing, _pay_action),
    "probe/observed-action": partial(Probe, "probe/observed-action", _UNIT, _TWO, _see_cue, _pay_match),
    "probe/memory": _memory,
    "probe/continuous-action": partial(
        Probe, "probe/continuous-action", _UNIT, Box.of(-2.0, 4.0, (1,)), _see_nothing, _pay_distance
    ),
    "probe/truncation": partial(Probe, "probe/truncation", _UNIT, _TWO, _see_nothing, _pay_always, steps=4, endless=True),
    "probe/multi-discrete": partial(Probe, "probe/multi-discrete", _UNIT, MultiDiscrete((3, 2)), _see_cue, _pay_components),
    **STRUCTURED_PROBES,
}
"""Factories of all probes, by name. Equal arguments make equal (and equally hashed) probes."""
