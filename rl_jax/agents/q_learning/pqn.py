"""PQN: Q-learning without replay and without a target network, on the rollouts of many environments."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from rl_jax.agents.configs.base import numbers_of, usual
from rl_jax.agents.configs.dqn import PQNConfig
from rl_jax.agents.optimizers import Optimizer, bind_optimizer, optimizer, step_size
from rl_jax.agents.policy_gradient.minibatches import check_minibatches, sweep_minibatches
from rl_jax.agents.q_learning.q_policy import ActsByValue, QPolicy, take_along_axis
from rl_jax.argument_checks import Bound, check_numbers
from rl_jax.networks import q_network
from rl_jax.networks.build import Maker
from rl_jax.ops import apply_updates, joined
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Sample, Spec
from rl_jax.values import Count, NotNegative


@struct.dataclass
class PQNState:
    """Parameters, the optimiser's state, and the exploration rate of this rollout."""

    params: PyTree
    opt_state: PyTree
    epsilon: jax.Array


@struct.dataclass(kw_only=True)
class PQN(ActsByValue):
    """Regresses ``Q(s, a)`` on the lambda-returns of a fresh rollout, in shuffled minibatches.

    Gallici et al. 2025, "Simplifying Deep Temporal Difference Learning" (PQN, Algorithm 1 and eq. 16). The target is
    ``extras["value_target"]`` of :func:`rl_jax.experience.gae`, which is Q(lambda) since the agent's value is ``max_a Q``.
    The network should have layer normalisation: it is what stands in for the target network.

    Attributes:
        policy: the network and exploration; its head must be an expected value.
        learning_rate: the optimiser's: a number (at the start, if ``anneal``), an array to sweep, or a schedule of optax, in
            environment steps, which says all itself.
        optimizer_epsilon, max_grad_norm: the optimiser's, and the bound on the gradient's global norm.
        epochs, minibatches: passes over a rollout, and pieces per pass.
        anneal: let the learning rate fall linearly to zero.
        optimizer: a name (RAdam in the paper), or a transformation of optax, whose step size, bound and schedule (over gradient
            steps) are its own.
    """

    policy: QPolicy
    learning_rate: Any
    optimizer_epsilon: Any = 1e-8
    max_grad_norm: Any
    epochs: int = struct.field(pytree_node=False)
    minibatches: int = struct.field(pytree_node=False)
    anneal: bool = struct.field(pytree_node=False)
    optimizer: Optimizer = struct.field(pytree_node=False)
    name: str = struct.field(pytree_node=False)

    def bind(self, spec: Spec) -> "PQN":
        """Fit the network to the spaces and check that the rollout can be cut as asked.

        Raises:
            UnsupportedSpace: the action space is not discrete.
            RLJaxError: the minibatches do not divide the rollout.
        """
        agent = bind_optimizer(self, "learning_rate").replace(policy=self.policy.bind(spec, self.name))  # type: ignore[attr-defined]
        check_numbers(f"{self.name}'s", self, epochs=Count, minibatches=Count)
        check_numbers(f"{self.name}'s", self, optimizer_epsilon=NotNegative, max_grad_norm=Bound)
        check_minibatches(spec, self.minibatches, agent.policy.recurrent)
        return agent

    def _optimizer(self) -> optax.GradientTransformation:
        return optimizer(self.optimizer, self.optimizer_epsilon, self.max_grad_norm)

    def init(self, key: Key, spec: Spec) -> PQNState:
        """Fresh parameters."""
        params = self.policy.init(key, spec)
        return PQNState(params, self._optimizer().init(params), jnp.asarray(self.policy.epsilon_start, jnp.float32))

    def learn(self, state: PQNState, sample: Sample, context: Context) -> tuple[PQNState, Metrics, None]:
        """``epochs`` passes over the rollout in ``minibatches`` pieces, one step each; metrics are means over them."""
        rate = step_size(self.optimizer, self.learning_rate, context, self.anneal)

        def loss(params: PyTree, batch: Rollout, key: Key) -> tuple[jax.Array, Metrics]:
            carry = jax.tree.map(lambda c: c[0], batch.carry)
            _, raw = self.policy.apply(params, carry, batch.obs, batch.first, key)
            q = take_along_axis(raw, batch.action)[..., 0]
            error = 0.5 * jnp.mean((q - batch.extras["value_target"]) ** 2)
            return error, {"loss/q": error, "value/chosen": jnp.mean(q), "explore/epsilon": state.epsilon}

        def step(now: PQNState, batch: Rollout, key: Key) -> tuple[PQNState, Metrics]:
            grads, metrics = jax.grad(loss, has_aux=True)(now.params, batch, key)
            updates, opt_state = self._optimizer().update(grads, now.opt_state, now.params)
            metrics = joined(metrics, {"policy/grad_norm": optax.tree.norm(grads)})
            return PQNState(apply_updates(now.params, updates, rate), opt_state, now.epsilon), metrics

        pieces = (self.epochs, self.minibatches, self.policy.recurrent)
        state, metrics = sweep_minibatches(step, state, sample.batch, context.key, *pieces)
        return state, metrics, None


def pqn(network: Maker | None = None, *, config: PQNConfig | None = None, **overrides: Any) -> PQN:
    """Parallelised Q-network (Gallici et al. 2025, arXiv 2407.04811): see :class:`PQN`.

    Needs an experience chain that ends in :func:`rl_jax.experience.gae`.

    Args:
        network: a module, or a function ``(spec, atoms=1)`` to one, instead of the usual one, which normalises its layers.
        config: all numbers; default :class:`~rl_jax.agents.configs.PQNConfig` as it is.
        overrides: its fields that shall be others, such as ``epochs=2``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(PQNConfig, config, overrides, network=network)
    policy = QPolicy(
        epsilon_start=numbers.epsilon_start,
        epsilon_end=numbers.epsilon_end,
        epsilon_steps=numbers.epsilon_steps,
        network=usual(network, partial(q_network, normalize=True, **numbers.layers())),
    )
    return PQN(
        policy=policy,
        learning_rate=numbers.learning_rate,
        max_grad_norm=numbers.max_grad_norm,
        epochs=numbers.epochs,
        minibatches=numbers.minibatches,
        anneal=numbers.anneal,
        optimizer=numbers.optimizer,
        name="PQN",
    )
