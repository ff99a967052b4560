"""A line of places with known distances, and a random walk on it as recorded experience."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.data import of_arrays
from rl_jax.spaces import Box, Dict, Discrete
from rl_jax.types import Step


@dataclass(frozen=True)
class Line:
    """Go left or right to the goal, which costs 1 a step; observations are one-hot places."""

    places: int = 7
    time_limit: int | None = 20
    name: str = "line"

    @property
    def default_params(self):
        return ()

    def observation_space(self, params):
        return Dict({"observation": self.reached_space(), "goal": self.reached_space()})

    def action_space(self, params):
        return Discrete(2)

    def see(self, place, goal):
        return {"observation": jax.nn.one_hot(place, self.places), "goal": jax.nn.one_hot(goal, self.places)}

    def reset(self, key, params):
        place, goal = jax.random.choice(key, self.places, (2,), replace=False)
        return (place, goal), self.see(place, goal)

    def step(self, key, state, action, params):
        place, goal = state
        place = jnp.clip(place + 2 * action - 1, 0, self.places - 1)
        there = place == goal
        return Step((place, goal), self.see(place, goal), there - 1.0, there, jnp.zeros((), bool), {})

    def reached_space(self):
        return Box.of(0, 1, (self.places,))

    def reached(self, obs):
        return obs["observation"]

    def grid(self):
        """Observations ``[places^2, ...]`` of all places, for each all goals, and their distances."""
        place, goal = (x.ravel() for x in np.meshgrid(np.arange(self.places), np.arange(self.places), indexing="ij"))
        return jax.vmap(self.see)(place, goal), np.abs(place - goal)


def same_place(place, goal):
    """Whether a place is the goal."""
    return jnp.all(place == goal, axis=-1)


def random_walk(env, episodes=40, steps=25, seed=0):
    """A data set of random walks from random places."""
    rng = np.random.default_rng(seed)
    rows = {name: [] for name in ("obs", "next_obs", "action", "last")}
    for _ in range(episodes):
        place = rng.integers(env.places)
        for t in range(steps):
            action = rng.integers(2)
            after = np.clip(place + 2 * action - 1, 0, env.places - 1)
            for name, x in (("obs", place), ("next_obs", after), ("action", action), ("last", t == steps - 1)):
                rows[name].append(x)
            place = after
    eye, number = np.eye(env.places, dtype=np.float32), len(rows["obs"])
    obs, following = ({"observation": eye[rows[name]], "goal": np.zeros_like(eye[rows[name]])} for name in ("obs", "next_obs"))
    arrays = {"obs": obs, "next_obs": following, "action": rows["action"], "reward": np.zeros(number)}
    ends = {"terminated": np.zeros(number, bool), "truncated": rows["last"]}
    return of_arrays(arrays | ends, env.observation_space(()), env.action_space(()), env.name)
