"""DQN: Q-learning from replay, and everything that is a choice of its parts, up to Rainbow and R2D2."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from rl_jax.agents.configs.base import numbers_of, usual
from rl_jax.agents.configs.dqn import DQNConfig, RainbowConfig
from rl_jax.agents.optimizers import Optimizer, bind_optimizer, optimizer, step_size
from rl_jax.agents.q_learning.q_policy import ActsByValue, QPolicy, take_along_axis
from rl_jax.argument_checks import Bound, check_numbers
from rl_jax.losses import bootstrap_discount
from rl_jax.networks import q_network
from rl_jax.networks.build import Maker
from rl_jax.ops import Periodic, Polyak, apply_updates
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Sample, Spec
from rl_jax.values import CountOrZero, NotNegative, Share


@struct.dataclass
class QState:
    """Parameters, their slow copy, the optimiser's state, learning steps done, and the exploration rate of this rollout."""

    params: PyTree
    target: PyTree
    opt_state: PyTree
    count: jax.Array
    epsilon: jax.Array


@struct.dataclass(kw_only=True)
class QLearning(ActsByValue):
    """Acts epsilon-greedily on a Q-network and learns it from replayed trajectories ``[L, B]``.

    Mnih et al. 2015 (DQN); ``double``: van Hasselt et al. 2016; C51 and QR-DQN are the policy's ``head``; a dueling or noisy
    network, n-step targets and prioritised replay are choices of the network and of the buffer. A network that remembers is
    run over the whole trajectory from its stored memory, the first ``burn_in`` steps of it without learning (Kapturowski et
    al. 2019, R2D2).

    Attributes:
        policy: the network, what its outputs mean, and exploration.
        target: how the target parameters follow: :class:`~rl_jax.ops.Periodic` or :class:`~rl_jax.ops.Polyak`.
        learning_rate: the optimiser's: a number (at the start, if ``anneal``), an array to sweep, or a schedule of optax, in
            environment steps, which says all itself.
        adam_epsilon, max_grad_norm: the optimiser's, and the bound on the gradient's global norm.
        priority_max: weight of the largest against the mean TD error of a trajectory in its new priority.
        double: choose the next action by the online network.
        burn_in: steps of a trajectory that only warm up the memory.
        anneal: let the learning rate fall linearly to zero over the planned training.
        optimizer: a name, or a transformation of optax, whose step size, bound and schedule (over learning steps) are its own.
        name: what errors call this agent.
    """

    policy: QPolicy
    target: Any
    learning_rate: Any
    adam_epsilon: Any
    max_grad_norm: Any
    priority_max: Any = 0.9
    double: bool = struct.field(pytree_node=False)
    burn_in: int = struct.field(pytree_node=False, default=0)
    anneal: bool = struct.field(pytree_node=False)
    optimizer: Optimizer = struct.field(pytree_node=False)
    name: str = struct.field(pytree_node=False)

    def bind(self, spec: Spec) -> "QLearning":
        """Fit the network to the spaces.

        Raises:
            UnsupportedSpace: the action space is not discrete.
            RLJaxError: a number, or a name of an optimiser, that cannot be.
        """
        check_numbers(f"{self.name}'s", self, adam_epsilon=NotNegative, max_grad_norm=Bound)
        check_numbers(f"{self.name}'s", self, priority_max=Share, burn_in=CountOrZero)
        return bind_optimizer(self, "learning_rate").replace(policy=self.policy.bind(spec, self.name))  # type: ignore[attr-defined]

    def _optimizer(self, params: PyTree) -> optax.GradientTransformation:
        return optimizer(self.optimizer, self.adam_epsilon, self.max_grad_norm, pack=params)

    def init(self, key: Key, spec: Spec) -> QState:
        """Fresh parameters; the target is a copy of them."""
        params = self.policy.init(key, spec)
        # A copy: donated states must not hold one array twice.
        target = jax.tree.map(jnp.copy, params)
        start = jnp.asarray(self.policy.epsilon_start, jnp.float32)
        return QState(params, target, self._optimizer(params).init(params), jnp.zeros((), jnp.int32), start)

    def _unroll(self, params: PyTree, batch: Rollout, key: Key) -> tuple[jax.Array, jax.Array]:
        """Outputs on ``obs`` and on ``next_obs``, both ``[L - burn_in, B, A, K]``, of a network that remembers.

        A trajectory is of one episode, so ``next_obs`` of each step is ``obs`` of the following one, or the final observation.
        """
        carry, cut = jax.tree.map(lambda c: c[0], batch.carry), self.burn_in
        key_warm, key_learn = jax.random.split(key)
        obs = jax.tree.map(lambda x, y: jnp.concatenate([x[:1], y]), batch.obs, batch.next_obs)
        first = jnp.concatenate([batch.first, jnp.zeros_like(batch.first[:1])])
        if cut:
            warm_up = jax.tree.map(lambda x: x[:cut], obs)
            carry = jax.lax.stop_gradient(self.policy.apply(params, carry, warm_up, first[:cut], key_warm)[0])
        _, raw = self.policy.apply(params, carry, jax.tree.map(lambda x: x[cut:], obs), first[cut:], key_learn)
        return raw[:-1], raw[1:]

    def _outputs(self, params: PyTree, state: QState, batch: Rollout, key: Key) -> tuple[jax.Array, jax.Array, jax.Array]:
        """``[L, B, A, K]`` of: ``obs`` under ``params``, ``next_obs`` under the target, and what chooses the next action."""
        keys = jax.random.split(key, 3)
        if self.policy.recurrent:
            online, chooser = self._unroll(params, batch, keys[0])
            following = self._unroll(state.target, batch, keys[1])[1]
            return online, following, chooser if self.double else following
        online = self.policy.apply(params, (), batch.obs, batch.first, keys[0])[1]
        following = self.policy.apply(state.target, (), batch.next_obs, batch.first, keys[1])[1]
        if not self.double:
            return online, following, following
        return online, following, self.policy.apply(state.params, (), batch.next_obs, batch.first, keys[2])[1]

    def learn(self, state: QState, sample: Sample, context: Context) -> tuple[QState, Metrics, jax.Array]:
        """One step of the optimiser; priorities are absolute TD errors (of distributions: the divergence) ``[B]``."""
        batch, cut, head = sample.batch, self.burn_in, self.policy.head
        obs, next_obs = jax.tree.map(lambda x: x[cut:], (batch.obs, batch.next_obs))
        weights = jnp.ones(()) if sample.weights is None else sample.weights
        mask = batch.extras["mask"][cut:].astype(jnp.float32)

        def loss(params: PyTree) -> tuple[jax.Array, tuple]:
            online, following, chooser = self._outputs(params, state, batch, context.key)
            action = jnp.argmax(self.policy.allowed_values(jax.lax.stop_gradient(chooser), next_obs), axis=-1)
            following = take_along_axis(jax.lax.stop_gradient(following), action)
            if "offset" in batch.extras:
                ahead = jnp.arange(following.shape[0])[:, None] + batch.extras["offset"][cut:]
                ahead = jnp.minimum(ahead, following.shape[0] - 1)
                following = jnp.take_along_axis(following, ahead[..., None], axis=0)
            chosen = take_along_axis(online, batch.action[cut:])
            error, td = head.loss(chosen, following, batch.reward[cut:], bootstrap_discount(batch)[cut:])
            value = jnp.mean(jnp.max(self.policy.allowed_values(jax.lax.stop_gradient(online), obs), axis=-1))
            return jnp.sum(error * mask * weights) / jnp.maximum(jnp.sum(mask), 1.0), (td * mask, value)

        (error, (td, value)), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
        updates, opt_state = self._optimizer(state.params).update(grads, state.opt_state, state.params)
        rate = step_size(self.optimizer, self.learning_rate, context, self.anneal)
        params = apply_updates(state.params, updates, rate)
        count = state.count + 1
        target = self.target.update(state.target, params, count)
        after = QState(params, target, opt_state, count, state.epsilon)
        mean_td = jnp.sum(td, axis=0) / jnp.maximum(jnp.sum(mask, axis=0), 1.0)
        priority = self.priority_max * jnp.max(td, axis=0) + (1.0 - self.priority_max) * mean_td
        metrics = {
            "loss/q": error,
            "value/mean": value,
            "value/td_error": jnp.mean(priority),
            "explore/epsilon": state.epsilon,
        }
        return after, metrics, priority


def dqn(network: Maker | None = None, *, config: DQNConfig | None = None, **overrides: Any) -> QLearning:
    """Deep Q-learning (Mnih et al. 2015, "Human-level control through deep reinforcement learning"), and its kin by their switches.

    Needs a replay whose batches :func:`rl_jax.replay.n_step` has prepared.

    Args:
        network: a module, or a function ``(spec, atoms=K)`` to one, instead of the usual one.
        config: all numbers; default :class:`~rl_jax.agents.configs.DQNConfig` as it is.
        overrides: its fields that shall be others, such as ``double=True``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(DQNConfig, config, overrides, network=network)
    own = partial(q_network, dueling=numbers.dueling, noisy=numbers.noisy, **numbers.layers())
    policy = QPolicy(
        head=numbers.head(),
        # Noise on the weights explores by itself.
        epsilon_start=0.0 if numbers.noisy else numbers.epsilon_start,
        epsilon_end=0.0 if numbers.noisy else numbers.epsilon_end,
        epsilon_steps=numbers.epsilon_steps,
        network=usual(network, own),
        noisy=numbers.noisy,
    )
    return QLearning(
        policy=policy,
        target=Periodic(numbers.target_period) if numbers.target_period else Polyak(numbers.tau),
        learning_rate=numbers.learning_rate,
        adam_epsilon=numbers.adam_epsilon,
        max_grad_norm=numbers.max_grad_norm,
        double=numbers.double,
        anneal=numbers.anneal,
        optimizer=numbers.optimizer,
        name="DQN",
    )


def rainbow(network: Maker | None = None, *, config: RainbowConfig | None = None, **overrides: Any) -> QLearning:
    """Rainbow (Hessel et al. 2018, arXiv 1710.02298): :func:`dqn` with the numbers of :class:`~rl_jax.agents.configs.RainbowConfig`."""
    numbers = numbers_of(RainbowConfig, config, overrides, network=network)
    return dqn(network, config=numbers)
