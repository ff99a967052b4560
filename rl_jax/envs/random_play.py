"""Random play: do an environment's observations and rewards keep to its spaces?"""

from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.envs.dtypes import single_width
from rl_jax.masks import mask_of
from rl_jax.spaces import Box, MultiDiscrete, ObsSpace, Space, example, leaves, random_action, to_env_action
from rl_jax.types import PyTree, Step


class PlayStatistics(NamedTuple):
    """The least and the largest of each element of all observations, and in how many steps and resets something was wrong.

    Observations' are lists, an entry for each of their parts.
    """

    least: list[jax.Array]
    largest: list[jax.Array]
    obs_bad: jax.Array
    reset_bad: jax.Array
    reward_bad: jax.Array
    both_ends: jax.Array


def played(name: str, env: Any, params: PyTree, steps: int) -> list[str]:
    """One line for each violation of the protocol in ``steps`` random steps, with resets where episodes end.

    Costs a compilation of the environment.
    """
    obs_space, action_space = env.observation_space(params), env.action_space(params)

    def play(key: jax.Array) -> PlayStatistics:
        key, key_reset = jax.random.split(key)
        state, obs = env.reset(key_reset, params)
        nothing = jnp.zeros((), jnp.int32)
        least, largest, bad = _ranges_of(obs_space, obs)
        first = PlayStatistics(least, largest, nothing, bad, nothing, nothing)

        def step(
            carry: tuple[PyTree, PyTree, PlayStatistics], key: jax.Array
        ) -> tuple[tuple[PyTree, PyTree, PlayStatistics], None]:
            state, obs, stats = carry
            key_action, key_step, key_reset = jax.random.split(key, 3)
            action = to_env_action(action_space, random_action(action_space, key_action, mask=mask_of(obs)))
            out: Step = env.step(key_step, state, action, params)
            fresh, fresh_obs = env.reset(key_reset, params)
            done = out.terminated | out.truncated
            reward_bad, both_ends = ~jnp.isfinite(out.reward), out.terminated & out.truncated
            (low, high, obs_bad), (low_reset, high_reset, reset_bad) = (
                _ranges_of(obs_space, seen) for seen in (out.obs, fresh_obs)
            )
            state, obs = jax.tree.map(lambda a, b: jnp.where(done, a, b), (fresh, fresh_obs), (out.state, out.obs))
            least = jax.tree.map(lambda *x: jnp.minimum(jnp.minimum(x[0], x[1]), x[2]), stats.least, low, low_reset)
            largest = jax.tree.map(lambda *x: jnp.maximum(jnp.maximum(x[0], x[1]), x[2]), stats.largest, high, high_reset)
            counts = jax.tree.map(jnp.add, stats[2:], (obs_bad, reset_bad, reward_bad, both_ends))
            return (state, obs, PlayStatistics(least, largest, *counts)), None

        return jax.lax.scan(step, (state, obs, first), jax.random.split(key, steps))[0][2]

    with single_width():
        stats = jax.tree.map(np.asarray, jax.jit(play)(jax.random.key(0)))
    problems = []
    if stats.obs_bad or stats.reset_bad:
        problems.append(
            f"{name}: the observation is NaN or infinite after {stats.obs_bad} of {steps} random steps and {stats.reset_bad} of "
            f"{steps + 1} resets; keep it finite"
        )
    parts = leaves(obs_space, example(obs_space))
    for (part, space, _), least, largest in zip(parts, stats.least, stats.largest, strict=True):
        problems += _outside(f"{name}: the observation" + (f"'s part '{part}'" if part else ""), space, least, largest, steps)
    if stats.reward_bad:
        problems.append(f"{name}: the reward is NaN or infinite in {stats.reward_bad} of {steps} random steps; keep it finite")
    if stats.both_ends:
        problems.append(
            f"{name}: {stats.both_ends} of {steps} random steps are both terminated and truncated; a step is one of them at most"
        )
    return problems


def _ranges_of(space: ObsSpace, obs: PyTree) -> tuple[list[jax.Array], list[jax.Array], jax.Array]:
    """Least and largest of each part, and whether anything is not finite."""
    least, largest, bad = zip(*(_range_of(x) for _, _, x in leaves(space, obs)), strict=True)
    return list(least), list(largest), reduce(jnp.maximum, bad)


def _range_of(obs: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    number = obs.astype(jnp.float32)
    bad = ~jnp.isfinite(number)
    # What is not finite is counted apart from what is out of bounds.
    return jnp.where(bad, jnp.inf, number), jnp.where(bad, -jnp.inf, number), jnp.any(bad).astype(jnp.int32)


def _outside(what: str, space: Space, least: np.ndarray, largest: np.ndarray, steps: int) -> list[str]:
    if isinstance(space, Box):
        low, high = (bound.reshape(space.shape) for bound in space.bounds())
    else:
        low = np.zeros(space.shape)
        high = np.asarray((np.asarray(space.nvec) if isinstance(space, MultiDiscrete) else space.n) - 1.0)
    # Bounds are often computed in another precision than observations.
    lowest, highest = (bound + sign * 1e-5 * np.maximum(1.0, np.abs(bound)) for bound, sign in ((low, -1), (high, 1)))
    problems = []
    if ((least < lowest) | (largest > highest)).any():
        worst = np.where(np.isfinite(least) & np.isfinite(largest), np.maximum(low - least, largest - high), -1)
        place = np.unravel_index(int(np.argmax(worst)), space.shape) if space.shape else ()
        shown = f"element {[int(i) for i in place]}" if space.shape else "it"
        problems.append(
            f"{what} leaves its space: {shown} goes from {least[place]:g} to {largest[place]:g} in {steps} "
            f"random steps, declared are {low[place]:g} to {high[place]:g}; correct the observation_space, or the observation"
        )
    return problems
