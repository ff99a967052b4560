"""An agent that acts at random and repeats its actions: the explorer of Go-Explore's first phase."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.agents.base import AgentBase
from rl_jax.errors import RLJaxError
from rl_jax.masks import mask_of
from rl_jax.ops import along
from rl_jax.spaces import Box, Discrete, MultiDiscrete, Space, allows, check_supported, random_action
from rl_jax.types import Context, Key, Metrics, PyTree, Sample, Spec


@struct.dataclass
class RandomRepeat(AgentBase):
    """Does the last action again with probability ``repeat``, else a uniformly random one. It learns nothing.

    Among discrete actions with a mask in the observation, one that is allowed; a last action that is not is not repeated.

    Ecoffet et al. 2019 (arXiv:1901.10995). The memory ``[N, ...]`` is the last action; the first action of an
    episode is always drawn. A :class:`~rl_jax.spaces.Box` is drawn from in unit coordinates, ``[-1, 1]``.

    Attributes:
        repeat: probability of the same action again.
        space: the action space, which :meth:`bind` fills in.
    """

    repeat: Any = 0.95
    space: Space | None = struct.field(pytree_node=False, default=None)

    def bind(self, spec: Spec) -> "RandomRepeat":
        """Fit the agent to the action space.

        Raises:
            RLJaxError: ``repeat`` is no probability.
        """
        check_supported("RandomRepeat", spec.action_space, (Discrete, MultiDiscrete, Box))
        if not isinstance(self.repeat, jax.Array) and not 0 <= self.repeat <= 1:
            raise RLJaxError(f"repeat is a probability and must lie between 0 and 1, not {self.repeat}")
        return self.replace(space=spec.action_space)  # type: ignore[attr-defined]

    def init(self, key: Key, spec: Spec) -> PyTree:
        """No state."""
        return ()

    def initial_carry(self, num_envs: int) -> jax.Array:
        """The last actions ``[N, ...]``: none yet."""
        shape, dtype = self.space.shape, self.space.dtype  # type: ignore[union-attr]
        return jnp.zeros((num_envs, *shape), jnp.float32 if isinstance(self.space, Box) else dtype)

    def act(
        self, state: PyTree, carry: jax.Array, obs: PyTree, first: jax.Array, key: Key, greedy: bool = False
    ) -> tuple[jax.Array, jax.Array, dict[str, jax.Array]]:
        """Actions ``[N, ...]``, which are the new memory as well; ``greedy`` makes no difference."""
        key_action, key_repeat = jax.random.split(key)
        mask = mask_of(obs)
        action = random_action(self.space, key_action, carry.shape[0], mask=mask)  # type: ignore[arg-type]
        again = ~first & (jax.random.uniform(key_repeat, first.shape, jnp.float32) < self.repeat)
        if mask is not None:
            again &= allows(self.space, mask, carry)  # type: ignore[arg-type]
        action = jnp.where(along(again, carry), carry, action)
        return action, action, {}

    def value(self, state: PyTree, carry: PyTree, obs: PyTree, first: jax.Array) -> jax.Array:
        """Zeros ``[N]``: nothing is known."""
        return jnp.zeros(first.shape, jnp.float32)

    def learn(self, state: PyTree, sample: Sample, context: Context) -> tuple[PyTree, Metrics, None]:
        """Nothing."""
        return state, {}, None

    def params(self, state: PyTree) -> PyTree:
        """None."""
        return ()
