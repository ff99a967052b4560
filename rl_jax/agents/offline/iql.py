"""IQL: implicit Q-learning, which never asks for the value of an action that is not in the data."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.agents.actor_critic.acting import ClonesActions
from rl_jax.agents.configs.base import numbers_of, usual
from rl_jax.agents.configs.offline import IQLConfig
from rl_jax.agents.continuous import single_steps
from rl_jax.agents.optimizers import Optimizer, bind_optimizer, optimizer, step_size
from rl_jax.argument_checks import check_numbers
from rl_jax.losses.expectile import advantage_weight, expectile_loss
from rl_jax.losses.soft_values import smallest
from rl_jax.losses.td import td_target
from rl_jax.networks.build import Maker, actor_spec, build_network
from rl_jax.networks.critics import cloned_actor, state_value
from rl_jax.networks.critics import critics as twin_critics
from rl_jax.ops import apply_updates, batch_parallel, polyak
from rl_jax.spaces import Box, Discrete, Space, check_supported, example, without_privileged
from rl_jax.types import Context, Key, Metrics, PyTree, Sample, Spec
from rl_jax.values import NotNegative, Share


@struct.dataclass
class ImplicitQState:
    """``params`` and ``opt`` of ``actor``, ``critics`` and ``value``; ``target``: the slow copy of the critics."""

    params: dict[str, PyTree]
    target: PyTree
    opt: dict[str, PyTree]


@struct.dataclass(kw_only=True)
class ImplicitQ(ClonesActions):
    """Learns an expectile of ``Q`` over the data's actions as ``V``, ``Q`` from ``V``, and clones actions by their advantage.

    Kostrikov et al. 2021, "Offline Reinforcement Learning with Implicit Q-Learning", arXiv 2110.06169: ``V`` by eq. 5 from the smaller
    of two slow critics, ``Q`` by eq. 6, the policy by eq. 7 with bounded weights. In the order of the published code: ``V``, then the
    policy by the new ``V``, then ``Q``.

    Attributes:
        learning_rate: of all networks: a number, an array to sweep, or a schedule of optax, in steps.
        optimizer: a name, or a transformation of optax.
        tau: share of the way that the slow critics move per learning step.
        expectile: the paper's tau: 0.5 values the behaviour, towards 1 the best of its actions.
        beta: the paper's inverse temperature of cloning.
        most_weight: the largest weight of an action.
        actor, critics, value_net: modules, or functions from :class:`~rl_jax.types.Spec` to one.
        space: the action space, set by :meth:`bind`.
        name: what errors call this agent.
    """

    learning_rate: Any
    optimizer: Optimizer = struct.field(pytree_node=False)
    tau: Any
    expectile: Any
    beta: Any
    most_weight: Any = 100.0
    actor: Maker = struct.field(pytree_node=False)
    critics: Maker = struct.field(pytree_node=False)
    value_net: Maker = struct.field(pytree_node=False)
    space: Space | None = struct.field(pytree_node=False, default=None)
    name: str = struct.field(pytree_node=False, default="IQL")

    def bind(self, spec: Spec) -> "ImplicitQ":
        """Fit the networks to the spaces.

        Raises:
            UnsupportedSpace: the actions are neither choices nor a box.
        """
        check_supported(self.name, spec.action_space, (Discrete, Box))
        check_numbers(f"{self.name}'s", self, tau=Share, expectile=Share, beta=NotNegative, most_weight=NotNegative)
        agent = bind_optimizer(self, "learning_rate").replace(space=spec.action_space)  # type: ignore[attr-defined]
        return agent.replace(
            actor=build_network(self.actor, actor_spec(spec)),
            critics=build_network(self.critics, spec),
            value_net=build_network(self.value_net, spec),
        )

    def init(self, key: Key, spec: Spec) -> ImplicitQState:
        """Fresh parameters; the slow critics are a copy."""
        keys, obs = jax.random.split(key, 3), example(spec.obs_space, 1)
        action = () if isinstance(self.space, Discrete) else (jnp.zeros((1, *spec.action_space.shape), jnp.float32),)
        params = {
            "actor": self.actor.init(keys[0], without_privileged(obs)),  # type: ignore[union-attr]
            "critics": self.critics.init(keys[1], obs, *action),  # type: ignore[union-attr]
            "value": self.value_net.init(keys[2], obs),  # type: ignore[union-attr]
        }
        opt = {name: optimizer(self.optimizer, pack=own).init(own) for name, own in params.items()}
        return ImplicitQState(params, jax.tree.map(jnp.copy, params["critics"]), opt)

    def q_values(self, params: PyTree, obs: PyTree, action: jax.Array) -> jax.Array:
        """``Q`` ``[members, B]`` of the actions ``[B, ...]``."""
        if isinstance(self.space, Discrete):
            q = batch_parallel(self.critics.apply, params, (obs,), (0,), 1)  # type: ignore[union-attr]
            return jnp.sum(q * jax.nn.one_hot(action, self.space.n), axis=-1)
        return batch_parallel(self.critics.apply, params, (obs, action), (0, 0), 1)  # type: ignore[union-attr]

    def state_values(self, params: PyTree, obs: PyTree) -> jax.Array:
        """``V`` ``[B]``."""
        return batch_parallel(self.value_net.apply, params, (obs,), (0,), 0)  # type: ignore[union-attr]

    def value(self, state: ImplicitQState, carry: PyTree, obs: PyTree, first: jax.Array) -> jax.Array:
        """``V`` ``[N]``."""
        return self.state_values(state.params["value"], obs)

    def learn(self, state: ImplicitQState, sample: Sample, context: Context) -> tuple[ImplicitQState, Metrics, jax.Array]:
        """One step of each network; priorities are mean absolute TD errors ``[B]``."""
        batch, weights = single_steps(sample), 1.0 if sample.weights is None else sample.weights
        rate, params, opt = step_size(self.optimizer, self.learning_rate, context), dict(state.params), dict(state.opt)
        slow_q = smallest(self.q_values(state.target, batch.obs, batch.action))

        def step(name: str, loss: Any) -> Any:
            found, grads = jax.value_and_grad(loss, has_aux=True)(params[name])
            updates, opt[name] = optimizer(self.optimizer, pack=params[name]).update(grads, opt[name], params[name])
            params[name] = apply_updates(params[name], updates, rate)
            return found

        def value_loss(own: PyTree) -> tuple[jax.Array, jax.Array]:
            value = self.state_values(own, batch.obs)
            return jnp.mean(weights * expectile_loss(slow_q - value, self.expectile)), jnp.mean(value)

        def actor_loss(own: PyTree) -> tuple[jax.Array, jax.Array]:
            advantage = slow_q - self.state_values(params["value"], batch.obs)
            weight = advantage_weight(advantage, self.beta, self.most_weight)
            return -jnp.mean(weights * weight * self.policy(own, batch.obs).log_prob(batch.action)), jnp.mean(weight)

        def critic_loss(own: PyTree) -> tuple[jax.Array, jax.Array]:
            q = self.q_values(own, batch.obs, batch.action)
            return jnp.mean(jnp.sum(weights * (q - target) ** 2, axis=0)), q

        error_v, value = step("value", value_loss)
        error_pi, weight = step("actor", actor_loss)
        target = td_target(batch, self.state_values(params["value"], batch.next_obs))
        error_q, q = step("critics", critic_loss)
        td_error = jnp.mean(jnp.abs(q - target), axis=0)
        metrics = {
            **{"loss/value": error_v, "loss/actor": error_pi, "loss/critic": error_q},
            **{"value/mean": value, "policy/weight": weight, "value/td_error": jnp.mean(td_error)},
        }
        return ImplicitQState(params, polyak(state.target, params["critics"], self.tau), opt), metrics, td_error


def iql(
    actor: Maker | None = None,
    critics: Maker | None = None,
    value: Maker | None = None,
    *,
    config: IQLConfig | None = None,
    **overrides: Any,
) -> ImplicitQ:
    """Implicit Q-learning (Kostrikov et al. 2021, arXiv 2110.06169). Needs a replay with :func:`rl_jax.replay.n_step`.

    Args:
        actor, critics, value: modules or functions from :class:`~rl_jax.types.Spec` to one, instead of the usual ones.
        config: all numbers; default :class:`~rl_jax.agents.configs.IQLConfig` as it is.
        overrides: its fields that shall be others, such as ``expectile=0.9``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(IQLConfig, config, overrides, actor=actor, critics=critics, value=value)
    return ImplicitQ(
        learning_rate=numbers.learning_rate,
        optimizer=numbers.optimizer,
        tau=numbers.tau,
        expectile=numbers.expectile,
        beta=numbers.beta,
        actor=usual(actor, partial(cloned_actor, **numbers.layers())),
        critics=usual(critics, partial(twin_critics, **numbers.layers())),
        value_net=usual(value, partial(state_value, **numbers.layers())),
    )
