"""Actor-critic networks: torso, memory, policy head, value head."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.errors import chosen
from rl_jax.networks.distributions import LOG_STD, Categorical, DiagonalGaussian, Distribution, MultiCategorical
from rl_jax.networks.memory.recurrent import GRU, NoMemory
from rl_jax.networks.memory.transformer import Transformer
from rl_jax.networks.torsos import ACTIVATIONS, MLP, Dense, is_image, torso
from rl_jax.ops import within
from rl_jax.spaces import PRIVILEGED, Dict, Discrete, MultiDiscrete, Space, seen_by_actor
from rl_jax.types import Spec


@struct.dataclass
class Outputs:
    """The outputs of an actor-critic on observations ``[T, N, ...]``.

    Attributes:
        policy: action distribution with batch axes ``[T, N]``.
        value: ``[T, N]``.
        hidden: the features after torso and memory ``[T, N, features]``, for parts that learn on top of them.
    """

    policy: Distribution
    value: jax.Array
    hidden: jax.Array


class PolicyHead(nn.Module):
    """Features to an action distribution for any of the action spaces."""

    space: Space

    @nn.compact
    def __call__(self, x: jax.Array) -> Distribution:
        # A small last layer makes the first policy nearly uniform, whatever the features are (Andrychowicz et al. 2021).
        if isinstance(self.space, Discrete):
            return Categorical(Dense(self.space.n, 0.01)(x))
        if isinstance(self.space, MultiDiscrete):
            return MultiCategorical(Dense(sum(self.space.nvec), 0.01)(x), self.space.nvec)
        size = len(self.space.low)
        log_std = self.param("log_std", nn.initializers.zeros, (size,), jnp.float32)
        mean = Dense(size, 0.01)(x)
        shape = (*mean.shape[:-1], *self.space.shape)
        log_std = jnp.broadcast_to(within(log_std, *LOG_STD), mean.shape).reshape(shape)
        return DiagonalGaussian(mean.reshape(shape), log_std, len(self.space.shape))


class ActorCritic(nn.Module):
    """``(carry, obs [T, N, ...], first [T, N]) -> (carry, Outputs)``.

    Attributes:
        torso: observations to features, shared by actor and critic.
        memory: :class:`~rl_jax.networks.memory.recurrent.NoMemory`, :class:`~rl_jax.networks.memory.recurrent.GRU`,
            :class:`~rl_jax.networks.memory.transformer.Transformer`, or any module of their kind.
        actor, critic: separate layers on top (an ``MLP(())`` has none).
        action_space: what the policy head must serve.
        privileged: ``obs["privileged"]`` to features that the critic alone reads, beside those of torso and memory; ``None``: none.
    """

    torso: nn.Module
    memory: Any
    actor: nn.Module
    critic: nn.Module
    action_space: Space
    privileged: nn.Module | None = None

    @nn.compact
    def __call__(self, carry: Any, obs: Any, first: jax.Array) -> tuple[Any, Outputs]:
        carry, hidden = self.memory(carry, self.torso(obs), first)
        policy = PolicyHead(self.action_space)(self.actor(hidden))
        for_critic = hidden
        if self.privileged is not None:
            for_critic = jnp.concatenate([hidden, self.privileged(obs[PRIVILEGED])], axis=-1)
        value = Dense(1, 1.0)(self.critic(for_critic))[..., 0]
        return carry, Outputs(policy, value, hidden)

    @nn.nowrap
    def initial_carry(self, num_envs: int) -> Any:
        """The memory before an episode, leading axis ``[N]``."""
        return self.memory.initial_carry(num_envs)


def actor_critic(
    spec: Spec,
    hidden: tuple[int, ...] = (64, 64),
    activation: str = "tanh",
    memory: str | nn.Module = "none",
    memory_width: int = 128,
    dtype: str = "float32",
) -> ActorCritic:
    """The usual network for a pair of spaces.

    Image-like observations (three axes) get the MinAtar CNN as a shared torso with heads directly on it; vectors get separate
    multi-layer perceptrons for actor and critic. ``memory="gru"`` or ``"transformer"`` (or a module) puts a memory after the
    torso, and one embedding layer of ``hidden[0]`` before it where the torso itself learns nothing. ``dtype`` is that of the
    hidden layers' arithmetic (not of the memory's, the heads' or the parameters').

    The parts of a dictionary are joined, images through a CNN of their own, and are a vector from there on. What is ``"privileged"``
    goes past torso and memory to the critic alone (Pinto et al. 2018, "Asymmetric Actor Critic"); the actor has no path from it.
    """
    space = seen_by_actor(spec.obs_space)
    image = is_image(space)
    function = chosen("activation", activation, ACTIVATIONS)
    heads = () if image else hidden
    features = torso(space, dtype=dtype)
    if memory != "none" and not image:
        features = nn.Sequential([features, MLP(hidden[:1], function, dtype=dtype)])
        heads = hidden[1:]
    privileged = None
    if isinstance(spec.obs_space, Dict) and PRIVILEGED in spec.obs_space:
        privileged = torso(spec.obs_space[PRIVILEGED], dtype=dtype)
    named: dict[str, nn.Module] = {"none": NoMemory(), "gru": GRU(memory_width), "transformer": Transformer(memory_width)}
    return ActorCritic(
        torso=features,
        memory=chosen("memory", memory, named) if isinstance(memory, str) else memory,
        actor=MLP(heads, function, dtype=dtype),
        critic=MLP(heads, function, dtype=dtype),
        action_space=spec.action_space,
        privileged=privileged,
    )
