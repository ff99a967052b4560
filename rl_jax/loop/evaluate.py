"""Playing with an agent as it is: fixed numbers of complete episodes. Own keys, frozen statistics."""

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_argument
from rl_jax.curricula import FixedTask
from rl_jax.envs.limits import longest_episode
from rl_jax.loop import counter as streams
from rl_jax.loop.collect import reset_envs
from rl_jax.loop.parts import check_params
from rl_jax.loop.trainer import Trainer, TrainState
from rl_jax.ops import unrolled_threefry
from rl_jax.spaces import to_env_action
from rl_jax.types import Boundary, Key, PyTree
from rl_jax.values import Count

#: Steps after which an episode is left unfinished where nothing else limits it.
MOST_STEPS = 10_000


@struct.dataclass
class Evaluation:
    """``E`` episodes, one per environment, so that short episodes are not favoured.

    Attributes:
        returns: undiscounted returns ``[E]``; of an unfinished episode, what it has earned so far.
        lengths: steps ``[E]``.
        finished: whether the episode ended within the limit ``[E]``.
    """

    returns: jax.Array
    lengths: jax.Array
    finished: jax.Array

    def mean(self) -> jax.Array:
        """Mean return of all episodes, unfinished ones with what they have earned so far.

        Left out, they would make a policy that lives on look like one that fails. Where rewards are not negative the mean is a
        lower bound then.
        """
        return jnp.mean(self.returns)


@struct.dataclass
class Playing:
    """An evaluation under way: ``E`` episodes.

    Attributes:
        key: of its steps.
        boundary: where the environments stand.
        ended, running: whether each episode has ended, and whether it goes on ``[E]``.
        returns, lengths: so far ``[E]``.
        time: steps played.
    """

    key: Key
    boundary: Boundary
    ended: jax.Array
    running: jax.Array
    returns: jax.Array
    lengths: jax.Array
    time: jax.Array

    def result(self) -> Evaluation:
        """The evaluation so far."""
        return Evaluation(self.returns, self.lengths, self.ended)


def start_episodes(trainer: Trainer, state: TrainState, key: Key, num_episodes: int) -> Playing:
    """The first half of :func:`evaluate`: ``num_episodes`` episodes at their first step."""
    key_start, key_steps = jax.random.split(jax.random.fold_in(unrolled_threefry(key), streams.EVALUATE))
    carry = trainer.agent.initial_carry(num_episodes)
    alone = getattr(trainer.curriculum, "alone", None)
    curriculum = trainer.curriculum if alone is None else alone()
    collector = reset_envs(curriculum, state.curriculum, carry, key_start, num_episodes)
    running = jnp.ones((num_episodes,), bool)
    time = jnp.zeros((), jnp.int32)
    return Playing(key_steps, collector.boundary, ~running, running, collector.episode_return, collector.episode_length, time)


def play_episodes(
    trainer: Trainer, state: TrainState, playing: Playing, until: jax.Array | int, greedy: bool = True
) -> Playing:
    """The second half of :func:`evaluate`: play on until all episodes have ended, or ``until`` steps are played in all.

    Called several times with growing ``until`` it does what one call does.
    """

    def step_env(key: Key, env_state: PyTree, action: jax.Array, level: PyTree) -> PyTree:
        return trainer.env.step(key, env_state, action, trainer.curriculum.params(state.curriculum, level))

    def goes_on(playing: Playing) -> jax.Array:
        return jnp.any(playing.running) & (playing.time < until)

    def step(playing: Playing) -> Playing:
        boundary, running = playing.boundary, playing.running
        key_act, key_env = jax.random.split(jax.random.fold_in(playing.key, playing.time))
        obs = trainer.experience.observe(state.experience, boundary.obs)
        carry, action, _ = trainer.agent.act(state.agent, boundary.carry, obs, boundary.first, key_act, greedy)
        keys = jax.random.split(key_env, running.shape[0])
        out = jax.vmap(step_env)(keys, boundary.env_state, to_env_action(trainer.base.action_space, action), boundary.level)
        done = out.terminated | out.truncated
        if trainer.time_limit is not None:
            done = done | (playing.time + 1 >= trainer.time_limit)
        return playing.replace(  # type: ignore[attr-defined]
            boundary=boundary.replace(  # type: ignore[attr-defined]
                obs=out.obs, first=jnp.zeros_like(boundary.first), carry=carry, env_state=out.state
            ),
            ended=playing.ended | (running & done),
            running=running & ~done,
            returns=playing.returns + jnp.where(running, out.reward.astype(jnp.float32), 0.0),
            lengths=playing.lengths + running.astype(jnp.int32),
            time=playing.time + 1,
        )

    return jax.lax.while_loop(goes_on, step, playing)


def evaluate(
    trainer: Trainer,
    state: TrainState,
    key: Key,
    num_episodes: int = 64,
    greedy: bool = True,
    max_steps: int | None = None,
    task: PyTree = None,
) -> Evaluation:
    """Play ``num_episodes`` complete episodes with the agent as it is; nothing is learned and no statistic changes.

    Args:
        trainer, state: the run.
        key: typed key; evaluation folds its own stream out of it, so the key that the run was initialised with may be given.
        num_episodes: ``E``, static.
        greedy: the policy's mode instead of a sample.
        max_steps: episodes that are still running after so many steps are reported as unfinished. Default: the time limit, and
            10,000 where there is none.
        task: the environment's ``params`` to be evaluated on, from fresh resets; default: the curriculum's own starts.

    Raises:
        RLJaxError: no episodes or steps, or several tasks.
    """
    check_argument("num_episodes", num_episodes, Count)
    if max_steps is not None:
        check_argument("max_steps", max_steps, Count)
    if task is not None:
        check_params(trainer.env, task, "task")
        trainer = trainer.replace(curriculum=FixedTask(trainer.env, task))  # type: ignore[attr-defined]
        state = state.replace(curriculum=())  # type: ignore[attr-defined]
    limit = longest(trainer, max_steps)
    return play_episodes(trainer, state, start_episodes(trainer, state, key, num_episodes), limit, greedy).result()


def longest(trainer: Trainer, max_steps: int | None = None) -> int:
    """Steps after which no episode of an evaluation goes on."""
    limits = [limit for limit in (max_steps, trainer.time_limit, longest_episode(trainer.env)) if limit is not None]
    return min(limits, default=MOST_STEPS)
