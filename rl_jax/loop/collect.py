"""Acting in many environments: T steps of N, with auto-reset, time limits and episode statistics."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.loop.metrics import Means, chosen_numbers
from rl_jax.loop.resets import DEAR, StartOne, cost_of, restart, start_all
from rl_jax.ops import along, any_true, per_device
from rl_jax.ops.cost import operations
from rl_jax.spaces import Space, to_env_action
from rl_jax.types import Boundary, Curriculum, Environment, Key, PyTree, Rollout, Step


@struct.dataclass
class Collector:
    """The environments between two rollouts.

    Attributes:
        boundary: observations, memories, states and levels ``[N, ...]``.
        episode_return: undiscounted reward of the running episodes so far ``[N]``, in the environment's own scale.
        episode_length: their steps so far ``[N]``.
        ended: in rollouts of whole episodes, whether the column's has ended ``[N]``; otherwise ``None``.
    """

    boundary: Boundary
    episode_return: jax.Array
    episode_length: jax.Array
    ended: jax.Array | None = None


def reset_envs(
    curriculum: Curriculum, state: PyTree, carry: PyTree, key: Key, num_envs: int, whole: bool = False, offset: int = 0
) -> Collector:
    """Start an episode in every environment; ``offset`` is the number of the first of them."""
    index = jnp.arange(offset, offset + num_envs, dtype=jnp.int32)
    start_one = _start_one(curriculum, state, key)
    start = start_all(start_one, index, cost_of(start_one))
    boundary = Boundary(start.obs, jnp.ones((num_envs,), bool), carry, start.env_state, start.level, index)
    ended = jnp.zeros((num_envs,), bool) if whole else None
    return Collector(boundary, jnp.zeros((num_envs,), jnp.float32), jnp.zeros((num_envs,), jnp.int32), ended)


def _start_one(curriculum: Curriculum, state: PyTree, key: Key) -> StartOne:
    """The start of an episode in environment ``index``; it does not depend on which other environments there are."""
    return lambda index: curriculum.start(state, jax.random.fold_in(key, index), index)


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
    episode_info: tuple[str, ...] = (),
) -> tuple[Collector, Rollout, Means]:
    """Run ``policy`` for ``length`` steps in every environment.

    A collector that knows which episodes have ended (:attr:`Collector.ended`) asks for whole episodes: none is started within the
    rollout, and after its end a column stands still, with rewards of zero and no further end.

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
        episode_info: numbers of the environment's info whose values at the last steps of episodes are among the statistics, as
            ``episode/NAME``.

    Returns:
        The new collector, the :class:`~rl_jax.types.Rollout` (raw observations and rewards), and episode statistics over the
        episodes that *finished* in this rollout (``NaN`` if none did). Of whole episodes ``extras["own"]`` ``[T, N]`` says at which
        steps the action counted: the episode still ran, and the environment did not overrule it (``info["own"]``, if it has that).
    """
    whole = collector.ended is not None
    num_envs = collector.boundary.first.shape[0]
    costs = _costs(env, action_space, curriculum, curriculum_state, collector.boundary, key)

    def step_env(key: Key, env_state: PyTree, action: jax.Array, level: PyTree) -> Any:
        return env.step(key, env_state, action, curriculum.params(curriculum_state, level))

    def step(carry: tuple[Collector, Means], key: Key) -> tuple[tuple[Collector, Means], dict[str, Any]]:
        collector, means = carry
        boundary = collector.boundary
        key_act, key_env, key_reset = jax.random.split(key, 3)
        memory, action, extras = policy(boundary.carry, boundary.obs, boundary.first, key_act)
        out = jax.vmap(step_env)(
            jax.random.split(key_env, num_envs), boundary.env_state, to_env_action(action_space, action), boundary.level
        )
        ended = collector.ended
        if ended is not None:
            out = stand_still(ended, out, boundary)
        reward = out.reward.astype(jnp.float32)
        returns, lengths = collector.episode_return + reward, collector.episode_length + 1
        terminated, truncated = out.terminated, out.truncated
        if time_limit is not None:
            truncated = truncated | (lengths >= time_limit)
        # A step that both ends the task and meets the limit ended the task: there is nothing to bootstrap from.
        truncated = truncated & ~terminated
        if ended is not None:
            truncated = truncated & ~ended
        done = terminated | truncated
        last_obs = usable_end(out.obs, done)

        def reset(done: jax.Array, index: jax.Array, current: tuple[PyTree, ...]) -> tuple[PyTree, ...]:
            return restart(_start_one(curriculum, curriculum_state, key_reset), done, index, current, *costs)

        current = (out.state, out.obs, boundary.level)
        env_state, obs, level = current if whole else per_device(reset, done, boundary.index, current)
        info = chosen_numbers(env.name, out.info, episode_info)
        means = means + _episode_means(done, returns, lengths, reward, info)
        next_boundary = boundary.replace(  # type: ignore[attr-defined]
            obs=obs, first=jnp.zeros_like(done) if whole else done, carry=memory, env_state=env_state, level=level
        )

        # In the loop, since the memories of all steps may be too large to be kept.
        def bootstrap(truncated: jax.Array, memory: PyTree, obs: PyTree) -> jax.Array:
            def some() -> jax.Array:
                return jnp.where(truncated, value(memory, obs), 0.0)

            return jax.lax.cond(any_true(truncated), some, lambda: jnp.zeros(truncated.shape, jnp.float32))

        truncated_value = per_device(bootstrap, truncated, memory, last_obs)
        next_ended = None if ended is None else ended | done
        next_collector = Collector(next_boundary, jnp.where(done, 0.0, returns), jnp.where(done, 0, lengths), next_ended)
        row = {
            "obs": boundary.obs,
            "action": action,
            "reward": reward,
            "terminated": terminated,
            "truncated": truncated,
            "first": boundary.first,
            "next_obs": last_obs,
            "carry": boundary.carry,
            "env_state": boundary.env_state,
            "level": boundary.level,
            "info": out.info,
            "extras": {**extras, "truncated_value": truncated_value},
        }
        if ended is not None:
            row["extras"]["own"] = ~ended & out.info.get("own", True)
        return (next_collector, means), row

    start = collector.boundary
    zero = jnp.zeros((num_envs,), jnp.float32)
    info = dict.fromkeys(episode_info, zero)
    means = Means.zeros_like(jax.eval_shape(_episode_means, start.first, zero, collector.episode_length, zero, info))
    (collector, means), rows = jax.lax.scan(step, (collector, means), jax.random.split(key, length))
    # Summed over environments once, here: over many devices, a sum in every step would make them wait for one another.
    return collector, Rollout(**rows, start=start, last=collector.boundary), jax.tree.map(jnp.sum, means)


def stand_still(ended: jax.Array, out: Step, boundary: Boundary) -> Step:
    """A step ``[N, ...]`` of which nothing happens where the episode has ``ended`` ``[N]``."""

    def keep(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(along(ended, new), old, new)

    state, obs = jax.tree.map(keep, (out.state, out.obs), (boundary.env_state, boundary.obs))
    reward = jnp.where(ended, jnp.zeros_like(out.reward), out.reward)
    return Step(state, obs, reward, out.terminated & ~ended, out.truncated & ~ended, out.info)


def not_first(obs: PyTree) -> jax.Array:
    """The ``first`` of observations ``[N, ...]`` within episodes: ``[N]``, all false."""
    return jnp.zeros(jax.tree.leaves(obs)[0].shape[:1], bool)


def usable_end(obs: PyTree, done: jax.Array) -> PyTree:
    """Observations ``[N, ...]`` with zeros for what is not finite where an episode is ``done`` ``[N]``.

    A simulator that blows up often ends the episode and shows NaN. After a termination nobody needs that observation, but networks
    are run on it, whose gradients multiply by zero and make NaN of NaN. After a truncation its value is asked for, and is that of the
    observation with zeros. In both cases the run goes on, with every agent.

    All else that is not finite ends the run (:mod:`rl_jax.run.devices.compiled_runs`): an observation within an episode, which
    stays as it is, for the policy acts on it, when it is learned from; a reward at once, by the metric ``reward/mean``;
    parameters and metrics at once.
    """

    def usable(x: jax.Array) -> jax.Array:
        if not jnp.issubdtype(x.dtype, jnp.floating):
            return x
        return jnp.where(along(done, x) & ~jnp.isfinite(x), 0.0, x)

    return jax.tree.map(usable, obs)


def _costs(
    env: Environment, action_space: Space, curriculum: Curriculum, curriculum_state: PyTree, boundary: Boundary, key: Key
) -> tuple[float, float]:
    """Numbers that a start and a step of one environment compute."""
    env_state, level = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), (boundary.env_state, boundary.level))

    def step(env_state: PyTree, action: jax.Array, level: PyTree) -> PyTree:
        return tuple(env.step(key, env_state, action, curriculum.params(curriculum_state, level)))

    start = cost_of(_start_one(curriculum, curriculum_state, key))
    if start < DEAR:
        return start, 0.0  # the cost of a step does not matter
    action = jax.ShapeDtypeStruct(action_space.shape, action_space.dtype)
    return start, operations(step, env_state, action, level)


def no_episodes(episode_info: tuple[str, ...] = ()) -> Means:
    """The statistics of a train step that collects nothing: the usual names, and nothing counted."""
    zero = jnp.zeros((), jnp.float32)
    return Means.zeros_like(_episode_means(zero > 0, zero, zero, zero, dict.fromkeys(episode_info, zero)))


def _episode_means(
    finished: jax.Array, returns: jax.Array, lengths: jax.Array, reward: jax.Array, info: dict[str, jax.Array]
) -> Means:
    """Statistics ``[N]`` of the episodes that finished at this step; episodes under way are not counted."""
    count = finished.astype(jnp.float32)
    values = {
        "episode/return": jnp.where(finished, returns, 0.0),
        "episode/length": jnp.where(finished, lengths, 0),
        "reward/mean": reward,
    }
    weights = {"episode/return": count, "episode/length": count, "reward/mean": jnp.ones_like(reward)}
    for name, value in info.items():
        # Numbers that are not finite are left out, and must not end the run.
        known = finished & jnp.isfinite(value)
        values[f"episode/{name}"] = jnp.where(known, value, 0.0)
        weights[f"episode/{name}"] = known.astype(jnp.float32)
    return Means.of(values, weights)
