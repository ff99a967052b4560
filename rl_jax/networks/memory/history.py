"""A network that stores its observations, so that its memory can be recomputed."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from rl_jax.spaces import ObsSpace, example
from rl_jax.types import PyTree


class History(NamedTuple):
    """A memory, and the observations that it was computed from.

    ``obs`` ``[N, H, ...]``: the observations of the running trial, the newest last. ``steps`` ``int32 [N]``: how many of these
    belong to it. ``memory``: the network's own, leading axis ``[N]``.
    """

    obs: PyTree
    steps: jax.Array
    memory: PyTree


class WithHistory(nn.Module):
    """A network that stores its observations beside its memory.

    Attributes:
        inner: the network: ``(carry, obs, first) -> (carry, outputs)``.
        length: ``H``.
        space: of one observation.
        recall: do not use the memory; recompute it from the observations with the current parameters, so that gradients
            flow through it. The outputs are the same if the memory was computed with these parameters.
    """

    inner: nn.Module
    length: int
    space: ObsSpace
    recall: bool = False

    @nn.nowrap
    def initial_carry(self, num_envs: int) -> History:
        """An empty history, and the inner network's empty memory."""
        obs = example(self.space, num_envs, self.length)
        return History(obs, jnp.zeros((num_envs,), jnp.int32), self.inner.initial_carry(num_envs))

    def __call__(self, carry: History, obs: PyTree, first: jax.Array) -> tuple[History, Any]:
        """``obs`` ``[T, N, ...]``, ``first`` ``[T, N]`` as any network; the history grows by them, and forgets the oldest."""
        if self.recall:
            past, past_first = self._past(carry)
            fresh = self.inner.initial_carry(first.shape[1])
            current_first = first.at[0].set(first[0] | (carry.steps == 0))
            full_obs = jax.tree.map(lambda *x: jnp.concatenate(x), past, obs)
            full_inputs = full_obs, jnp.concatenate([past_first, current_first])
            memory, outputs = self.inner(fresh, *full_inputs)
            outputs = jax.tree.map(lambda x: x[self.length :], outputs)
        else:
            memory, outputs = self.inner(carry.memory, obs, first)

        def append(past: jax.Array, new: jax.Array) -> jax.Array:
            return jnp.concatenate([past, jnp.swapaxes(new, 0, 1)], axis=1)[:, len(new) :]

        history = jax.tree.map(append, carry.obs, obs)
        number = jnp.arange(1, len(first) + 1, dtype=jnp.int32)[:, None]
        last_start = jnp.max(jnp.where(first, number, 0), axis=0)  # the number of the last step that began a trial; 0: none
        steps = jnp.where(last_start > 0, len(first) + 1 - last_start, carry.steps + len(first))
        return History(history, jnp.minimum(steps, self.length), memory), outputs

    def recompute(self, carry: History) -> History:
        """The same history, with its memory recomputed by the current parameters."""
        fresh = self.inner.initial_carry(len(carry.steps))
        memory, _ = self.inner(fresh, *self._past(carry))
        return carry._replace(memory=memory)

    def _past(self, carry: History) -> tuple[PyTree, jax.Array]:
        """Observations ``[H, N, ...]`` and where the trial begins in them ``[H, N]``; what lies before is not of this trial."""
        step = jnp.arange(self.length, dtype=jnp.int32)[:, None]
        return jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), carry.obs), step == self.length - carry.steps
