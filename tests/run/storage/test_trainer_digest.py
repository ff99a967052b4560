"""A digest that is the same in every process, and tells trainers apart by all but the code of their parts."""

import subprocess
import sys
from functools import partial

import jax.numpy as jnp
import numpy as np
import optax
import own_parts
import pytest

import rl_jax as rl
from rl_jax.agents.configs import CONFIGS
from rl_jax.run.storage.trainer_digest import trainer_digest

WHOLE = """
import optax, rl_jax as rl
from rl_jax.run.storage.trainer_digest import trainer_digest
rate = optax.linear_schedule(1e-3, 0.0, 9)
print(trainer_digest(rl.agents.sac(optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate)))))
"""


def sac(rate=1e-3, norm=1.0):
    """SAC with an optimiser that is made of functions within functions."""
    schedule = optax.linear_schedule(rate, 0.0, 9)
    return rl.agents.sac(optimizer=optax.chain(optax.clip_by_global_norm(norm), optax.adamw(schedule)))


def test_it_is_the_same_in_another_process():
    done = subprocess.run([sys.executable, "-c", WHOLE], capture_output=True, text=True, check=True, timeout=240)
    assert done.stdout.strip() == trainer_digest(sac()) == trainer_digest(sac())


def test_everything_but_code_counts():
    shared = (8, 8)
    values = [
        *(sac(), sac(rate=1e-4), sac(norm=0.5), own_parts.Reinforce(), own_parts.Reinforce(0.2)),
        *(own_parts.Reinforce(net=own_parts.Net(5)), own_parts.Bonus(), own_parts.Line(), own_parts.Line(time_limit=6)),
        *(jnp.zeros(2), jnp.zeros(3), np.float32(1), 1.0, 1, True, None, "1", {"a": 1}, {"a": 2}, [1], (1,), {1}),
        *(partial(max, 1), partial(max, 2), lambda x: x + 1, lambda x: x + 2, lambda x, y=1: x, lambda x, y=2: x, shared),
    ]
    assert len({trainer_digest(value) for value in values}) == len(values)
    # Whether equal parts are one object says nothing.
    assert trainer_digest([shared, shared]) == trainer_digest([(8, 8), tuple([8, 8])])
    loop = []
    loop.append(loop)
    assert trainer_digest(loop) == trainer_digest([loop][0])


@pytest.mark.parametrize("name", CONFIGS)
def test_the_library_s_agents_are_those_of_the_command_line(name):
    """The same parts with the same numbers, so the same parameters."""
    assert trainer_digest(getattr(rl.agents, name.replace("-", "_"))()) == trainer_digest(CONFIGS[name]().agent())
