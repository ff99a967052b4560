"""Acting on action values: what all value-based agents have in common."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.agents.base import AgentBase
from rl_jax.losses import ExpectedValue
from rl_jax.masks import among, forbid, mask_of, usable
from rl_jax.networks.build import Maker, actor_spec, build_recurrent_network, init_params
from rl_jax.ops import batch_parallel, linear
from rl_jax.ops.arrays.trees import with_time
from rl_jax.spaces import Discrete, check_supported, without_privileged
from rl_jax.types import Context, Key, PyTree, Spec


def epsilon_greedy(key: jax.Array, q: jax.Array, epsilon: Any, mask: jax.Array | None = None) -> jax.Array:
    """The best of the values ``q`` ``[N, A]``, or with probability ``epsilon`` any action, uniformly; ``int32 [N]``.

    One uniform number per environment decides both: below ``epsilon`` it says, scaled, which action. With ``mask`` ``[N, A]`` it is
    one that is allowed; ``q`` must be minus infinity for the others.
    """
    u = jax.random.uniform(key, q.shape[:-1])
    if mask is not None:
        any_action = among(usable(mask), u / jnp.maximum(epsilon, 1e-30))
    else:
        any_action = jnp.minimum((u / jnp.maximum(epsilon, 1e-30) * q.shape[-1]).astype(jnp.int32), q.shape[-1] - 1)
    return jnp.where(u < epsilon, any_action, jnp.argmax(q, axis=-1).astype(jnp.int32))


def take_along_axis(raw: jax.Array, action: jax.Array) -> jax.Array:
    """Outputs ``[..., K]`` of the actions ``[...]`` among ``[..., A, K]``; as a product, whose gradient is no scatter."""
    chosen = jax.nn.one_hot(action, raw.shape[-2], dtype=raw.dtype)
    return jnp.sum(raw * chosen[..., None], axis=-2)


@struct.dataclass(kw_only=True)
class QPolicy:
    """Epsilon-greedy on a Q-network, or greedy on one with noisy weights.

    Attributes:
        head: what an output per action means: :class:`~rl_jax.losses.ExpectedValue`, ``Categorical51`` or ``Quantiles``.
        epsilon_start, epsilon_end, epsilon_steps: exploration rate, linear over so many environment steps.
        network: a module, or a function ``(spec, atoms=K)`` to one.
        noisy: give the network noise when acting and learning.
    """

    head: Any = ExpectedValue()
    epsilon_start: Any
    epsilon_end: Any
    epsilon_steps: Any
    network: Maker = struct.field(pytree_node=False)
    noisy: bool = struct.field(pytree_node=False, default=False)

    def bind(self, spec: Spec, name: str) -> "QPolicy":
        """Fit the network to the spaces; ``name`` is what the error calls the agent.

        Raises:
            UnsupportedSpace: the action space is not discrete.
        """
        check_supported(name, spec.action_space, (Discrete,))
        return self.replace(network=build_recurrent_network(self.network, actor_spec(spec), atoms=self.head.atoms))  # type: ignore[attr-defined]

    def init(self, key: Key, spec: Spec) -> PyTree:
        """Fresh parameters."""
        actions: Any = spec.action_space
        return init_params(self.network, key, actor_spec(spec), {"raw": (actions.n, self.head.atoms)})

    def initial_carry(self, num_envs: int) -> PyTree:
        """The memory before an episode, leading axis ``[N]``."""
        return self.network.initial_carry(num_envs)  # type: ignore[union-attr]

    @property
    def recurrent(self) -> bool:
        """Whether the network remembers."""
        return bool(jax.tree.leaves(self.initial_carry(1)))

    def epsilon(self, context: Context) -> jax.Array:
        """The exploration rate of the coming rollout."""
        return linear(context.steps, self.epsilon_start, self.epsilon_end, self.epsilon_steps)

    def apply(self, params: PyTree, carry: PyTree, obs: PyTree, first: jax.Array, noise: Key | None) -> tuple:
        """Memory after, and outputs ``[T, N, A, K]`` on, ``obs`` ``[T, N, ...]``; ``noise`` is for noisy networks."""
        rngs = {"noise": noise} if self.noisy and noise is not None else None

        def part(params: PyTree, *seen: PyTree) -> tuple[PyTree, jax.Array]:
            carry, out = self.network.apply(params, *seen, rngs=rngs)  # type: ignore[union-attr]
            return carry, out.raw  # type: ignore[union-attr]

        return batch_parallel(part, params, (carry, without_privileged(obs), first), (0, 1, 1), (0, 1))

    def allowed_values(self, raw: jax.Array, obs: PyTree) -> jax.Array:
        """Values ``[..., A]`` of outputs ``[..., A, K]`` on ``obs`` ``[..., ...]``; minus infinity of an action that these forbid."""
        return forbid(self.head.values(raw), obs)

    def act(
        self, params: PyTree, epsilon: jax.Array, carry: PyTree, obs: PyTree, first: jax.Array, key: Key, greedy: bool
    ) -> tuple[PyTree, jax.Array, dict[str, jax.Array]]:
        """Actions ``[N]``; extras: ``value``, that of the best action."""
        key_noise, key_explore = jax.random.split(key)
        carry, raw = self.apply(params, carry, with_time(obs), first[None], None if greedy else key_noise)
        q = self.allowed_values(raw[0], obs)
        action = epsilon_greedy(key_explore, q, jnp.zeros(()) if greedy else epsilon, mask_of(obs))
        return carry, action, {"value": jnp.max(q, axis=-1)}

    def value(self, params: PyTree, carry: PyTree, obs: PyTree, first: jax.Array) -> jax.Array:
        """``max_a Q`` of ``obs`` ``[N, ...]``; ``[N]``."""
        raw = self.apply(params, carry, with_time(obs), first[None], None)[1][0]
        return jnp.max(self.allowed_values(raw, obs), axis=-1)


class ActsByValue(AgentBase):
    """What agents do alike whose ``policy`` is a :class:`QPolicy` and whose state has ``params`` and ``epsilon``."""

    policy: QPolicy

    def initial_carry(self, num_envs: int) -> PyTree:
        """The memory before an episode, leading axis ``[N]``."""
        return self.policy.initial_carry(num_envs)

    def prepare(self, state: Any, context: Context) -> Any:
        """The exploration rate of this rollout."""
        return state.replace(epsilon=self.policy.epsilon(context))

    def act(
        self, state: Any, carry: PyTree, obs: PyTree, first: jax.Array, key: Key, greedy: bool = False
    ) -> tuple[PyTree, jax.Array, dict[str, jax.Array]]:
        """The best action ``[N]``, or with probability ``epsilon`` any; extras: ``value``, that of the best action."""
        return self.policy.act(state.params, state.epsilon, carry, obs, first, key, greedy)

    def value(self, state: Any, carry: PyTree, obs: PyTree, first: jax.Array) -> jax.Array:
        """``max_a Q`` of ``obs`` ``[N, ...]``; ``[N]``."""
        return self.policy.value(state.params, carry, obs, first)
