"""Probes of one action space as tasks of one environment: an agent's program is compiled once and learns them side by side."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.envs import make
from rl_jax.spaces import Box

DISCRETE = ("constant-reward", "observed-reward", "discount", "truncation", "action-choice", "observed-action")
CONTINUOUS = ("constant-reward", "observed-reward", "discount", "truncation", "continuous-action")
#: probe -> discount, [(observation, value, best action or None)]
ANSWERS = {
    "constant-reward": (0.9, [([0.0], 1.0, None)]),
    "observed-reward": (0.9, [([-1.0], -1.0, None), ([1.0], 1.0, None)]),
    "discount": (0.5, [([0.0], 0.5, None), ([1.0], 1.0, None)]),
    # Cut after 4 steps, the future beyond the cut still counts: 1 / (1 - gamma), not the sum of 4 rewards.
    "truncation": (0.5, [([0.0], 2.0, None)]),
    "action-choice": (0.9, [([0.0], 1.0, 1)]),
    "observed-action": (0.9, [([-1.0], 1.0, 0), ([1.0], 1.0, 1)]),
    "continuous-action": (0.9, [([0.0], 0.0, [2.0])]),
}


@dataclass(frozen=True)
class Suite:
    """Probes of one observation and one action shape as tasks: ``params`` is the probe's number."""

    probes: tuple[Any, ...]
    act_space: Any
    name: str = "suite"
    time_limit: int | None = None

    @property
    def default_params(self):
        return jnp.int32(0)

    def observation_space(self, params):
        return Box.of(-1.0, 2.0, (1,))

    def action_space(self, params):
        return self.act_space

    def reset(self, key, params):
        return jax.lax.switch(params, [lambda key, p=p: p.reset(key, ()) for p in self.probes], key)

    def step(self, key, state, action, params):
        steps = [lambda key, state, action, p=p: p.step(key, state, action, ()) for p in self.probes]
        return jax.lax.switch(params, steps, key, state, action)


def suite(continuous):
    names = CONTINUOUS if continuous else DISCRETE
    space = make("probe/continuous-action" if continuous else "probe/action-choice").action_space(())
    probes = tuple(dataclasses.replace(make(f"probe/{name}"), act_space=space) for name in names)
    return Suite(probes, space), names


def faults(probes, value, action, tolerance):
    """What an agent got wrong: values ``[probes, 3]`` and best actions of the observations -1, 0 and 1."""
    wrong = []
    for i, probe in enumerate(probes):
        for obs, expected, best in ANSWERS[probe][1]:
            row = int(obs[0]) + 1
            if abs(float(value[i, row]) - expected) > tolerance:
                wrong.append(f"{probe}: V({obs}) is {float(value[i, row]):.3f}, not {expected}")
            if best is not None and not np.allclose(action[i, row], best, atol=0.3):
                wrong.append(f"{probe}: the best action in {obs} is {action[i, row]}, not {best}")
    return wrong
