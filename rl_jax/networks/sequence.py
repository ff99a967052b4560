"""The network of policies that write: a transformer over whole episodes, and for all other spaces the usual one."""

from typing import Any

from rl_jax.networks.actor_critic import ActorCritic, actor_critic
from rl_jax.networks.memory.transformer import Transformer
from rl_jax.spaces import Discrete
from rl_jax.types import Spec


def is_writing(spec: Spec) -> bool:
    """Whether what is acted is what is seen next: tokens of one vocabulary."""
    return isinstance(spec.action_space, Discrete) and spec.obs_space == spec.action_space


def sequence_actor_critic(
    spec: Spec,
    hidden: tuple[int, ...] = (64, 64),
    activation: str = "tanh",
    memory: str = "auto",
    memory_width: int = 32,
    layers: int = 2,
    heads: int = 2,
    dtype: str = "float32",
) -> ActorCritic:
    """:func:`~rl_jax.networks.actor_critic`, whose transformer remembers exactly one rollout.

    ``memory="auto"`` is a transformer where tokens of one vocabulary are read and written, with heads directly on it, and no memory
    elsewhere. In rollouts of whole episodes the transformer is aligned, which is faster.
    """
    if memory == "auto":
        memory = "transformer" if is_writing(spec) else "none"
    chosen: Any = memory
    if memory == "transformer":
        chosen = Transformer(memory_width, spec.rollout_length, layers, heads, aligned=spec.whole)
    widths = () if is_writing(spec) and memory != "none" else hidden
    return actor_critic(spec, widths, activation, chosen, memory_width, dtype)
