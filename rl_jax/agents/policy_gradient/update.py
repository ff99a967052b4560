"""The actor-critic that learns from its own fresh rollouts: PPO, A2C and their relatives are choices of its loss terms."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from rl_jax.agents.base import AgentBase
from rl_jax.agents.optimizers import Optimizer, bind_optimizer, optimizer, step_size
from rl_jax.agents.policy_gradient.minibatches import check_minibatches, sweep_minibatches
from rl_jax.argument_checks import Bound, check_numbers
from rl_jax.errors import RLJaxError
from rl_jax.losses import weighted_sum
from rl_jax.masks import mask_of
from rl_jax.networks.build import Maker, build_recurrent_network, init_params
from rl_jax.networks.distributions import masked
from rl_jax.ops import apply_updates, batch_parallel, joined
from rl_jax.ops.arrays.trees import replaced, with_time
from rl_jax.ops.tree_difference import difference
from rl_jax.spaces import Box, Discrete, MultiDiscrete, check_supported
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Sample, Spec
from rl_jax.values import Count, NotNegative


@struct.dataclass
class Learner:
    """Parameters and the optimiser's state."""

    params: PyTree
    opt_state: PyTree


@struct.dataclass(kw_only=True)
class PolicyGradient(AgentBase):
    """Acts with an actor-critic network and learns by a weighted sum of loss terms over shuffled minibatches.

    A feed-forward network's minibatches are drawn from all ``T * N`` steps; a recurrent one's from the ``N`` environments,
    whole sequences at a time, each starting from the memory stored at the rollout's beginning.

    Attributes:
        terms: loss terms by name; ``weights`` the weight of each.
        learning_rate: the optimiser's: a number (at the start, if ``anneal``), an array to sweep, or a schedule of optax, in
            environment steps, which says all itself.
        optimizer_epsilon: the optimiser's.
        max_grad_norm: bound on the gradient's *global* norm.
        network: a module, or a function from :class:`~rl_jax.types.Spec` to one.
        epochs, minibatches: passes over the rollout, and pieces per pass.
        anneal: let the learning rate fall linearly to zero over the planned training.
        optimizer: ``"adam"``, ``"radam"``, ``"rmsprop"``, or a transformation of optax, whose step size, bound and schedule (over
            gradient steps) are its own.
        initial_params: parameters to begin with; ``None``: random ones.
        temperature: logits are divided by it, in acting and in learning, so that both mean one policy; ``None``: 1.
        together: neighbouring environments that no minibatch separates, such as pairs or groups; above 1 minibatches are whole
            columns for a feed-forward network too.
        anchored: put the outputs of the policy that collected the rollout into ``context.target``, for terms that compare.
        name: what errors call this agent.
    """

    terms: dict[str, Any]
    weights: dict[str, Any]
    learning_rate: Any
    optimizer_epsilon: Any = 1e-5
    max_grad_norm: Any
    initial_params: PyTree = None
    temperature: Any = None
    network: Maker = struct.field(pytree_node=False)
    epochs: int = struct.field(pytree_node=False)
    minibatches: int = struct.field(pytree_node=False)
    anneal: bool = struct.field(pytree_node=False)
    optimizer: Optimizer = struct.field(pytree_node=False, default="adam")
    together: int = struct.field(pytree_node=False, default=1)
    anchored: bool = struct.field(pytree_node=False, default=False)
    name: str = struct.field(pytree_node=False, default="PolicyGradient")

    def bind(self, spec: Spec) -> "PolicyGradient":
        """Fit the network to the spaces and check that the rollout can be cut as asked.

        Raises:
            UnsupportedSpace: no policy head serves the action space.
            RLJaxError: the network cannot be an agent's, the minibatches do not divide the rollout, or hold a single item.
        """
        check_supported(self.name, spec.action_space, (Discrete, MultiDiscrete, Box))
        agent = bind_optimizer(self, "learning_rate").replace(network=build_recurrent_network(self.network, spec))  # type: ignore[attr-defined]
        if missing := set(self.terms) ^ set(self.weights):
            raise RLJaxError(f"every loss term needs a weight and every weight a term; unmatched: {sorted(missing)}")
        check_numbers(f"{self.name}'s", self, epochs=Count, minibatches=Count, together=Count, temperature=Bound | None)
        check_numbers(f"{self.name}'s", self, optimizer_epsilon=NotNegative, max_grad_norm=Bound)
        if self.temperature is not None and not isinstance(spec.action_space, Discrete):
            raise RLJaxError(f"{self.name}'s temperature is of logits, and this action space has none: leave it out")
        check_minibatches(spec, self.minibatches, agent.recurrent, self.together)
        return agent

    @property
    def recurrent(self) -> bool:
        """Whether the network remembers."""
        return bool(jax.tree.leaves(self.initial_carry(1)))

    def _optimizer(self) -> optax.GradientTransformation:
        return optimizer(self.optimizer, self.optimizer_epsilon, self.max_grad_norm)

    def init(self, key: Key, spec: Spec) -> Learner:
        """Fresh parameters, or those that it shall begin with.

        Raises:
            RLJaxError: those are of another network.
        """
        params = init_params(self.network, key, spec, {"policy": (), "value": (), "hidden": ()})
        if self.initial_params is not None:
            for path, fresh, given in difference(params, self.initial_params):
                where = jax.tree_util.keystr(path)
                raise RLJaxError(
                    f"{self.name}'s initial_params{where} is {given}, and its network has {fresh}: give one network's both"
                )
            params = jax.tree.map(jnp.asarray, self.initial_params)
        return Learner(params, self._optimizer().init(params))

    def initial_carry(self, num_envs: int) -> PyTree:
        """The memory before an episode, leading axis ``[N]``."""
        return self.network.initial_carry(num_envs)  # type: ignore[union-attr]

    def _apply(self, params: PyTree, carry: PyTree, obs: PyTree, first: jax.Array) -> tuple[PyTree, Any]:
        """Memory after, and outputs ``[T, N, ...]`` on, ``obs`` ``[T, N, ...]``; the policy has only what a mask in these allows."""
        carry, out = batch_parallel(self.network.apply, params, (carry, obs, first), (0, 1, 1), (0, 1))  # type: ignore[union-attr]
        if self.temperature is not None:
            out = replaced(out, policy=replaced(out.policy, logits=out.policy.logits / self.temperature))
        return carry, out if mask_of(obs) is None else replaced(out, policy=masked(out.policy, obs))

    def outputs(self, params: PyTree, rollout: Rollout) -> Any:
        """The network's outputs ``[T, N, ...]`` on a whole rollout ``[T, N]``, in one pass from the memory at its beginning."""
        return self._apply(params, rollout.start.carry, rollout.obs, rollout.first)[1]

    def act(
        self, state: Learner, carry: PyTree, obs: PyTree, first: jax.Array, key: Key, greedy: bool = False
    ) -> tuple[PyTree, jax.Array, dict[str, jax.Array]]:
        """Sample actions ``[N, ...]`` (the mode if ``greedy``); extras: ``log_prob``, ``value``, ``hidden`` features."""
        carry, out = self._apply(state.params, carry, with_time(obs), first[None])
        policy = jax.tree.map(lambda x: x[0], out.policy)
        action = policy.mode() if greedy else policy.sample(key)
        extras = {"log_prob": policy.log_prob(action), "value": out.value[0], "hidden": out.hidden[0]}
        return carry, action, extras

    def value(self, state: Learner, carry: PyTree, obs: PyTree, first: jax.Array) -> jax.Array:
        """``V`` of ``obs`` ``[N, ...]``; ``[N]``."""
        return self._apply(state.params, carry, with_time(obs), first[None])[1].value[0]

    def loss(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        """The weighted sum of the terms on a minibatch ``[T, B]``; its ``carry`` ``[1, B, ...]`` is that of its first step."""
        carry = jax.tree.map(lambda c: c[0], batch.carry)
        _, outputs = self._apply(params, carry, batch.obs, batch.first)
        target = self._apply(context.agent_state.params, carry, batch.obs, batch.first)[1] if self.anchored else None
        context = context.replace(outputs=outputs, target=target)  # type: ignore[attr-defined]
        return weighted_sum(self.terms, self.weights, params, batch, context)

    def learn(self, state: Learner, sample: Sample, context: Context) -> tuple[Learner, Metrics, None]:
        """``epochs`` passes over the rollout in ``minibatches`` pieces, one step each; metrics are means over them."""
        rate = step_size(self.optimizer, self.learning_rate, context, self.anneal)
        context = context.replace(agent_state=state)  # type: ignore[attr-defined]

        def step(learner: Learner, batch: Rollout, key: Key) -> tuple[Learner, Metrics]:
            mine = context.replace(key=key)  # type: ignore[attr-defined]
            grads, metrics = jax.grad(self.loss, has_aux=True)(learner.params, batch, mine)
            metrics = joined(metrics, {"policy/grad_norm": optax.tree.norm(grads)})
            updates, opt_state = self._optimizer().update(grads, learner.opt_state, learner.params)
            return Learner(apply_updates(learner.params, updates, rate), opt_state), metrics

        pieces = (self.epochs, self.minibatches, self.recurrent, self.together)
        state, metrics = sweep_minibatches(step, state, sample.batch, context.key, *pieces)
        return state, metrics, None
