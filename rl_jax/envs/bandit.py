"""Stochastic bandits: one pull is one episode. Wrapped into trials, they are the smallest tasks that need exploration."""

from dataclasses import dataclass
from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from rl_jax.argument_checks import check_numbers
from rl_jax.errors import RLJaxError
from rl_jax.spaces import Box, Discrete, Space
from rl_jax.types import Key, Step
from rl_jax.values import Number, Range


@dataclass(frozen=True)
class Bandit:
    """``arms`` arms with hidden mean rewards; ``params`` is their means ``[arms]``, drawn by :meth:`sample_task`.

    The observation is constant: what is known of the arms is what was seen in pulls before. A ``safe`` arm, the first, always
    pays the same known amount. Set above the mean of the others, it makes every pull of another arm cost something at once, so
    that pulling one for what it may teach can be told from indifference.

    Attributes:
        arms: how many.
        reward: ``"bernoulli"`` (0 or 1, means uniform in [0, 1]) or ``"gaussian"`` (means normal, mean 0 and variance 1; noise of
            standard deviation 1), as in Duan et al. 2016, "RL^2", section 3.1 (their means are uniform), and Wang et al. 2016,
            "Learning to reinforcement learn", section 3.1.
        safe: what the first arm pays; ``None``: it is as the others are.
        good: of the Bernoulli arms that are not safe, one, drawn uniformly, has this mean and the others one minus it; ``None``:
            uniform means.
    """

    arms: int = 10
    reward: Literal["bernoulli", "gaussian"] = "bernoulli"
    safe: float | None = None
    good: float | None = None

    def __post_init__(self) -> None:
        check_numbers("a bandit's", self, arms=Annotated[int, Range(2, 100_000)], reward=Literal["bernoulli", "gaussian"])
        check_numbers("a bandit's", self, safe=Number | None, good=Number | None)
        if self.good is not None and not (self.reward == "bernoulli" and 0.5 < self.good <= 1):
            raise RLJaxError(f"good is the mean of a Bernoulli arm, above 0.5 and at most 1, not {self.good} ({self.reward})")

    @property
    def name(self) -> str:
        return "bandit"

    @property
    def default_params(self) -> jax.Array:
        """Means ``float32[arms]``, equally spaced."""
        return self._with_safe(jnp.linspace(0.0, 1.0, self.arms, dtype=jnp.float32))

    @property
    def time_limit(self) -> int | None:
        return None

    def sample_task(self, key: Key) -> jax.Array:
        """Means ``[arms]`` from the prior."""
        if self.good is not None:
            first = 0 if self.safe is None else 1
            best = jax.random.randint(key, (), first, self.arms)
            return self._with_safe(jnp.where(jnp.arange(self.arms) == best, self.good, 1.0 - self.good).astype(jnp.float32))
        draw = jax.random.uniform if self.reward == "bernoulli" else jax.random.normal
        return self._with_safe(draw(key, (self.arms,), jnp.float32))

    def _with_safe(self, means: jax.Array) -> jax.Array:
        return means if self.safe is None else means.at[0].set(self.safe)

    def observation_space(self, params: jax.Array) -> Space:
        return Box.of(0.0, 1.0, (1,))

    def action_space(self, params: jax.Array) -> Space:
        return Discrete(self.arms)

    def reset(self, key: Key, params: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Deterministic; ``key`` is not used."""
        return jnp.zeros((), jnp.int32), jnp.ones((1,), jnp.float32)

    def step(self, key: Key, state: jax.Array, action: jax.Array, params: jax.Array) -> Step:
        """Pull an arm; ``info["regret"]`` is how much its mean lies below the best arm's."""
        mean = params[action]
        if self.reward == "bernoulli":
            reward = jax.random.bernoulli(key, mean).astype(jnp.float32)
        else:
            reward = mean + jax.random.normal(key, (), jnp.float32)
        if self.safe is not None:
            reward = jnp.where(action == 0, jnp.float32(self.safe), reward)
        true = jnp.ones((), bool)
        return Step(state, jnp.ones((1,), jnp.float32), reward, true, ~true, {"regret": jnp.max(params) - mean})
