"""What most agents share: :class:`AgentBase` has defaults for four of an agent's methods, :class:`AgentWrapper` forwards all."""

from typing import Any, Self

import jax

from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Sample, Spec


class AgentBase:
    """Defaults of an agent without memory and without schedules, whose state has an attribute ``params``.

    What is left to write are ``bind``, ``init``, ``act``, ``value`` and ``learn`` (see :class:`~rl_jax.types.Agent`). An agent
    with memory also writes ``initial_carry``.
    """

    def initial_carry(self, num_envs: int) -> PyTree:
        """The memory before an episode, leading axis ``[N]``: none."""
        return ()

    def prepare(self, state: Any, context: Context) -> Any:
        """Acting depends on nothing but what was learned."""
        return state

    def refresh(self, state: Any, carry: PyTree) -> PyTree:
        """Memories are kept as they are: recomputing them would need the whole episode."""
        return carry

    def params(self, state: Any) -> PyTree:
        """``state.params``."""
        return state.params


class AgentWrapper:
    """Forwards everything to the agent ``agent``, whose state is ``state.agent``.

    A wrapper writes ``init``, which gives a state with that attribute, and what it changes.
    """

    agent: Any

    def bind(self, spec: Spec) -> Self:
        """Fit the wrapped agent to the spaces."""
        return self.replace(agent=self.agent.bind(spec))  # type: ignore[attr-defined]

    def agent_context(self, state: Any, context: Context) -> Context:
        """The context as the wrapped agent must see it: it is the agent there, and so is its state."""
        return context.replace(agent=self.agent, agent_state=state.agent)  # type: ignore[attr-defined]

    def initial_carry(self, num_envs: int) -> PyTree:
        return self.agent.initial_carry(num_envs)

    def prepare(self, state: Any, context: Context) -> Any:
        return state.replace(agent=self.agent.prepare(state.agent, self.agent_context(state, context)))

    def act(
        self, state: Any, carry: PyTree, obs: jax.Array, first: jax.Array, key: Key, greedy: bool = False
    ) -> tuple[PyTree, jax.Array, dict[str, jax.Array]]:
        return self.agent.act(state.agent, carry, obs, first, key, greedy)

    def value(self, state: Any, carry: PyTree, obs: jax.Array, first: jax.Array) -> jax.Array:
        return self.agent.value(state.agent, carry, obs, first)

    def outputs(self, params: PyTree, rollout: Rollout) -> Any:
        """The network's outputs on a whole rollout, of agents that have them."""
        return self.agent.outputs(params, rollout)

    def learn(self, state: Any, sample: Sample, context: Context) -> tuple[Any, Metrics, jax.Array | None]:
        agent, metrics, priorities = self.agent.learn(state.agent, sample, self.agent_context(state, context))
        return state.replace(agent=agent), metrics, priorities

    def refresh(self, state: Any, carry: PyTree) -> PyTree:
        return self.agent.refresh(state.agent, carry)

    def params(self, state: Any) -> PyTree:
        return self.agent.params(state.agent)
