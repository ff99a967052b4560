"""Acting in many environments: T steps of N, with auto-reset, time limits and episode statistics."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.loop.metrics import Means
from rl_jax.ops import any_true
from rl_jax.spaces import Space, to_env_action
from rl_jax.types import Boundary, Curriculum, Environment, Key, PyTree, Rollout


@struct.dataclass
class Collector:
    """Where the environments are, between two rollouts.

    Attributes:
        here: observations, memories, states and levels ``[N, ...]``.
        episode_return: undiscounted reward of the running episodes so far ``[N]``, in the environment's own scale.
        episode_length: their steps so far ``[N]``.
    """

    here: Boundary
    episode_return: jax.Array
    episode_length: jax.Array


def begin(curriculum: Curriculum, state: PyTree, carry: PyTree, key: Key, num_envs: int) -> Collector:
    """Start an episode in every environment."""
    index = jnp.arange(num_envs, dtype=jnp.int32)
    start = jax.vmap(curriculum.start, in_axes=(None, 0, 0))(state, jax.random.split(key, num_envs), index)
    here = Boundary(start.obs, jnp.ones((num_envs,), bool), carry, start.env_state, start.level, index)
    return Collector(here, jnp.zeros((num_envs,), jnp.float32), jnp.zeros((num_envs,), jnp.int32))


def _where(flag: jax.Array, yes: PyTree, no: PyTree) -> PyTree:
    def choose(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(flag.reshape(flag.shape + (1,) * (b.ndim - flag.ndim)), a, b)

    return jax.tree.map(choose, yes, no)


def collect(
    env: Environment,
    action_space: Space,
    curriculum: Curriculum,
    curriculum_state: PyTree,
    policy: Any,
    value: Any,
    collector: Collector,
    key: Key,
    length: int,
    time_limit: int | None = None,
) -> tuple[Collector, Rollout, Means]:
    """Run ``policy`` for ``length`` steps in every environment.

    Args:
        env: one environment; vmapped here.
        action_space: its action space.
        curriculum, curriculum_state: where episodes start, and the task of each.
        policy: ``(carry, obs [N, ...], first [N], key) -> (carry, action [N, ...], extras)``.
        value: ``(carry, obs [N, ...]) -> [N]``, the agent's values.
        collector: where the last rollout ended.
        key: typed key of this rollout.
        length: ``T``, static.
        time_limit: steps after which the loop truncates an episode.

    Returns:
        The new collector, the :class:`~rl_jax.types.Rollout` (raw observations and rewards), and episode statistics over the
        episodes that *finished* in this rollout (``NaN`` if none did).
    """
    num_envs = collector.here.first.shape[0]

    def step_one(key: Key, env_state: PyTree, action: jax.Array, level: PyTree) -> Any:
        return env.step(key, env_state, action, curriculum.params(curriculum_state, level))

    def step(carry: tuple[Collector, Means], key: Key) -> tuple[tuple[Collector, Means], dict[str, Any]]:
        now, means = carry
        here = now.here
        key_act, key_env, key_reset = jax.random.split(key, 3)
        memory, action, extras = policy(here.carry, here.obs, here.first, key_act)
        out = jax.vmap(step_one)(
            jax.random.split(key_env, num_envs), here.env_state, to_env_action(action_space, action), here.level
        )
        reward = out.reward.astype(jnp.float32)
        returns, lengths = now.episode_return + reward, now.episode_length + 1
        terminated, truncated = out.terminated, out.truncated
        if time_limit is not None:
            truncated = truncated | (lengths >= time_limit)
        # A step that both ends the task and meets the limit ended the task: there is nothing to bootstrap from.
        truncated = truncated & ~terminated
        done = terminated | truncated

        def reset(current: tuple[PyTree, ...]) -> tuple[PyTree, ...]:
            keys = jax.random.split(key_reset, num_envs)
            start = jax.vmap(curriculum.start, in_axes=(None, 0, 0))(curriculum_state, keys, here.index)
            return _where(done, (start.env_state, start.obs, start.level), current)

        # Nobody resets in most steps of most environments, and a reset can cost more than a step.
        env_state, obs, level = jax.lax.cond(any_true(done), reset, lambda same: same, (out.state, out.obs, here.level))
        means = means + _episode_means(done, returns, lengths, reward)
        there = here.replace(  # type: ignore[attr-defined]
            obs=obs, first=done, carry=memory, env_state=env_state, level=level
        )

        # Here and now, since the memory of this moment may be too large to be kept for every step.
        def bootstrap() -> jax.Array:
            return jnp.where(truncated, value(memory, out.obs), 0.0)

        truncated_value = jax.lax.cond(any_true(truncated), bootstrap, lambda: jnp.zeros((num_envs,), jnp.float32))
        after = Collector(there, jnp.where(done, 0.0, returns), jnp.where(done, 0, lengths))
        row = {
            "obs": here.obs,
            "action": action,
            "reward": reward,
            "terminated": terminated,
            "truncated": truncated,
            "first": here.first,
            "next_obs": out.obs,
            "carry": here.carry,
            "env_state": here.env_state,
            "level": here.level,
            "info": out.info,
            "extras": {**extras, "truncated_value": truncated_value},
        }
        return (after, means), row

    start = collector.here
    zero = jnp.zeros((num_envs,), jnp.float32)
    means = Means.zeros_like(jax.eval_shape(_episode_means, start.first, zero, collector.episode_length, zero))
    (collector, means), rows = jax.lax.scan(step, (collector, means), jax.random.split(key, length))
    return collector, Rollout(**rows, start=start, last=collector.here), means


def _episode_means(finished: jax.Array, returns: jax.Array, lengths: jax.Array, reward: jax.Array) -> Means:
    """Sums over the episodes that finished at this step; episodes under way are not counted."""
    count = jnp.sum(finished.astype(jnp.float32))
    values = {
        "episode/return": jnp.sum(jnp.where(finished, returns, 0.0)),
        "episode/length": jnp.sum(jnp.where(finished, lengths, 0).astype(jnp.float32)),
        "reward/mean": jnp.mean(reward),
    }
    return Means.of(values, {"episode/return": count, "episode/length": count})
