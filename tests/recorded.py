"""Recorded experience for tests of shapes, and trainers of any configuration."""

import jax.numpy as jnp

import rl_jax as rl
from rl_jax.agents.configs import CONFIGS
from rl_jax.data import Dataset
from rl_jax.data.marks import marks_of
from rl_jax.spaces import example

#: Rooms whose functions have the names of agents.
ROOMS = (rl.agents, rl.agents.offline, rl.agents.imitation)
#: DAC is no agent without an expert's data: see tests/agents/test_imitation.py.
ALONE = [name for name in CONFIGS if name != "dac"]
FACTORIES = {name: next(filter(None, (getattr(room, name.replace("-", "_"), None) for room in ROOMS))) for name in ALONE}


def blank(env, steps=4):
    """One terminated episode of zeros."""
    task = env.default_params
    obs_space, action_space = env.observation_space(task), env.action_space(task)
    ended = jnp.arange(steps) == steps - 1
    reward, marks = jnp.zeros((steps,), jnp.float32), marks_of(ended, jnp.zeros_like(ended))
    return Dataset(example(obs_space, steps + 1), example(action_space, steps), reward, marks, {}, obs_space, action_space)


def trainer_of(config, env, **options):
    """A configuration's trainer, with a data set where it needs one."""
    if getattr(config, "DATA", False):
        options["data"] = blank(env)
    return config.trainer(env, **options)
