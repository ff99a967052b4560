"""HIQL: one goal-conditioned value, a policy that chooses subgoals and a policy that reaches them."""

from functools import partial
from typing import Any, Self

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.agents.configs.base import numbers_of, usual
from rl_jax.agents.configs.goal_reaching import HIQLConfig
from rl_jax.agents.goals.gcivl import GoalState, ImplicitGoalValue
from rl_jax.agents.goals.goal_networks import (
    represented_goal_values,
    scaled_to_sphere,
    subgoal_policy,
    with_latent_goal,
)
from rl_jax.argument_checks import check_numbers
from rl_jax.losses.expectile import advantage_weight
from rl_jax.losses.td import bootstrap_discount
from rl_jax.networks.build import Maker, actor_spec, build_network
from rl_jax.networks.critics import cloned_actor
from rl_jax.ops import batch_parallel
from rl_jax.spaces import Box, without_privileged
from rl_jax.types import Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import NotNegative


@struct.dataclass(kw_only=True)
class HierarchicalImplicit(ImplicitGoalValue):
    """Learns ``V(s, phi(s, g))``; the high policy chooses ``phi`` of a subgoal some steps ahead, the low policy an action for it.

    Park et al. 2023, "HIQL: Offline Goal-Conditioned RL with Latent States as Actions", arXiv 2307.11949. Both policies are
    cloned by how much one value rises: to the next state, and to the subgoal. Checked with OGBench's ``impls/agents/hiql.py``
    and with ``seohongpark/HIQL``. Slow values have slow representations here, as the paper's do; in OGBench's code both share one.

    Attributes:
        high_beta: inverse temperature of cloning subgoals; ``beta`` is that of actions.
        high_actor: a module, or a function from :class:`~rl_jax.types.Spec` to one: observations to a distribution over ``phi``.
        goal_dim: numbers of ``phi``.
    """

    high_beta: Any
    high_actor: Maker = struct.field(pytree_node=False)
    goal_dim: int = struct.field(pytree_node=False)
    name: str = struct.field(pytree_node=False, default="HIQL")

    def bound_networks(self, spec: Spec) -> Self:
        """The networks for these spaces; the low policy's goals are ``phi``."""
        check_numbers(f"{self.name}'s", self, high_beta=NotNegative)
        return self.replace(  # type: ignore[attr-defined]
            actor=build_network(self.actor, actor_spec(with_latent_goal(spec, self.goal_dim))),
            high_actor=build_network(self.high_actor, actor_spec(spec)),
            value_net=build_network(self.value_net, spec),
        )

    def fresh(self, key: Key, spec: Spec, obs: PyTree) -> dict[str, PyTree]:
        keys = jax.random.split(key, 3)
        latent = {**obs, "goal": jnp.zeros((1, self.goal_dim), jnp.float32)}
        return {
            "actor": self.actor.init(keys[0], without_privileged(latent)),  # type: ignore[union-attr]
            "value": self.value_net.init(keys[1], obs),  # type: ignore[union-attr]
            "high_actor": self.high_actor.init(keys[2], without_privileged(obs)),  # type: ignore[union-attr]
        }

    def represent(self, params: PyTree, obs: PyTree) -> jax.Array:
        """``phi`` ``[B, goal_dim]`` of the goals in ``obs``, without a gradient."""
        apply = partial(self.value_net.apply, method="represent")  # type: ignore[union-attr]
        return batch_parallel(apply, jax.lax.stop_gradient(params), (obs,), (0,), 0)

    def high_policy(self, params: PyTree, obs: PyTree) -> Any:
        """The distribution over ``phi`` of subgoals, ``[B, goal_dim]``."""
        return batch_parallel(self.high_actor.apply, params, (without_privileged(obs),), (0,), 0)  # type: ignore[union-attr]

    def act(
        self, state: GoalState, carry: PyTree, obs: PyTree, first: jax.Array, key: Key, greedy: bool = False
    ) -> tuple[PyTree, jax.Array, dict[str, jax.Array]]:
        """Actions ``[N, ...]`` towards subgoals that are chosen anew in every step; in a box clipped to it."""
        key_high, key_low = jax.random.split(key)
        high = self.high_policy(state.params["high_actor"], obs)
        subgoal = scaled_to_sphere(high.mode() if greedy else high.sample(key_high))
        policy = self.policy(state.params["actor"], {**obs, "goal": subgoal})
        action = policy.mode() if greedy else policy.sample(key_low)
        return carry, jnp.clip(action, -1.0, 1.0) if isinstance(self.space, Box) else action, {}

    def loss(self, params: PyTree, target: PyTree, batch: Rollout, key: Key) -> tuple[jax.Array, Metrics]:
        """The sum of the losses, and metrics."""
        discount = bootstrap_discount(batch)
        error, value = self.value_loss(params["value"], target["value"], batch.obs, batch.next_obs, batch.reward, discount)
        low, high = self.low_loss(params, batch), self.high_loss(params, params["value"], batch)
        metrics = {"loss/value": error, "loss/actor": low, "loss/high_actor": high, "value/mean": value}
        return error + low + high, metrics

    def low_loss(self, params: PyTree, batch: Rollout) -> jax.Array:
        """Of actions, given ``phi`` of where the data are some steps later."""
        obs, next_obs = ({**x, "goal": batch.extras["waypoint"]} for x in (batch.obs, batch.next_obs))
        weight = advantage_weight(self.nearer(params["value"], obs, next_obs), self.beta, self.most_weight)
        latent = {**obs, "goal": self.represent(params["value"], obs)}
        return -jnp.mean(weight * self.policy(params["actor"], latent).log_prob(batch.action))

    def high_loss(self, params: PyTree, value: PyTree, batch: Rollout) -> jax.Array:
        """Of ``phi`` of where the data are some steps later, on the way to the policy's goal; ``value``: by which it is judged."""
        obs, later = {**batch.obs, "goal": batch.extras["policy_goal"]}, batch.extras["subgoal_obs"]
        weight = advantage_weight(self.nearer(value, obs, later), self.high_beta, self.most_weight)
        wanted = self.represent(params["value"], {**batch.obs, "goal": batch.extras["subgoal"]})
        return -jnp.mean(weight * self.high_policy(params["high_actor"], obs).log_prob(wanted))


def hiql(
    actor: Maker | None = None,
    high_actor: Maker | None = None,
    value: Maker | None = None,
    *,
    config: HIQLConfig | None = None,
    **overrides: Any,
) -> HierarchicalImplicit:
    """Hierarchical implicit Q-learning (Park et al. 2023, arXiv 2307.11949). Needs :class:`rl_jax.replay.Goals`.

    Args:
        actor, high_actor, value: modules or functions from :class:`~rl_jax.types.Spec` to one, instead of the usual ones. That of the
            value has ``represent(obs)``, as :class:`~rl_jax.agents.goals.goal_networks.RepresentedGoalValues`.
        config: all numbers; default :class:`~rl_jax.agents.configs.goal_reaching.HIQLConfig` as it is.
        overrides: its fields that shall be others, such as ``expectile=0.9``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(HIQLConfig, config, overrides, actor=actor, high_actor=high_actor, value=value)
    dim, layers = numbers.goal_dim, numbers.layers()
    return HierarchicalImplicit(
        learning_rate=numbers.learning_rate,
        optimizer=numbers.optimizer,
        tau=numbers.tau,
        expectile=numbers.expectile,
        beta=numbers.beta,
        high_beta=numbers.high_beta,
        actor=usual(actor, partial(cloned_actor, **layers)),
        high_actor=usual(high_actor, partial(subgoal_policy, dim=dim, **layers)),
        value_net=usual(value, partial(represented_goal_values, dim=dim, layer_norm=numbers.layer_norm, **layers)),
        goal_dim=dim,
    )
