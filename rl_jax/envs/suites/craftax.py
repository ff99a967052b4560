"""Craftax and Craftax-Classic (Matthews et al. 2024, https://arxiv.org/abs/2402.16801), the extra ``craftax``.

What was read in craftax 1.6.1 and decides how its episodes end: ``is_terminal`` is death (in Classic also lava, in the full game
also the boss's defeat) *or* ``state.timestep >= params.max_timesteps``, and ``step_env`` returns that as one ``done``. Here the
first is *terminated* and the second alone *truncated*: ``is_terminal`` is asked again as if there were no limit. The variants
without auto-reset are used.

``info`` holds Craftax's own achievements, in percent and only at the end of an episode (zero before), and in Classic ``score``.
Observations of ``...-Pixels-v1`` are ``float32`` in [0, 1]. The first program of the full game takes minutes to compile on a CPU.
"""

from typing import Any

import jax.numpy as jnp

from rl_jax.envs.dtypes import concrete
from rl_jax.envs.suites.foreign import ForeignEnv
from rl_jax.envs.suites.gymnax import convert_space
from rl_jax.types import Key, PyTree, Step

NAMES = ("Craftax-Classic-Pixels-v1", "Craftax-Classic-Symbolic-v1", "Craftax-Pixels-v1", "Craftax-Symbolic-v1")
"""Craftax's environments."""


def known() -> tuple[str, ...]:
    """All names that the library knows."""
    return NAMES


def make(short: str, **options: Any) -> tuple[Any, PyTree, dict[str, Any]]:
    """The library's object and parameters; ``options`` are fields of its ``EnvParams``, such as ``max_timesteps``."""
    from craftax.craftax_env import make_craftax_env_from_name

    env = make_craftax_env_from_name(short, auto_reset=False)
    return env, env.default_params.replace(**options), {}


def wrap(env: Any, name: str, params: PyTree = None, time_limit: int | None = None) -> ForeignEnv:
    """An adapter for a Craftax object. A task is its ``EnvParams``, whose numbers may be a batch."""
    params = concrete(env.default_params if params is None else params)
    endless = jnp.iinfo(jnp.int32).max

    def reset(key: Key, params: PyTree) -> tuple[PyTree, Any]:
        obs, state = env.reset_env(key, params)
        return state, obs

    def step(key: Key, state: PyTree, action: Any, params: PyTree) -> Step:
        obs, new, reward, ended, info = env.step_env(key, state, action, params)
        over = env.is_terminal(new, params.replace(max_timesteps=endless))
        report = {field: value for field, value in info.items() if field != "discount"}
        return Step(new, obs, reward, over, ended, report)

    observation = convert_space(name, env.observation_space(params), jnp.float32)
    return ForeignEnv(env, name, params, observation, convert_space(name, env.action_space(params)), reset, step, time_limit)
