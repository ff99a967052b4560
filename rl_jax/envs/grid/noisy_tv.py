"""``grid/noisy-tv``: an environment with a screen beside it on which there is nothing but noise.

Burda et al. 2019, "Large-Scale Study of Curiosity-Driven Learning": an agent that is paid for what it cannot predict, or
for what it has not seen, is held by a source of randomness, the more so if it can switch the channel itself.
"""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.argument_checks import check_numbers
from rl_jax.errors import UnsupportedSpace
from rl_jax.spaces import Box, Discrete, Space, describe
from rl_jax.types import Environment, Key, PyTree, Step
from rl_jax.values import Range


class NoisyTVState(NamedTuple):
    """The inner environment's state, and what is on the screen."""

    env_state: PyTree
    screen: jax.Array


@dataclass(frozen=True)
class NoisyTV:
    """``inner`` with a screen added to its observation: planes to an image, numbers to a vector.

    The screen shows fair coin flips in ``bool`` observations, uniform numbers in ``[0, 1)`` in ``float32`` ones, and all bytes in
    ``uint8`` ones. It is drawn at the beginning of an episode and again whenever ``action`` is taken. Rewards, ends, tasks and
    ``info`` are the inner environment's.

    Attributes:
        inner: with discrete actions; its observations are a box.
        action: which action switches the channel; ``None``: every one.
        size: how many planes, or numbers; ``None``: 1 plane, or 16 numbers.
        deterministic: nothing is on: the screen is all zeros, for comparison under equal shapes.
        name: of the environment.
    """

    inner: Environment
    action: int | None = None
    size: int | None = None
    deterministic: bool = False
    name: str = "grid/noisy-tv"

    def __post_init__(self) -> None:
        params = self.inner.default_params
        actions, space = self.inner.action_space(params), self.inner.observation_space(params)
        if not isinstance(actions, Discrete):
            raise UnsupportedSpace(
                f"{self.name} needs discrete actions, but those of {self.inner.name} are {describe(actions)}"
            )
        if not isinstance(space, Box) or not space.shape or jnp.dtype(space.dtype).name not in ("bool", "float32", "uint8"):
            raise UnsupportedSpace(
                f"{self.name} needs observations in a Box of bool, float32 or uint8, but those of {self.inner.name} are "
                f"{describe(space)}"
            )
        choices = Annotated[int, Range(0, actions.n - 1)]
        check_numbers(
            f"{self.name}'s", self, action=choices | None, size=Annotated[int, Range(1, 1000)] | None, deterministic=bool
        )

    @property
    def default_params(self) -> PyTree:
        return self.inner.default_params

    @property
    def time_limit(self) -> int | None:
        return self.inner.time_limit

    def observation_space(self, params: PyTree) -> Space:
        space = self.inner.observation_space(params)
        assert isinstance(space, Box)  # checked on construction
        screen, brightest = self._shape(space.shape), 255.0 if space.dtype == jnp.uint8 else 1.0
        low = np.concatenate([np.reshape(space.low, space.shape), np.zeros(screen)], axis=-1)
        high = np.concatenate([np.reshape(space.high, space.shape), np.full(screen, brightest)], axis=-1)
        return Box.of(low, high, low.shape, space.dtype)

    def action_space(self, params: PyTree) -> Space:
        return self.inner.action_space(params)

    def reset(self, key: Key, params: PyTree) -> tuple[NoisyTVState, jax.Array]:
        """An episode of the inner environment, and a screen."""
        key_inner, key_screen = jax.random.split(key)
        state, obs = self.inner.reset(key_inner, params)
        screen = self._draw(key_screen, obs)
        return NoisyTVState(state, screen), jnp.concatenate([obs, screen], axis=-1)

    def step(self, key: Key, state: NoisyTVState, action: jax.Array, params: PyTree) -> Step:
        """A step of the inner environment; the screen may change."""
        key_inner, key_screen = jax.random.split(key)
        step = self.inner.step(key_inner, state.env_state, action, params)
        screen = self._draw(key_screen, step.obs)
        if self.action is not None:
            screen = jnp.where(action == self.action, screen, state.screen)
        return step._replace(state=NoisyTVState(step.state, screen), obs=jnp.concatenate([step.obs, screen], axis=-1))

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The screen's shape: an observation's but for the last axis."""
        return (*shape[:-1], self.size or (16 if len(shape) == 1 else 1))

    def _draw(self, key: Key, obs: jax.Array) -> jax.Array:
        """What is on the screen beside ``obs``."""
        shape = self._shape(obs.shape)
        if self.deterministic:
            return jnp.zeros(shape, obs.dtype)
        if obs.dtype == jnp.float32:
            return jax.random.uniform(key, shape, jnp.float32)
        noise = jax.random.bits(key, shape, jnp.uint8)
        return noise if obs.dtype == jnp.uint8 else noise < 128
