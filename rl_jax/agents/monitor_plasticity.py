"""Any agent, with a reading of its network's plasticity at every learning step."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.agents.base import AgentWrapper
from rl_jax.networks.activations import activations
from rl_jax.ops import active_units, dormant_ratio, joined
from rl_jax.types import Context, Key, Metrics, PyTree, Sample, Spec

#: ``(agent, its state, sample) -> layers``, each ``[members, ..., units]``: of one network, or of several of one shape.
Units = Callable[[Any, PyTree, Sample], tuple[jax.Array, ...]]


def q_units(agent: Any, state: PyTree, sample: Sample) -> tuple[jax.Array, ...]:
    """The hidden ReLU units of a :class:`~rl_jax.agents.QLearning`'s network on the batch's observations."""
    batch = sample.batch
    carry = jax.tree.map(lambda c: c[0], batch.carry)
    layers = activations(agent.policy.network.apply, state.params, carry, batch.obs, batch.first)
    return tuple(x[None] for x in layers)


def critic_units(agent: Any, state: PyTree, sample: Sample) -> tuple[jax.Array, ...]:
    """The hidden ReLU units of all critics of SAC, TD3 or DDPG on the batch's observations and actions."""
    batch = sample.batch
    obs = jax.tree.map(lambda x: x[0], batch.obs)
    return activations(agent.critics.apply, state.params["critics"], obs, batch.action[0])


@struct.dataclass
class MonitorState:
    """The state of :class:`MonitorPlasticity`.

    Attributes:
        agent: the watched agent's.
        active: FAU at the last learning step, before it; ``float32``.
        dormant: dormant ratio there; ``float32``.
        read: whether there was such a step.
    """

    agent: PyTree
    active: jax.Array
    dormant: jax.Array
    read: jax.Array


@struct.dataclass
class MonitorPlasticity(AgentWrapper):
    """Acts and learns as ``agent`` does, and reads the fraction of active units and the dormant ratio of every batch it learns from.

    The readings are metrics, ``plasticity/active`` and ``plasticity/dormant``, and stand in the state, where a rule of
    :class:`~rl_jax.types.Updates` finds them. As in Ma et al. 2024 (arXiv 2310.07418), they are of the parameters before
    the step. They cost one forward pass more, or none where the compiler finds that the loss takes the same one.

    Attributes:
        agent: any :class:`~rl_jax.types.Agent`.
        tau: threshold of dormancy, see :func:`~rl_jax.ops.dormant_ratio`.
        units: which units are read, such as :func:`q_units` and :func:`critic_units`.
    """

    agent: Any
    tau: Any = 0.025
    units: Units = struct.field(pytree_node=False, default=q_units)

    def init(self, key: Key, spec: Spec) -> MonitorState:
        """The agent's, with nothing read."""
        nothing = jnp.zeros((), jnp.float32)
        return MonitorState(self.agent.init(key, spec), nothing, nothing, jnp.zeros((), bool))

    def learn(self, state: MonitorState, sample: Sample, context: Context) -> tuple[MonitorState, Metrics, jax.Array | None]:
        """As the agent does, with two more metrics."""
        layers = self.units(self.agent, state.agent, sample)
        active = active_units(layers)
        dormant = jnp.mean(jax.vmap(lambda layers: dormant_ratio(layers, self.tau))(layers))
        state, metrics, priorities = super().learn(state, sample, context)
        state = state.replace(active=active, dormant=dormant, read=jnp.ones((), bool))  # type: ignore[attr-defined]
        return state, joined(metrics, {"plasticity/active": active, "plasticity/dormant": dormant}), priorities
