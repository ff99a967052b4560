"""Navix (Pignatelli et al. 2024, https://arxiv.org/abs/2407.19396), MiniGrid in JAX, the extra ``navix``.

What was read in navix 0.7.4 and decides how its episodes end: ``timestep.step_type`` is 1 where only ``max_steps`` was reached,
which is *truncated* here, and 2 where the task ended, which is *terminated*. ``navix.make`` sets ``max_steps`` to 100 for every
environment, whatever its size; ``make("navix/...", max_steps=...)`` sets another. Its ``step`` would reset by itself at the step
after an end; the function within it that never does is used.

Observations of kind ``symbolic`` (the default, the whole grid) and ``symbolic_first_person`` are codes ``[H, W, 3]`` of an object,
a colour and a state. Here each becomes yes or no, ``bool[H, W, 21]``, unless ``one_hot=False``. The library declares fewer codes
than it uses (9, but the player is 10); the space here has them all. ``rgb`` and ``rgb_first_person`` are pictures, ``uint8``; for
others the state does not keep the picture of the empty grid (5 kB in a room of 5 x 5, 49 kB in one of 16 x 16).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.envs.suites.foreign import ForeignEnv, codes_space, planes, raw
from rl_jax.errors import RLJaxError
from rl_jax.spaces import Box, Discrete
from rl_jax.types import Key, PyTree, Step

_SIZES = ("5x5", "6x6", "8x8", "16x16")
_REST = """DistShift1 DistShift2 Dynamic-Obstacles-16x16 Dynamic-Obstacles-5x5 Dynamic-Obstacles-5x5-Random Dynamic-Obstacles-6x6
Dynamic-Obstacles-6x6-Random Dynamic-Obstacles-8x8 FourRooms GoToDoor-5x5 GoToDoor-6x6 GoToDoor-8x8 KeyCorridorS3R1 KeyCorridorS3R2
KeyCorridorS3R3 KeyCorridorS4R3 KeyCorridorS5R3 KeyCorridorS6R3 LavaGapS5 LavaGapS6 LavaGapS7 SimpleCrossingS11N5 SimpleCrossingS9N1
SimpleCrossingS9N2 SimpleCrossingS9N3"""
NAMES = (
    *(f"Navix-{kind}-{size}-v0" for kind in ("DoorKey", "DoorKey-Random", "Empty", "Empty-Random") for size in _SIZES),
    *(f"Navix-{rest}-v0" for rest in _REST.split()),
)
"""Navix's environments."""

_SYMBOLS = ("symbolic", "symbolic_first_person")
_KINDS = (*_SYMBOLS, "categorical", "categorical_first_person", "rgb", "rgb_first_person")
#: Objects (0 unknown ... 10 the player), colours, states (a direction, or how far a door is open).
_CODES = (11, 6, 4)


def known() -> list[str]:
    """All names that the library knows."""
    import navix

    return list(navix.registry())


def make(short: str, observation: str = "symbolic", one_hot: bool = True, **options: Any) -> tuple[Any, PyTree, dict[str, Any]]:
    """The library's object.

    Args:
        short: its name.
        observation: ``symbolic``, ``categorical`` or ``rgb``, of the whole grid, or with ``_first_person`` of what the agent sees.
        one_hot: give symbols as yes or no.
        options: passed to ``navix.make``: ``max_steps``, ``reward_fn``, ``termination_fn``, ...

    Raises:
        RLJaxError: no such observation.
    """
    import navix

    if observation not in _KINDS:
        raise RLJaxError(f"navix/{short}: there is no observation '{observation}'; choose one of {', '.join(_KINDS)}")
    env = navix.make(short, observation_fn=getattr(navix.observations, observation), **options)
    return env, None, {"one_hot": one_hot}


def wrap(env: Any, name: str, params: PyTree = None, time_limit: int | None = None, one_hot: bool = True) -> ForeignEnv:
    """An adapter for a Navix object, which has no parameters."""
    kind = getattr(env.observation_fn, "__name__", "")
    coded, keep_picture = kind in _SYMBOLS, not kind.startswith(("symbolic", "categorical"))

    def look(timestep: Any) -> Any:
        return planes(timestep.observation, _CODES) if coded and one_hot else timestep.observation

    def reset(key: Key, params: PyTree) -> tuple[PyTree, Any]:
        timestep = env.reset(key)
        if not keep_picture:
            timestep = timestep.replace(state=timestep.state.replace(cache=None))
        return timestep, look(timestep)

    def step(key: Key, state: PyTree, action: Any, params: PyTree) -> Step:
        timestep = env._step(state, action)
        return Step(timestep, look(timestep), timestep.reward, timestep.is_termination(), timestep.is_truncation(), {})

    obs_shape = jax.eval_shape(lambda: env.reset(raw(jax.random.key(0))).observation)
    if coded:
        observation = codes_space(obs_shape.shape, _CODES, one_hot)
    elif obs_shape.dtype == jnp.uint8:
        observation = Box.of(0, 255, obs_shape.shape, jnp.uint8)
    else:
        low, high = (-1, _CODES[0] - 1) if kind.startswith("categorical") else (-np.inf, np.inf)
        observation = Box.of(low, high, obs_shape.shape, np.dtype(obs_shape.dtype))
    made = () if params is None else params
    return ForeignEnv(env, name, made, observation, Discrete(len(env.action_set)), reset, step, time_limit)
