"""What is observed in a point world: places scaled to [-1, 1], with Fourier features if they are asked for."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.errors import RLJaxError
from rl_jax.spaces import Box, Dict, ObsSpace


@dataclass(frozen=True)
class Sight:
    """Position, velocity, goal: numbers in [-1, 1].

    A place is row and column, -1 at one edge of the map and 1 at the other, and then its features: for each of ``fourier`` octaves
    ``k`` the sine and cosine of ``2^k pi`` times these (Tancik et al. 2020, "Fourier Features Let Networks Learn High Frequency
    Functions in Low Dimensional Domains"). A small network tells the two sides of a wall apart with them.

    Attributes:
        shape: rows and columns of the map.
        velocity: whether the velocity is shown, in top speeds.
        fourier: octaves.
        goal: ``"hidden"``: not shown; ``"vector"``: appended to the rest; ``"dictionary"``: the observation is a dictionary, of
            ``"observation"`` (position, velocity) and ``"goal"``.
    """

    shape: tuple[int, int]
    velocity: bool
    fourier: int
    goal: Literal["hidden", "vector", "dictionary"]

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of a place, and of position and velocity together."""
        place = 2 + 4 * self.fourier
        return place, place + 2 * self.velocity

    @property
    def space(self) -> ObsSpace:
        """The space of :meth:`see`."""
        place, own = self.sizes
        if self.goal == "dictionary":
            return Dict({"observation": Box.of(-1, 1, (own,)), "goal": Box.of(-1, 1, (place,))})
        return Box.of(-1, 1, (own + place * (self.goal == "vector"),))

    def see(self, position: jax.Array, velocity: jax.Array, goal: jax.Array) -> Any:
        """The observation; ``velocity`` is in top speeds, places are in cells."""
        parts = (self.features(position), velocity) if self.velocity else (self.features(position),)
        own = jnp.concatenate(parts)
        if self.goal == "hidden":
            return own
        shown = self.features(goal)
        return {"observation": own, "goal": shown} if self.goal == "dictionary" else jnp.concatenate([own, shown])

    def features(self, place: jax.Array) -> jax.Array:
        """A place ``[..., 2]`` in cells as it is shown, ``float32 [..., 2 + 4 fourier]``."""
        scaled = 2 * place / np.array(self.shape, np.float32) - 1
        parts, sine, cosine = [scaled], jnp.sin(math.pi * scaled), jnp.cos(math.pi * scaled)
        for _ in range(self.fourier):
            parts += [sine, cosine]
            sine, cosine = 2 * sine * cosine, 1 - 2 * sine**2  # of twice the angle
        return jnp.concatenate(parts, axis=-1)

    def place(self, features: jax.Array) -> jax.Array:
        """Inverse of :meth:`features`: ``[..., 2]`` in cells."""
        return (features[..., :2] + 1) / 2 * np.array(self.shape, np.float32)

    def reached(self, obs: Any) -> jax.Array:
        """The goal that lies at the position of ``obs`` ``[...]``.

        Raises:
            RLJaxError: observations are no dictionaries.
        """
        self._check()
        return obs["observation"][..., : self.sizes[0]]

    def with_goal(self, obs: Any, goal: jax.Array) -> Any:
        """``obs`` with another goal.

        Raises:
            RLJaxError: observations are no dictionaries.
        """
        self._check()
        return {**obs, "goal": goal}

    def _check(self) -> None:
        if self.goal != "dictionary":
            raise RLJaxError(
                "goals are relabelled in observations that are dictionaries: make the environment with goal='dictionary'"
            )
