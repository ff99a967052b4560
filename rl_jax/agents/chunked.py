"""Agents that decide on several actions at once, played one by one."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.agents.base import AgentWrapper
from rl_jax.argument_checks import check_numbers
from rl_jax.errors import RLJaxError, UnsupportedSpace
from rl_jax.masks import MASK
from rl_jax.ops import along, any_true
from rl_jax.spaces import Box, Dict, Discrete, MultiDiscrete, Space
from rl_jax.types import Key, PyTree, Spec
from rl_jax.values import Count


def chunk_space(space: Space, length: int) -> Space:
    """The space of ``length`` actions at once: a box ``[length, ...]``, or as many choices one after the other."""
    if isinstance(space, Discrete):
        return MultiDiscrete((space.n,) * length)
    if isinstance(space, MultiDiscrete):
        return MultiDiscrete(space.nvec * length)
    return Box(space.low * length, space.high * length, (length, *space.shape), space.dtype)


@struct.dataclass
class ChunkedState:
    """The state of the agent that decides."""

    agent: PyTree


@struct.dataclass
class Chunk:
    """The memory of :class:`Chunked`.

    Attributes:
        agent: the memory of the agent that decides, ``[N, ...]``.
        actions: the coming actions, the next one first, ``[N, length, ...]``; in an ensemble, the weighted sums of what the
            decisions so far say of each.
        count: steps since the decision, ``int32 [N]``; in an ensemble decisions of the episode, no more than matter.
    """

    agent: PyTree
    actions: jax.Array
    count: jax.Array


@struct.dataclass
class Chunked(AgentWrapper):
    """Plays the chunks of ``length`` actions that ``agent`` decides on, whose action space is that of a whole chunk.

    *Open loop*: ``executed`` actions of a chunk are played, then the agent decides anew, as it does where an episode begins. Its
    network is called only if an environment of the batch needs it.

    *Temporal ensemble*, with ``decay``: the agent decides at every step, and the action is the mean of what the last ``length``
    decisions say of this step, with the weights ``exp(-decay i)``, ``i = 0`` for the oldest (Zhao et al. 2023, arXiv 2304.13705,
    section IV.B and Algorithm 2, where ``decay = 0.01``). Their published code leaves out decisions that say exactly zero of some
    element; here all count.

    The agent's ``extras`` stand at the steps at which it decided, and are zeros at the others: a log-probability, say, is that of
    the whole chunk, and the actions that follow are certain. It learns as it is, from actions ``[..., length, ...]``: whoever draws
    the batch makes chunks of its trajectories.

    Attributes:
        agent: any :class:`~rl_jax.types.Agent`.
        length: actions of a chunk.
        executed: how many of them are played; ``None`` for all.
        decay: of the weights of a temporal ensemble; ``None`` for open loop.
        space: the action space of the environment, which :meth:`bind` fills in.
    """

    agent: Any
    length: int = struct.field(pytree_node=False)
    executed: int | None = struct.field(pytree_node=False, default=None)
    decay: Any = None
    space: Space | None = struct.field(pytree_node=False, default=None)

    def bind(self, spec: Spec) -> "Chunked":
        """Fit the agent to chunks of the environment's actions.

        Raises:
            RLJaxError: more actions are to be played than a chunk has, or an ensemble is to play several of one.
            UnsupportedSpace: choices cannot be averaged; or which are allowed is known for one step alone.
        """
        check_numbers("Chunked's", self, length=Count)
        if self.executed is not None and not 1 <= self.executed <= self.length:
            raise RLJaxError(f"executed is {self.executed}, of chunks of {self.length}: play from 1 to {self.length} of them")
        if self.decay is not None and self.executed is not None:
            raise RLJaxError("an ensemble decides at every step: leave out executed, or leave out decay")
        if self.decay is not None and not isinstance(spec.action_space, Box):
            raise UnsupportedSpace("an ensemble takes the mean of actions, and choices have none: leave out decay")
        if isinstance(spec.obs_space, Dict) and MASK in spec.obs_space:
            raise UnsupportedSpace(f"'{MASK}' says what is allowed at one step, and a chunk has {self.length}: leave it out")
        agent = self.agent.bind(self._inner(spec))
        return self.replace(agent=agent, space=spec.action_space)  # type: ignore[attr-defined]

    def _inner(self, spec: Spec) -> Spec:
        """The spec as the agent sees it."""
        return dataclasses.replace(spec, action_space=chunk_space(spec.action_space, self.length))

    def init(self, key: Key, spec: Spec) -> ChunkedState:
        """The agent's state."""
        return ChunkedState(self.agent.init(key, self._inner(spec)))

    def initial_carry(self, num_envs: int) -> Chunk:
        """Nothing decided."""
        space: Any = self.space
        dtype = jnp.float32 if isinstance(space, Box) else space.dtype
        actions = jnp.zeros((num_envs, self.length, *space.shape), dtype)
        return Chunk(self.agent.initial_carry(num_envs), actions, jnp.zeros((num_envs,), jnp.int32))

    def act(
        self, state: ChunkedState, carry: Chunk, obs: PyTree, first: jax.Array, key: Key, greedy: bool = False
    ) -> tuple[Chunk, jax.Array, dict[str, jax.Array]]:
        """The next action of each chunk ``[N, ...]``."""

        def decide() -> tuple[PyTree, jax.Array, dict[str, jax.Array]]:
            memory, actions, extras = self.agent.act(state.agent, carry.agent, obs, first, key, greedy)
            return memory, actions.reshape(carry.actions.shape), extras

        if self.decay is not None:
            memory, actions, extras = decide()
            action, carry = self._averaged(carry, memory, actions, first)
            return carry, action, extras
        due = first | (carry.count >= (self.executed or self.length))
        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(decide)[2])
        kept = carry.agent, carry.actions, nothing
        decided = jax.lax.cond(any_true(due), decide, lambda: kept)
        memory, actions, extras = jax.tree.map(lambda new, old: jnp.where(along(due, new), new, old), decided, kept)
        count = jnp.where(due, 1, carry.count + 1)
        return Chunk(memory, _shifted(actions), count), actions[:, 0], extras

    def _averaged(self, carry: Chunk, memory: PyTree, actions: jax.Array, first: jax.Array) -> tuple[jax.Array, Chunk]:
        """The mean of what the last decisions say of this step, and the memory after it."""
        count = jnp.where(first, 0, carry.count)
        ahead = jnp.arange(self.length)
        # Of an action ``ahead`` of this step, so many decisions have spoken, whose last actions came as late or later.
        earlier = jnp.minimum(count[:, None], self.length - 1 - ahead)
        sums = jnp.where(along(first, actions), 0.0, carry.actions)
        sums = sums + along(jnp.exp(-self.decay * earlier), actions) * actions
        total = jnp.cumsum(jnp.exp(-self.decay * ahead))[count]
        action = sums[:, 0] / along(total, sums[:, 0])
        return action, Chunk(memory, _shifted(sums), jnp.minimum(count + 1, self.length - 1))

    def value(self, state: ChunkedState, carry: Chunk, obs: PyTree, first: jax.Array) -> jax.Array:
        """What the agent would say of ``obs`` ``[N, ...]`` if it decided there."""
        return self.agent.value(state.agent, carry.agent, obs, first)

    def refresh(self, state: ChunkedState, carry: Chunk) -> Chunk:
        """Chunks that are under way are played to their end."""
        return carry.replace(agent=self.agent.refresh(state.agent, carry.agent))  # type: ignore[attr-defined]


def _shifted(actions: jax.Array) -> jax.Array:
    """Without the action that is played now, ``[N, length, ...]``; nothing is known of the last one."""
    return jnp.concatenate([actions[:, 1:], jnp.zeros_like(actions[:, :1])], axis=1)
