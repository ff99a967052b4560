"""Grid worlds whose map is drawn anew for each episode, from a number of contexts."""

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from rl_jax.argument_checks import check_argument, check_numbers
from rl_jax.envs.grid.world import PLANES, World, act, on_goal, view
from rl_jax.errors import RLJaxError
from rl_jax.ops import random_index
from rl_jax.spaces import Box, Discrete, Space
from rl_jax.types import Key, Step
from rl_jax.values import Count, CountOrZero, Range

FAMILY = np.uint32(0x67726964)
"""In the keys of all maps."""


class Layout(Protocol):
    """A family of maps. All of them have one ``shape`` and can be solved.

    ``length``: how many rooms, or rows of rooms, a map has at most; ``draw`` makes maps of any smaller number too.
    """

    @property
    def shape(self) -> tuple[int, int]: ...

    @property
    def length(self) -> int: ...

    def draw(self, key: Key, length: jax.Array) -> World: ...


@struct.dataclass
class RoomsParams:
    """The task: which maps there are.

    Attributes:
        contexts: number of maps, of which each episode draws one uniformly; 0: a new one every time (of 2^31 - 1). A map
            includes the agent's start. This is the contextual MDP of Henaff et al. 2023, "A Study of Global and Episodic
            Bonuses for Exploration in Contextual MDPs": 1 context is an ordinary MDP.
        seed: which family; a map is a function of the seed and the number of its context.
        length: how many rooms (of a corridor: rows of rooms), at most the layout's.
    """

    contexts: Any = 0
    seed: Any = 0
    length: Any = 2


class RoomsState(NamedTuple):
    """The world, and the number of its context, ``int32``."""

    world: World
    context: jax.Array


@dataclass(frozen=True)
class Rooms:
    """Find the goal: reward 1 there, which ends the episode, 0 before. No decay with time.

    ``info``, of the state after the step: ``context`` (its number), ``success`` (the goal was reached), ``cell`` (position,
    ``row * W + column``) and ``carried`` (keys). The observation is :func:`rl_jax.envs.grid.world.view`.

    Attributes:
        name: of the environment.
        layout: the family of maps.
        time_limit: steps after which the loop truncates.
        view: side of the square that the agent sees, odd.
        idle: whether there is a fifth action, which does nothing.
        contexts, seed: of the default task (see :class:`RoomsParams`), which has the layout's full length.
    """

    name: str
    layout: Layout
    time_limit: int | None
    view: int = 7
    idle: bool = False
    contexts: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        check_view(self.name, self.view)
        check_numbers(f"{self.name}'s", self, contexts=CountOrZero, seed=CountOrZero, idle=bool, time_limit=Count | None)

    @property
    def default_params(self) -> RoomsParams:
        return RoomsParams(np.int32(self.contexts), np.int32(self.seed), np.int32(self.layout.length))

    @property
    def num_cells(self) -> int:
        """How many values ``info["cell"]`` has."""
        return self.layout.shape[0] * self.layout.shape[1]

    def cell_of(self, state: RoomsState) -> jax.Array:
        """The agent's position as one ``int32``."""
        row, column = state.world.position
        return row * self.layout.shape[1] + column

    def observation_space(self, params: Any) -> Space:
        return Box.of(0, 1, (self.view, self.view, PLANES), np.bool_)

    def action_space(self, params: Any) -> Space:
        return Discrete(5 if self.idle else 4)

    def reset(self, key: Key, params: RoomsParams) -> tuple[RoomsState, jax.Array]:
        """Draw a context and the map that belongs to it."""
        contexts = jnp.asarray(params.contexts, jnp.int32)
        context = random_index(key, (), jnp.where(contexts > 0, contexts, 2**31 - 1))
        world = self.map_of(context, params)
        return RoomsState(world, context), view(world, self.view)

    def map_of(self, context: jax.Array | int, params: RoomsParams) -> World:
        """The map of a context, with the agent at its start. It does not depend on the generator of the run's key."""
        # The two numbers are the key, with a word that sets it apart from the keys of runs: any other way costs another hash.
        words = jnp.stack([jnp.asarray(params.seed, jnp.uint32) ^ FAMILY, jnp.asarray(context, jnp.uint32)])
        # Not unrolled (see rl_jax.ops): on a CPU the rounds would be fused into the computation of every tile.
        key = jax.random.wrap_key_data(words, impl="threefry2x32")
        return self.layout.draw(key, jnp.asarray(params.length, jnp.int32))

    def step(self, key: Key, state: RoomsState, action: jax.Array, params: RoomsParams) -> Step:
        """Deterministic; ``key`` is not used."""
        state = RoomsState(act(state.world, action), state.context)
        reached = on_goal(state.world)
        info = {
            "context": state.context,
            "success": reached,
            "cell": self.cell_of(state),
            "carried": state.world.carried,
        }
        obs = view(state.world, self.view)
        return Step(state, obs, reached.astype(jnp.float32), reached, jnp.zeros((), bool), info)


def check_view(name: str, size: int) -> None:
    """Raise unless ``size`` can be the side of a view."""
    check_argument(f"{name}'s view", size, Annotated[int, Range(3, 99)])
    if size % 2 == 0:
        raise RLJaxError(f"{name}: view must be an odd number, since the agent is in the middle, not {size}")
