"""Evaluation: fixed numbers of whole episodes, own keys, frozen statistics."""

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.curricula import FixedTask
from rl_jax.loop import counter as streams
from rl_jax.loop.collect import begin
from rl_jax.loop.trainer import Trainer, TrainState
from rl_jax.ops import written_out
from rl_jax.spaces import to_env_action
from rl_jax.types import Key, PyTree


@struct.dataclass
class Evaluation:
    """``E`` episodes, one per environment, so that short episodes are not favoured.

    Attributes:
        returns: undiscounted returns ``[E]``.
        lengths: steps ``[E]``.
        finished: whether the episode ended within the limit ``[E]``; only those are to be averaged.
    """

    returns: jax.Array
    lengths: jax.Array
    finished: jax.Array

    def mean(self) -> jax.Array:
        """Mean return of the finished episodes; NaN if none finished."""
        done = self.finished.astype(jnp.float32)
        return jnp.sum(self.returns * done) / jnp.sum(done)


def evaluate(
    trainer: Trainer,
    state: TrainState,
    key: Key,
    num_episodes: int = 64,
    greedy: bool = True,
    max_steps: int = 10_000,
    task: PyTree = None,
) -> Evaluation:
    """Play ``num_episodes`` whole episodes with the agent as it is; nothing is learned and no statistic changes.

    Args:
        trainer, state: the run.
        key: typed key; evaluation folds its own stream out of it, so the key that the run was initialised with may be given.
        num_episodes: ``E``, static.
        greedy: the policy's mode instead of a sample.
        max_steps: episodes that are still running after so many steps are reported as unfinished.
        task: the environment's ``params`` to be evaluated on, from fresh resets; default: the curriculum's own starts.
    """
    if task is not None:
        trainer = trainer.replace(curriculum=FixedTask(trainer.env, task))  # type: ignore[attr-defined]
        state = state.replace(curriculum=())  # type: ignore[attr-defined]
    key_start, key_steps = jax.random.split(jax.random.fold_in(written_out(key), streams.EVALUATE))
    first = begin(trainer.curriculum, state.curriculum, trainer.agent.initial_carry(num_episodes), key_start, num_episodes)
    limit = min(max_steps, trainer.time_limit or max_steps)

    def step_one(key: Key, env_state: PyTree, action: jax.Array, level: PyTree) -> PyTree:
        return trainer.env.step(key, env_state, action, trainer.curriculum.params(state.curriculum, level))

    def running(carry: tuple) -> jax.Array:
        _, _, alive, _, _, t = carry
        return jnp.any(alive) & (t < limit)

    def step(carry: tuple) -> tuple:
        here, ended, alive, returns, lengths, t = carry
        key_act, key_env = jax.random.split(jax.random.fold_in(key_steps, t))
        obs = trainer.experience.observe(state.experience, here.obs)
        memory, action, _ = trainer.agent.act(state.agent, here.carry, obs, here.first, key_act, greedy)
        keys = jax.random.split(key_env, num_episodes)
        out = jax.vmap(step_one)(keys, here.env_state, to_env_action(trainer.base.action_space, action), here.level)
        returns = returns + jnp.where(alive, out.reward.astype(jnp.float32), 0.0)
        lengths = lengths + alive.astype(jnp.int32)
        done = out.terminated | out.truncated
        if trainer.time_limit is not None:
            done = done | (t + 1 >= trainer.time_limit)
        ended = ended | (alive & done)
        here = here.replace(obs=out.obs, first=jnp.zeros_like(here.first), carry=memory, env_state=out.state)
        return here, ended, alive & ~done, returns, lengths, t + 1

    alive = jnp.ones((num_episodes,), bool)
    carry = (first.here, ~alive, alive, first.episode_return, first.episode_length, jnp.zeros((), jnp.int32))
    _, ended, _, returns, lengths, _ = jax.lax.while_loop(running, step, carry)
    return Evaluation(returns, lengths, ended)
