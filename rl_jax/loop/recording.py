"""Playing on with an agent as it is: every step kept, or recorded as a data set. Own keys, frozen statistics."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from rl_jax.argument_checks import check_argument
from rl_jax.data.dataset import Dataset
from rl_jax.errors import RLJaxError
from rl_jax.loop import counter as streams
from rl_jax.loop.collect import collect, not_first, reset_envs
from rl_jax.loop.trainer import Trainer, TrainState
from rl_jax.masks import mask_of
from rl_jax.ops import along, unrolled_threefry
from rl_jax.spaces import Box, random_action
from rl_jax.types import Key, PyTree, Rollout
from rl_jax.values import Count, NotNegative, Share


def play(
    trainer: Trainer,
    state: TrainState,
    key: Key,
    num_envs: int,
    steps: int,
    greedy: bool = True,
    disturb: Callable[[jax.Array, PyTree, Key], jax.Array] | None = None,
) -> Rollout:
    """``steps`` steps in ``num_envs`` fresh environments; nothing is learned and no statistic changes.

    Args:
        trainer, state: the run.
        key: typed key; a stream of its own is folded out of it, as in :func:`rl_jax.evaluate`.
        num_envs: ``N``, static; episodes that end are followed by new ones, but where the trainer's rollouts are whole episodes.
        steps: ``T``, static.
        greedy: the policy's mode instead of a sample.
        disturb: ``(action [N, ...], obs [N, ...], key) -> action``, what is done instead, in unit coordinates.

    Returns:
        The rollout ``[T, N, ...]`` as the environment gave it. What is not read of it is not computed.

    Raises:
        RLJaxError: no environments or steps.
    """
    check_argument("num_envs", num_envs, Count)
    check_argument("steps", steps, Count)
    key_start, key_steps = jax.random.split(jax.random.fold_in(unrolled_threefry(key), streams.EVALUATE))
    carry, whole = trainer.agent.initial_carry(num_envs), trainer.base.whole
    collector = reset_envs(trainer.curriculum, state.curriculum, carry, key_start, num_envs, whole)

    def policy(carry: PyTree, obs: PyTree, first: jax.Array, key: Key) -> PyTree:
        shown = trainer.experience.observe(state.experience, obs)
        if disturb is None:
            return trainer.agent.act(state.agent, carry, shown, first, key, greedy)
        key_act, key_disturb = jax.random.split(key)
        carry, action, extras = trainer.agent.act(state.agent, carry, shown, first, key_act, greedy)
        return carry, disturb(action, obs, key_disturb), extras

    def value(carry: PyTree, obs: PyTree) -> jax.Array:
        obs = trainer.experience.observe(state.experience, obs)
        return trainer.agent.value(state.agent, carry, obs, not_first(obs))

    spaces = (trainer.env, trainer.base.action_space)
    where = (trainer.curriculum, state.curriculum)
    return collect(*spaces, *where, policy, value, collector, key_steps, steps, trainer.time_limit)[1]


def record(
    trainer: Trainer,
    state: TrainState,
    key: Key,
    num_envs: int,
    steps: int,
    greedy: bool = False,
    epsilon: Any = 0.0,
    noise: Any = 0.0,
    keep: Sequence[str] = (),
    episodes: int | None = None,
) -> Dataset:
    """``steps`` steps in each of ``num_envs`` fresh environments, as a data set; nothing is learned. Can be compiled and vmapped.

    Args:
        trainer, state: the run.
        key: typed key, as of :func:`rl_jax.loop.play`.
        num_envs: ``N``, static.
        steps: ``T``, static; what still runs then is cut there, and counts as truncated.
        greedy: the policy's mode instead of a sample.
        epsilon: probability of an action drawn uniformly at random.
        noise: standard deviation of Gaussian noise on actions in a box, in unit coordinates; what leaves the box is clipped.
        keep, episodes: see :meth:`rl_jax.data.Dataset.of`; a ``"log_prob"`` is of the action before it was disturbed.

    Raises:
        RLJaxError: numbers that cannot be, or rollouts of whole episodes, which stand still after their end.
    """
    if trainer.base.whole:
        raise RLJaxError(
            "rollouts of whole episodes stand still after their end, which is no experience: make a trainer without whole=True"
        )
    for what, number, hint in (("epsilon", epsilon, Share), ("noise", noise, NotNegative)):
        if not isinstance(number, jax.Array):
            check_argument(what, number, hint)
    space = trainer.base.action_space

    def disturb(action: jax.Array, obs: PyTree, key: Key) -> jax.Array:
        keys = jax.random.split(key, 3)
        if isinstance(space, Box):
            noisy = jnp.clip(action + noise * jax.random.normal(keys[0], action.shape), -1.0, 1.0)
            action = jnp.where(jnp.asarray(noise) > 0, noisy, action)
        random = jax.random.bernoulli(keys[1], epsilon, (num_envs,))
        return jnp.where(along(random, action), random_action(space, keys[2], num_envs, mask=mask_of(obs)), action)

    undisturbed = isinstance(epsilon, float | int) and isinstance(noise, float | int) and epsilon == noise == 0
    rollout = play(trainer, state, key, num_envs, steps, greedy, None if undisturbed else disturb)
    return Dataset.of(rollout, trainer.base.obs_space, space, trainer.env.name, keep, episodes)
