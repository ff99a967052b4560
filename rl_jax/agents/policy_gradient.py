"""The actor-critic that learns from its own fresh rollouts: PPO, A2C and their relatives are choices of its loss terms."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from rl_jax.errors import RLJaxError
from rl_jax.losses import weighted_sum
from rl_jax.ops import permutation
from rl_jax.spaces import Box, Discrete, MultiDiscrete, check_supported
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Sample, Spec


@struct.dataclass
class Learner:
    """Parameters and the optimiser's state."""

    params: PyTree
    opt_state: PyTree


@struct.dataclass
class PolicyGradient:
    """Acts with an actor-critic network and learns by a weighted sum of loss terms over shuffled minibatches.

    A feed-forward network's minibatches are drawn from all ``T * N`` steps; a recurrent one's from the ``N`` environments,
    whole sequences at a time, each starting from the memory stored at the rollout's beginning.

    Attributes:
        terms: loss terms by name; ``weights`` the weight of each.
        learning_rate: Adam's, at the start.
        adam_epsilon: Adam's.
        max_grad_norm: bound on the gradient's *global* norm.
        network: a module, or a function from :class:`~rl_jax.types.Spec` to one.
        epochs, minibatches: passes over the rollout, and pieces per pass.
        anneal: let the learning rate fall linearly to zero over the planned training.
        name: what errors call this agent.
    """

    terms: dict[str, Any]
    weights: dict[str, Any]
    learning_rate: Any = 3e-4
    adam_epsilon: Any = 1e-5
    max_grad_norm: Any = 0.5
    network: nn.Module | Callable[[Spec], nn.Module] | None = struct.field(pytree_node=False, default=None)
    epochs: int = struct.field(pytree_node=False, default=4)
    minibatches: int = struct.field(pytree_node=False, default=4)
    anneal: bool = struct.field(pytree_node=False, default=True)
    name: str = struct.field(pytree_node=False, default="PolicyGradient")

    def bind(self, spec: Spec) -> "PolicyGradient":
        """Fit the network to the spaces and check that the rollout can be cut as asked.

        Raises:
            UnsupportedSpace: no policy head serves the action space.
            RLJaxError: the minibatches do not divide the rollout, or hold a single item.
        """
        check_supported(self.name, spec.action_space, (Discrete, MultiDiscrete, Box))
        network = self.network if isinstance(self.network, nn.Module) else self.network(spec)  # type: ignore[misc]
        agent = self.replace(network=network)  # type: ignore[attr-defined]
        if missing := set(self.terms) ^ set(self.weights):
            raise RLJaxError(f"every loss term needs a weight and every weight a term; unmatched: {sorted(missing)}")
        steps = spec.num_envs * spec.rollout_length
        items, what = (spec.num_envs, "environments") if agent.recurrent else (steps, "steps of a rollout")
        if items % self.minibatches:
            asked = min(self.minibatches, items)
            near = (d for away in range(items) for d in (asked - away, asked + away) if 0 < d <= items)
            nearest = next(d for d in near if items % d == 0)
            raise RLJaxError(
                f"{items} {what} cannot be cut into {self.minibatches} equal minibatches: use --minibatches {nearest}"
                + (" (a recurrent agent's minibatches are whole environments)" if agent.recurrent else "")
            )
        if steps // self.minibatches < 2:
            most = max(1, steps // 2)
            raise RLJaxError(f"a minibatch of one step has no spread to standardise: use --minibatches {most} or fewer")
        return agent

    @property
    def recurrent(self) -> bool:
        """Whether the network remembers."""
        return bool(jax.tree.leaves(self.initial_carry(1)))

    def _optimizer(self) -> optax.GradientTransformation:
        return optax.chain(optax.clip_by_global_norm(self.max_grad_norm), optax.scale_by_adam(eps=self.adam_epsilon))

    def init(self, key: Key, spec: Spec) -> Learner:
        """Fresh parameters."""
        obs = jnp.zeros((1, 1, *spec.obs_space.shape), spec.obs_space.dtype)
        params = self.network.init(key, self.initial_carry(1), obs, jnp.ones((1, 1), bool))  # type: ignore[union-attr]
        return Learner(params, self._optimizer().init(params))

    def initial_carry(self, num_envs: int) -> PyTree:
        """The memory before an episode, leading axis ``[N]``."""
        return self.network.initial_carry(num_envs)  # type: ignore[union-attr]

    def prepare(self, state: Learner, context: Context) -> Learner:
        """Acting depends on the parameters alone."""
        return state

    def _apply(self, params: PyTree, carry: PyTree, obs: jax.Array, first: jax.Array) -> tuple[PyTree, Any]:
        return self.network.apply(params, carry, obs, first)  # type: ignore[union-attr]

    def act(
        self, state: Learner, carry: PyTree, obs: jax.Array, first: jax.Array, key: Key, greedy: bool = False
    ) -> tuple[PyTree, jax.Array, dict[str, jax.Array]]:
        """Sample actions ``[N, ...]`` (the mode if ``greedy``); extras: ``log_prob``, ``value``, ``hidden`` features."""
        carry, out = self._apply(state.params, carry, obs[None], first[None])
        policy = jax.tree.map(lambda x: x[0], out.policy)
        action = policy.mode() if greedy else policy.sample(key)
        extras = {"log_prob": policy.log_prob(action), "value": out.value[0], "hidden": out.hidden[0]}
        return carry, action, extras

    def value(self, state: Learner, carry: PyTree, obs: jax.Array, first: jax.Array) -> jax.Array:
        """``V`` of ``obs`` ``[N, ...]``; ``[N]``."""
        return self._apply(state.params, carry, obs[None], first[None])[1].value[0]

    def loss(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        """The weighted sum of the terms on a minibatch ``[T, B]``; its ``carry`` ``[1, B, ...]`` is that of its first step."""
        carry = jax.tree.map(lambda c: c[0], batch.carry)
        _, outputs = self._apply(params, carry, batch.obs, batch.first)
        context = context.replace(outputs=outputs)  # type: ignore[attr-defined]
        return weighted_sum(self.terms, self.weights, params, batch, context)

    def learn(self, state: Learner, sample: Sample, context: Context) -> tuple[Learner, Metrics, None]:
        """``epochs`` passes over the rollout in ``minibatches`` pieces, one Adam step each; metrics are means over them."""
        carry = jax.tree.map(lambda c: c[None], sample.batch.start.carry)
        rollout = sample.batch.replace(carry=carry, start=None, last=None)  # type: ignore[attr-defined]
        if not self.recurrent:
            steps = rollout.reward.size  # spelled out: a leaf may have no elements, and -1 cannot be told then
            rollout = jax.tree.map(lambda x: x.reshape(1, steps, *x.shape[2:]), rollout)
        items = rollout.reward.shape[1]
        optimizer = self._optimizer()
        rate = self.learning_rate * (1.0 - context.progress) if self.anneal else self.learning_rate
        context = context.replace(agent_state=state)  # type: ignore[attr-defined]

        def step(learner: Learner, now: tuple[jax.Array, Key]) -> tuple[Learner, Metrics]:
            rows, key = now
            # One permutation for all leaves: a step's fields must travel together.
            batch = jax.tree.map(lambda x: jnp.take(x, rows, axis=1), rollout)
            mine = context.replace(key=key)  # type: ignore[attr-defined]
            grads, metrics = jax.grad(self.loss, has_aux=True)(learner.params, batch, mine)
            metrics = {**metrics, "policy/grad_norm": optax.tree.norm(grads)}
            updates, opt_state = optimizer.update(grads, learner.opt_state, learner.params)
            params = jax.tree.map(lambda p, u: p - (rate * u).astype(p.dtype), learner.params, updates)
            return Learner(params, opt_state), metrics

        def epoch(learner: Learner, key: Key) -> tuple[Learner, Metrics]:
            key_rows, key_steps = jax.random.split(key)
            rows = permutation(key_rows, items).reshape(self.minibatches, -1)
            return jax.lax.scan(step, learner, (rows, jax.random.split(key_steps, self.minibatches)))

        state, metrics = jax.lax.scan(epoch, state, jax.random.split(context.key, self.epochs))
        return state, jax.tree.map(jnp.mean, metrics), None

    def refresh(self, state: Learner, carry: PyTree) -> PyTree:
        """Memories are kept as they are: recomputing them would need the whole episode."""
        return carry

    def params(self, state: Learner) -> PyTree:
        """The network's parameters."""
        return state.params
