"""XLand-MiniGrid (Nikulin et al. 2023, https://arxiv.org/abs/2312.12044), the extra ``xminigrid``.

What was read in xminigrid 0.9.3: a step is the last one if the goal was reached or ``step_num`` is ``params.max_steps``, and its
discount is 0 in the first case and 1 in the second. So a last step with discount 0 is *terminated*, another last step *truncated*.

Observations are codes ``[view, view, 2]``, of a tile and a colour; here each becomes yes or no, ``bool[view, view, 25]``, unless
``one_hot=False``. ``params`` are the library's; of these only the ``ruleset`` of ``XLand-...`` is numbers, and a batch of rulesets is a
batch of tasks. The default one is empty and has no goal: draw some with ``xminigrid.load_benchmark(...).sample_ruleset(key)``.
"""

from typing import Any

import jax.numpy as jnp

from rl_jax.envs.dtypes import concrete
from rl_jax.envs.suites.foreign import ForeignEnv, codes_space, planes
from rl_jax.errors import ProtocolError, UnsupportedSpace
from rl_jax.spaces import Box, Discrete
from rl_jax.types import Key, PyTree, Step

_SIZES = {
    "R1": (9, 11, 13, 15, 17),
    "R2": (9, 11, 13, 15, 17),
    "R4": (9, 11, 13, 15, 17),
    "R6": (13, 17, 19),
    "R9": (16, 19, 25),
}
_ROOMS = (
    "BlockedUnlockPickUp FourRooms LockedRoom MemoryS8 MemoryS16 MemoryS32 MemoryS64 MemoryS128 Playground Unlock UnlockPickUp"
)
NAMES = (
    *(f"XLand-MiniGrid-{rooms}-{size}x{size}" for rooms, sizes in _SIZES.items() for size in sizes),
    *(f"MiniGrid-{kind}-{size}x{size}" for kind in ("DoorKey", "Empty", "EmptyRandom") for size in (5, 6, 8, 16)),
    *(f"MiniGrid-{room}" for room in _ROOMS.split()),
)
"""XLand-MiniGrid's environments."""


def known() -> tuple[str, ...]:
    """All names that the library knows."""
    import xminigrid

    return xminigrid.registered_environments()


def make(short: str, one_hot: bool = True, **options: Any) -> tuple[Any, PyTree, dict[str, Any]]:
    """The library's object and parameters; ``options`` are fields of its ``EnvParams``: ``view_size``, ``max_steps``, ``ruleset``."""
    import xminigrid

    return *xminigrid.make(short, **options), {"one_hot": one_hot}


def wrap(env: Any, name: str, params: PyTree = None, time_limit: int | None = None, one_hot: bool = True) -> ForeignEnv:
    """An adapter for an XLand-MiniGrid object.

    Raises:
        ProtocolError: without a limit of steps, which the library computes its reward from.
        UnsupportedSpace: a wrapper made the observation a dictionary.
    """
    from xminigrid.core.constants import NUM_COLORS, NUM_TILES

    params = concrete(env.default_params() if params is None else params)
    if params.max_steps is None:
        raise ProtocolError(f"{name}: params.max_steps is None; take the params of xminigrid.make or of env.default_params()")
    shape, sizes = env.observation_shape(params), (NUM_TILES, NUM_COLORS)
    if isinstance(shape, dict):
        raise UnsupportedSpace(
            f"{name}: the observation is a dictionary of {', '.join(shape)}; leave out the wrapper that made it"
        )
    coded = shape[-1] == len(sizes)

    def look(timestep: Any) -> Any:
        return planes(timestep.observation, sizes) if coded and one_hot else timestep.observation

    def reset(key: Key, params: PyTree) -> tuple[PyTree, Any]:
        timestep = env.reset(params, key)
        return timestep, look(timestep)

    def step(key: Key, state: PyTree, action: Any, params: PyTree) -> Step:
        new = env.step(params, state, action)
        over = new.last() & (new.discount == 0)
        return Step(new, look(new), new.reward, over, new.last(), {})

    observation = codes_space(shape, sizes, one_hot) if coded else Box.of(0, 255, shape, jnp.uint8)
    return ForeignEnv(env, name, params, observation, Discrete(int(env.num_actions(params))), reset, step, time_limit)
