"""The policy of a trained agent, for code outside of the loop."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.errors import RLJaxError
from rl_jax.loop.state import TrainState
from rl_jax.loop.trainer import Trainer
from rl_jax.spaces import PRIVILEGED, Dict, ObsSpace, example, to_env_action
from rl_jax.types import Key, PyTree


@struct.dataclass
class Policy:
    """What acts in a run: shows observations as the experience chain does, and returns the environment's own actions.

    A pytree: ``jit``, ``vmap`` and ``scan`` go through it.

    Attributes:
        trainer, state: of one run.
    """

    trainer: Trainer
    state: TrainState

    def initial_carry(self, num_envs: int = 1) -> PyTree:
        """The memory before the first observations of ``num_envs`` episodes; ``()`` without one."""
        return self.trainer.agent.initial_carry(num_envs)

    def act(self, carry: PyTree, obs: jax.Array, first: jax.Array, key: Key, greedy: bool = True) -> tuple[PyTree, jax.Array]:
        """Choose actions.

        Args:
            carry: the memory ``[N, ...]``.
            obs: raw observations ``[N, ...]``.
            first: whether each begins an episode ``bool[N]``.
            key: typed key of this step.
            greedy: the policy's mode instead of a sample.

        Returns:
            The next memory, and actions ``[N, ...]`` of the environment's action space.
        """
        trainer, state = self.trainer, self.state
        shown = trainer.experience.observe(state.experience, obs)
        carry, action, _ = trainer.agent.act(state.agent, carry, shown, first, key, greedy)
        return carry, to_env_action(trainer.base.action_space, action)

    def __call__(self, obs: Any, carry: PyTree = None, key: Key | None = None, first: Any = None) -> tuple[jax.Array, PyTree]:
        """The actions for observations, and the next memory.

        Args:
            obs: one observation, or a batch ``[N, ...]``.
            carry: the memory that the last call returned; ``None`` at the start of an episode.
            key: typed key: a sample; ``None``: the policy's mode.
            first: whether each begins an episode ``bool[N]``; default: if there is no ``carry``.

        Raises:
            RLJaxError: ``obs`` has another shape than observations of the environment.
        """
        obs, single = _batch(self.trainer.base.obs_space, obs)
        num_envs = jax.tree.leaves(obs)[0].shape[0]
        begins = jnp.broadcast_to(jnp.asarray(carry is None if first is None else first), (num_envs,))
        carry = self.initial_carry(num_envs) if carry is None else carry
        carry, action = self.act(carry, obs, begins, jax.random.key(0) if key is None else key, key is None)
        return action[0] if single else action, carry


def _batch(space: ObsSpace, obs: Any, optional: str | None = PRIVILEGED) -> tuple[PyTree, bool]:
    """Observations ``[N, ...]``, and whether they were a single one. At the top, what is privileged may be left out."""
    if isinstance(space, Dict):
        needed = [name for name in space if name != optional]
        if not isinstance(obs, Mapping) or (missing := [name for name in needed if name not in obs]):
            lacks = f"without '{missing[0]}'" if isinstance(obs, Mapping) else "no dictionary"
            raise RLJaxError(f"obs is {lacks}: give a dictionary with {', '.join(needed)}")
        parts = {name: _batch(part, obs[name], None) for name, part in space.items() if name in obs}
        if len({single for _, single in parts.values()}) > 1:
            raise RLJaxError(
                "some parts of obs are of one observation, others of several: give all of them an axis [N, ...], or none"
            )
        single = next(iter(parts.values()))[1]
        num_envs = jax.tree.leaves(next(iter(parts.values()))[0])[0].shape[0]
        return {name: parts[name][0] if name in parts else example(part, num_envs) for name, part in space.items()}, single
    array = jnp.asarray(obs, space.dtype)
    axes = array.ndim - len(space.shape)
    if axes not in (0, 1) or array.shape[axes:] != space.shape:
        raise RLJaxError(
            f"obs is of the shape {list(array.shape)}: give one observation {list(space.shape)}, or several [N, ...] of these"
        )
    return (array, False) if axes else (array[None], True)
