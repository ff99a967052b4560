"""The policy of a trained agent, for code outside of the loop."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.errors import RLJaxError
from rl_jax.loop.state import TrainState
from rl_jax.loop.trainer import Trainer
from rl_jax.spaces import to_env_action
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
        space = self.trainer.base.obs_space
        obs = jnp.asarray(obs, space.dtype)
        axes = obs.ndim - len(space.shape)
        if axes not in (0, 1) or obs.shape[axes:] != space.shape:
            raise RLJaxError(
                f"obs is of the shape {list(obs.shape)}: give one observation {list(space.shape)}, or several [N, ...] of these"
            )
        obs = obs if axes else obs[None]
        begins = (
            jnp.full(obs.shape[:1], carry is None) if first is None else jnp.broadcast_to(jnp.asarray(first), obs.shape[:1])
        )
        carry = self.initial_carry(obs.shape[0]) if carry is None else carry
        carry, action = self.act(carry, obs, begins, jax.random.key(0) if key is None else key, key is None)
        return action if axes else action[0], carry
