"""GCIVL: goal-conditioned implicit value learning, without actions in the value, and one policy."""

from functools import partial
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.agents.actor_critic.acting import ClonesActions
from rl_jax.agents.configs.base import numbers_of, usual
from rl_jax.agents.configs.goal_reaching import GCIVLConfig
from rl_jax.agents.continuous import single_steps
from rl_jax.agents.goals.goal_networks import check_goal, goal_values
from rl_jax.agents.optimizers import Optimizer, bind_optimizer, optimizer, step_size
from rl_jax.argument_checks import check_numbers
from rl_jax.losses.expectile import advantage_weight, expectile_loss
from rl_jax.losses.td import bootstrap_discount
from rl_jax.networks.build import Maker, actor_spec, build_network
from rl_jax.networks.critics import cloned_actor
from rl_jax.ops import apply_updates, batch_parallel, polyak
from rl_jax.spaces import Box, Discrete, Space, check_supported, example, without_privileged
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Sample, Spec
from rl_jax.values import NotNegative, Share


@struct.dataclass
class GoalState:
    """``params`` of each network by name, ``target``: slow copies of the values among them, ``opt``: the optimiser's state."""

    params: dict[str, PyTree]
    target: dict[str, PyTree]
    opt: PyTree


def implicit_value_loss(
    values: jax.Array, slow: jax.Array, next_slow: jax.Array, reward: jax.Array, discount: jax.Array, expectile: Any
) -> jax.Array:
    """The expectile error ``[B]`` of twin values ``V(s, g)``, from rewards and where the data led: no action is asked for.

    Park et al. 2023, arXiv 2307.11949, as its code and OGBench's have it (``value_loss`` of ``impls/agents/hiql.py``): each
    value has a target of its own, and the sign of one advantage, from the smaller slow target and the mean slow value, weighs both.

    Args:
        values: ``[2, B]``, of the state.
        slow, next_slow: ``[2, B]``, slow copies' of the state and of the next.
        reward, discount: ``[B]``; a discount of 0 at the goal.
        expectile: towards 1, the largest target that the data have.
    """
    advantage = reward + discount * jnp.min(next_slow, axis=0) - jnp.mean(slow, axis=0)
    return jnp.sum(expectile_loss(reward + discount * next_slow - values, expectile, advantage), axis=0)


@struct.dataclass(kw_only=True)
class ImplicitGoalValue(ClonesActions):
    """Learns ``V(s, g)``, minus the discounted number of steps to a goal, and clones actions by how much nearer they led.

    Park et al. 2025 (OGBench, arXiv 2410.20092, ``impls/agents/gcivl.py``): the value of HIQL with one policy. It learns from
    :class:`rl_jax.replay.Goals`. Without actions in the value, luck counts as skill: it is for worlds that are (nearly) deterministic.

    Attributes:
        learning_rate: of all networks, which one optimiser moves: a number, an array to sweep, or a schedule of optax, in steps.
        optimizer: a name, or a transformation of optax.
        tau: share of the way that the slow values move per learning step.
        expectile: 0.5 values the behaviour, towards 1 the shortest way in the data.
        beta: inverse temperature of cloning.
        most_weight: the largest weight of an action.
        actor, value_net: modules, or functions from :class:`~rl_jax.types.Spec` to one.
        space: the action space, set by :meth:`bind`.
        name: what errors call this agent.
    """

    #: Networks that have slow copies.
    SLOW: ClassVar[tuple[str, ...]] = ("value",)

    learning_rate: Any
    optimizer: Optimizer = struct.field(pytree_node=False)
    tau: Any
    expectile: Any
    beta: Any
    most_weight: Any = 100.0
    actor: Maker = struct.field(pytree_node=False)
    value_net: Maker = struct.field(pytree_node=False)
    space: Space | None = struct.field(pytree_node=False, default=None)
    name: str = struct.field(pytree_node=False, default="GCIVL")

    def bind(self, spec: Spec) -> Self:
        """Fit the networks to the spaces.

        Raises:
            UnsupportedSpace: the actions are neither choices nor a box, or observations have no goal.
        """
        check_supported(self.name, spec.action_space, (Discrete, Box))
        check_goal(self.name, spec)
        check_numbers(f"{self.name}'s", self, tau=Share, expectile=Share, beta=NotNegative, most_weight=NotNegative)
        agent = bind_optimizer(self, "learning_rate").replace(space=spec.action_space)  # type: ignore[attr-defined]
        return agent.bound_networks(spec)

    def bound_networks(self, spec: Spec) -> Self:
        """The networks for these spaces."""
        return self.replace(  # type: ignore[attr-defined]
            actor=build_network(self.actor, actor_spec(spec)), value_net=build_network(self.value_net, spec)
        )

    def init(self, key: Key, spec: Spec) -> GoalState:
        """Fresh parameters; the slow values are copies."""
        params = self.fresh(key, spec, example(spec.obs_space, 1))
        target = {name: jax.tree.map(jnp.copy, params[name]) for name in self.SLOW}
        return GoalState(params, target, optimizer(self.optimizer, pack=params).init(params))

    def fresh(self, key: Key, spec: Spec, obs: PyTree) -> dict[str, PyTree]:
        """Parameters of every network."""
        keys = jax.random.split(key)
        return {
            "actor": self.actor.init(keys[0], without_privileged(obs)),  # type: ignore[union-attr]
            "value": self.value_net.init(keys[1], obs),  # type: ignore[union-attr]
        }

    def values(self, params: PyTree, obs: PyTree) -> jax.Array:
        """``V`` ``[2, B]`` of observations with their goals."""
        return batch_parallel(self.value_net.apply, params, (obs,), (0,), 1)  # type: ignore[union-attr]

    def value(self, state: GoalState, carry: PyTree, obs: PyTree, first: jax.Array) -> jax.Array:
        """The mean of both ``V`` ``[N]``."""
        return jnp.mean(self.values(state.params["value"], obs), axis=0)

    def learn(self, state: GoalState, sample: Sample, context: Context) -> tuple[GoalState, Metrics, None]:
        """One step of all networks on the sum of their losses."""
        batch, tx = single_steps(sample), optimizer(self.optimizer, pack=state.params)
        (_, metrics), grads = jax.value_and_grad(self.loss, has_aux=True)(state.params, state.target, batch, context.key)
        updates, opt = tx.update(grads, state.opt, state.params)
        params = apply_updates(state.params, updates, step_size(self.optimizer, self.learning_rate, context))
        target = {name: polyak(slow, params[name], self.tau) for name, slow in state.target.items()}
        return GoalState(params, target, opt), metrics, None

    def loss(self, params: PyTree, target: PyTree, batch: Rollout, key: Key) -> tuple[jax.Array, Metrics]:
        """The sum of the losses, and metrics."""
        discount = bootstrap_discount(batch)
        error, value = self.value_loss(params["value"], target["value"], batch.obs, batch.next_obs, batch.reward, discount)
        goal = batch.extras["policy_goal"]
        obs, next_obs = ({**x, "goal": goal} for x in (batch.obs, batch.next_obs))
        weight = advantage_weight(self.nearer(params["value"], obs, next_obs), self.beta, self.most_weight)
        cloning = -jnp.mean(weight * self.policy(params["actor"], obs).log_prob(batch.action))
        metrics = {"loss/value": error, "loss/actor": cloning, "value/mean": value, "policy/weight": jnp.mean(weight)}
        return error + cloning, metrics

    def value_loss(
        self, params: PyTree, slow: PyTree, obs: PyTree, next_obs: PyTree, reward: jax.Array, discount: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """The mean of :func:`implicit_value_loss`, and that of the values."""
        values = self.values(params, obs)
        targets = self.values(slow, obs), self.values(slow, next_obs)
        return jnp.mean(implicit_value_loss(values, *targets, reward, discount, self.expectile)), jnp.mean(values)

    def nearer(self, params: PyTree, obs: PyTree, next_obs: PyTree) -> jax.Array:
        """How much larger the mean value of ``next_obs`` is than that of ``obs``, ``[B]``, without a gradient."""
        params = jax.lax.stop_gradient(params)
        return jnp.mean(self.values(params, next_obs) - self.values(params, obs), axis=0)


def gcivl(
    actor: Maker | None = None, value: Maker | None = None, *, config: GCIVLConfig | None = None, **overrides: Any
) -> ImplicitGoalValue:
    """Goal-conditioned implicit value learning (Park et al. 2025, arXiv 2410.20092). Needs :class:`rl_jax.replay.Goals`.

    Args:
        actor, value: modules or functions from :class:`~rl_jax.types.Spec` to one, instead of the usual ones.
        config: all numbers; default :class:`~rl_jax.agents.configs.goal_reaching.GCIVLConfig` as it is.
        overrides: its fields that shall be others, such as ``expectile=0.7``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(GCIVLConfig, config, overrides, actor=actor, value=value)
    return ImplicitGoalValue(
        learning_rate=numbers.learning_rate,
        optimizer=numbers.optimizer,
        tau=numbers.tau,
        expectile=numbers.expectile,
        beta=numbers.beta,
        actor=usual(actor, partial(cloned_actor, **numbers.layers())),
        value_net=usual(value, partial(goal_values, layer_norm=numbers.layer_norm, **numbers.layers())),
    )
