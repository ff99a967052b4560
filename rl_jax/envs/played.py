"""Are an environment's numbers what its spaces promise? Answered by random play."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.envs.dtypes import single_width
from rl_jax.spaces import Box, MultiDiscrete, Space, random_action, to_env_action
from rl_jax.types import PyTree, Step


class Seen(NamedTuple):
    """Of all observations: the least and the largest of each element. What went wrong after how many steps, and how many resets."""

    least: jax.Array
    largest: jax.Array
    obs_bad: jax.Array
    reset_bad: jax.Array
    reward_bad: jax.Array
    both_ends: jax.Array


def played(name: str, env: Any, params: PyTree, steps: int) -> list[str]:
    """One line for everything that random play of so many steps shows to be against the protocol, with resets where episodes end.

    Costs a compilation of the environment.
    """
    obs_space, action_space = env.observation_space(params), env.action_space(params)

    def play(key: jax.Array) -> Seen:
        key, begin = jax.random.split(key)
        state, obs = env.reset(begin, params)
        nothing = jnp.zeros((), jnp.int32)
        least, largest, bad = _looked_at(obs)
        first = Seen(least, largest, nothing, bad, nothing, nothing)

        def step(carry: tuple[PyTree, Seen], key: jax.Array) -> tuple[tuple[PyTree, Seen], None]:
            state, seen = carry
            key_action, key_step, key_reset = jax.random.split(key, 3)
            action = to_env_action(action_space, random_action(action_space, key_action))
            out: Step = env.step(key_step, state, action, params)
            fresh, fresh_obs = env.reset(key_reset, params)
            done = out.terminated | out.truncated
            reward_bad, both_ends = ~jnp.isfinite(out.reward), out.terminated & out.truncated
            (low, high, obs_bad), (low_reset, high_reset, reset_bad) = _looked_at(out.obs), _looked_at(fresh_obs)
            state = jax.tree.map(lambda a, b: jnp.where(done, a, b), fresh, out.state)
            least = jnp.minimum(seen.least, jnp.minimum(low, low_reset))
            largest = jnp.maximum(seen.largest, jnp.maximum(high, high_reset))
            counts = jax.tree.map(jnp.add, seen[2:], (obs_bad, reset_bad, reward_bad, both_ends))
            return (state, Seen(least, largest, *counts)), None

        return jax.lax.scan(step, (state, first), jax.random.split(key, steps))[0][1]

    with single_width():
        seen = jax.tree.map(np.asarray, jax.jit(play)(jax.random.key(0)))
    problems = _outside(name, obs_space, seen, steps)
    if seen.reward_bad:
        problems.append(f"{name}: the reward is NaN or infinite in {seen.reward_bad} of {steps} random steps; keep it finite")
    if seen.both_ends:
        problems.append(
            f"{name}: {seen.both_ends} of {steps} random steps are both terminated and truncated; a step is one of them at most"
        )
    return problems


def _looked_at(obs: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    number = obs.astype(jnp.float32)
    bad = ~jnp.isfinite(number)
    # What is no number is told apart from what is out of bounds.
    return jnp.where(bad, jnp.inf, number), jnp.where(bad, -jnp.inf, number), jnp.any(bad).astype(jnp.int32)


def _outside(name: str, space: Space, seen: Seen, steps: int) -> list[str]:
    if isinstance(space, Box):
        low, high = (bound.reshape(space.shape) for bound in space.bounds())
    else:
        low = np.zeros(space.shape)
        high = np.asarray((np.asarray(space.nvec) if isinstance(space, MultiDiscrete) else space.n) - 1.0)
    # Bounds are often computed in another precision than observations.
    lowest, highest = (bound + sign * 1e-5 * np.maximum(1.0, np.abs(bound)) for bound, sign in ((low, -1), (high, 1)))
    problems = []
    if seen.obs_bad or seen.reset_bad:
        problems.append(
            f"{name}: the observation is NaN or infinite after {seen.obs_bad} of {steps} random steps and {seen.reset_bad} of "
            f"{steps + 1} resets; keep it finite"
        )
    if ((seen.least < lowest) | (seen.largest > highest)).any():
        worst = np.where(
            np.isfinite(seen.least) & np.isfinite(seen.largest), np.maximum(low - seen.least, seen.largest - high), -1
        )
        place = np.unravel_index(int(np.argmax(worst)), space.shape) if space.shape else ()
        shown = f"element {[int(i) for i in place]}" if space.shape else "it"
        problems.append(
            f"{name}: the observation leaves its space: {shown} goes from {seen.least[place]:g} to {seen.largest[place]:g} in {steps} "
            f"random steps, declared are {low[place]:g} to {high[place]:g}; correct the observation_space, or the observation"
        )
    return problems
