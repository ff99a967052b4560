"""A number for every step of an episode, from the steps up to it: reward models of tapes."""

from typing import Any

import flax.linen as nn
import jax

from rl_jax.networks.actor_critic import ActorCritic
from rl_jax.networks.torsos import Dense
from rl_jax.types import PyTree


class Scorer(nn.Module):
    """``(obs [T, N, ...], first [T, N]) -> [T, N, outputs]``: each step is scored from the observations up to it.

    Whole episodes are read at once, from an empty memory, and nothing is kept: it judges and does not act.

    Attributes:
        torso, memory: as of :class:`~rl_jax.networks.actor_critic.ActorCritic`.
        outputs: numbers per step.
    """

    torso: nn.Module
    memory: Any
    outputs: int = 1

    @nn.compact
    def __call__(self, obs: PyTree, first: jax.Array) -> jax.Array:
        carry = self.memory.initial_carry(first.shape[1])
        _, hidden = self.memory(carry, self.torso(obs), first)
        return Dense(self.outputs, 1.0, name="score")(hidden)


def scorer_like(network: ActorCritic, outputs: int = 1) -> Scorer:
    """A scorer with the torso and memory of a policy's network, so that it may begin with these parts of its parameters."""
    return Scorer(network.torso, network.memory, outputs)


def with_backbone(params: PyTree, policy_params: PyTree) -> PyTree:
    """A scorer's parameters with torso and memory of a policy's, whose network it is like (:func:`scorer_like`)."""
    backbone = {name: policy_params["params"][name] for name in ("torso", "memory") if name in policy_params["params"]}
    return {"params": {**params["params"], **backbone}}
