"""Playing with an agent as it is, and keeping every step: for questions that returns do not answer."""

import jax

from rl_jax.argument_checks import check_argument
from rl_jax.loop import counter as streams
from rl_jax.loop.collect import collect, not_first, reset_envs
from rl_jax.loop.trainer import Trainer, TrainState
from rl_jax.ops import unrolled_threefry
from rl_jax.types import Key, PyTree, Rollout
from rl_jax.values import Count


def play(trainer: Trainer, state: TrainState, key: Key, num_envs: int, steps: int, greedy: bool = True) -> Rollout:
    """``steps`` steps in ``num_envs`` fresh environments; nothing is learned and no statistic changes.

    Args:
        trainer, state: the run.
        key: typed key; a stream of its own is folded out of it, as in :func:`rl_jax.evaluate`.
        num_envs: ``N``, static; episodes that end are followed by new ones.
        steps: ``T``, static.
        greedy: the policy's mode instead of a sample.

    Returns:
        The rollout ``[T, N, ...]`` as the environment gave it. What is not read of it is not computed.

    Raises:
        RLJaxError: no environments or steps.
    """
    check_argument("num_envs", num_envs, Count)
    check_argument("steps", steps, Count)
    key_start, key_steps = jax.random.split(jax.random.fold_in(unrolled_threefry(key), streams.EVALUATE))
    collector = reset_envs(trainer.curriculum, state.curriculum, trainer.agent.initial_carry(num_envs), key_start, num_envs)

    def policy(carry: PyTree, obs: PyTree, first: jax.Array, key: Key) -> PyTree:
        return trainer.agent.act(state.agent, carry, trainer.experience.observe(state.experience, obs), first, key, greedy)

    def value(carry: PyTree, obs: PyTree) -> jax.Array:
        obs = trainer.experience.observe(state.experience, obs)
        return trainer.agent.value(state.agent, carry, obs, not_first(obs))

    spaces = (trainer.env, trainer.base.action_space)
    where = (trainer.curriculum, state.curriculum)
    return collect(*spaces, *where, policy, value, collector, key_steps, steps, trainer.time_limit)[1]
