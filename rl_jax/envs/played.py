"""Random play: do an environment's observations and rewards keep to its spaces?"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.envs.dtypes import single_width
from rl_jax.spaces import Box, MultiDiscrete, Space, random_action, to_env_action
from rl_jax.types import PyTree, Step


class PlayStatistics(NamedTuple):
    """The least and the largest of each element of all observations, and in how many steps and resets something was wrong."""

    least: jax.Array
    largest: jax.Array
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
        least, largest, bad = _range_of(obs)
        first = PlayStatistics(least, largest, nothing, bad, nothing, nothing)

        def step(carry: tuple[PyTree, PlayStatistics], key: jax.Array) -> tuple[tuple[PyTree, PlayStatistics], None]:
            state, stats = carry
            key_action, key_step, key_reset = jax.random.split(key, 3)
            action = to_env_action(action_space, random_action(action_space, key_action))
            out: Step = env.step(key_step, state, action, params)
            fresh, fresh_obs = env.reset(key_reset, params)
            done = out.terminated | out.truncated
            reward_bad, both_ends = ~jnp.isfinite(out.reward), out.terminated & out.truncated
            (low, high, obs_bad), (low_reset, high_reset, reset_bad) = _range_of(out.obs), _range_of(fresh_obs)
            state = jax.tree.map(lambda a, b: jnp.where(done, a, b), fresh, out.state)
            least = jnp.minimum(stats.least, jnp.minimum(low, low_reset))
            largest = jnp.maximum(stats.largest, jnp.maximum(high, high_reset))
            counts = jax.tree.map(jnp.add, stats[2:], (obs_bad, reset_bad, reward_bad, both_ends))
            return (state, PlayStatistics(least, largest, *counts)), None

        return jax.lax.scan(step, (state, first), jax.random.split(key, steps))[0][1]

    with single_width():
        stats = jax.tree.map(np.asarray, jax.jit(play)(jax.random.key(0)))
    problems = _outside(name, obs_space, stats, steps)
    if stats.reward_bad:
        problems.append(f"{name}: the reward is NaN or infinite in {stats.reward_bad} of {steps} random steps; keep it finite")
    if stats.both_ends:
        problems.append(
            f"{name}: {stats.both_ends} of {steps} random steps are both terminated and truncated; a step is one of them at most"
        )
    return problems


def _range_of(obs: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    number = obs.astype(jnp.float32)
    bad = ~jnp.isfinite(number)
    # What is not finite is counted apart from what is out of bounds.
    return jnp.where(bad, jnp.inf, number), jnp.where(bad, -jnp.inf, number), jnp.any(bad).astype(jnp.int32)


def _outside(name: str, space: Space, stats: PlayStatistics, steps: int) -> list[str]:
    if isinstance(space, Box):
        low, high = (bound.reshape(space.shape) for bound in space.bounds())
    else:
        low = np.zeros(space.shape)
        high = np.asarray((np.asarray(space.nvec) if isinstance(space, MultiDiscrete) else space.n) - 1.0)
    # Bounds are often computed in another precision than observations.
    lowest, highest = (bound + sign * 1e-5 * np.maximum(1.0, np.abs(bound)) for bound, sign in ((low, -1), (high, 1)))
    problems = []
    if stats.obs_bad or stats.reset_bad:
        problems.append(
            f"{name}: the observation is NaN or infinite after {stats.obs_bad} of {steps} random steps and {stats.reset_bad} of "
            f"{steps + 1} resets; keep it finite"
        )
    if ((stats.least < lowest) | (stats.largest > highest)).any():
        worst = np.where(
            np.isfinite(stats.least) & np.isfinite(stats.largest), np.maximum(low - stats.least, stats.largest - high), -1
        )
        place = np.unravel_index(int(np.argmax(worst)), space.shape) if space.shape else ()
        shown = f"element {[int(i) for i in place]}" if space.shape else "it"
        least, largest = stats.least[place], stats.largest[place]
        problems.append(
            f"{name}: the observation leaves its space: {shown} goes from {least:g} to {largest:g} in {steps} "
            f"random steps, declared are {low[place]:g} to {high[place]:g}; correct the observation_space, or the observation"
        )
    return problems
