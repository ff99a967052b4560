"""HILP: an embedding in which straight lines are as long as ways, and one policy that moves along any direction of it.

Park et al. 2024, "Foundation Policies with Hilbert Representations", ICML 2024, arXiv 2402.15567; checked with seohongpark/HILP,
``hilp_gcrl/src/agents/hilp.py`` and ``hilp_gcrl/jaxrl_m/evaluation.py``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

import rl_jax as rl
from rl_jax.agents.configs.base import numbers_of
from rl_jax.agents.configs.goal_reaching import GoalValueConfig
from rl_jax.agents.goals.gcivl import GoalState, ImplicitGoalValue
from rl_jax.agents.goals.goal_networks import with_latent_goal
from rl_jax.argument_checks import check_numbers
from rl_jax.ideas.skills_goals._hilbert import direction, hilbert_values, midpoint
from rl_jax.losses.expectile import advantage_weight, expectile_loss
from rl_jax.losses.td import bootstrap_discount
from rl_jax.networks.build import Maker, actor_spec, build_network
from rl_jax.networks.critics import cloned_actor, critics, state_value
from rl_jax.ops import batch_parallel
from rl_jax.replay.recorded.goals import observed_place
from rl_jax.spaces import Box, Discrete, without_privileged
from rl_jax.types import Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Count, CountOrZero, NotNegative, Share


@struct.dataclass(kw_only=True)
class HilbertPolicy(ImplicitGoalValue):
    """Learns ``phi`` as a goal-conditioned value, and one policy of directions ``z``, whose reward is ``<phi(s') - phi(s), z>``.

    The value is that of :class:`~rl_jax.agents.goals.gcivl.ImplicitGoalValue`. The policy is implicit Q-learning for ``z`` uniform on
    the sphere, without ends. It acts along ``phi(g) - phi(s)``, determined anew in every step; with ``recursions``, ``phi(g)`` is
    replaced that often by the midpoint between it and ``phi(s)``, among ``places``.

    The published embedding is of whole observations; here it is of what goals show of them.

    Attributes:
        skill_expectile, beta, skill_gamma: of the policy's implicit Q-learning: the expectile, the inverse temperature, the discount.
        critics, skill_value: as of :func:`rl_jax.agents.offline.iql`; in place of the goal they read ``z``.
        dim: of ``phi``.
        reached: the place that an observation shows.
        places: ``[M, ...]``, as goals show them.
        recursions, neighbours: of planning by midpoints; 0 recursions: none.
    """

    SLOW: ClassVar[tuple[str, ...]] = ("value", "critics")

    skill_expectile: Any
    skill_gamma: Any
    critics: Maker = struct.field(pytree_node=False)
    skill_value: Maker = struct.field(pytree_node=False)
    dim: int = struct.field(pytree_node=False)
    reached: Callable[[PyTree], jax.Array] = struct.field(pytree_node=False, default=observed_place)
    places: Any = None
    recursions: int = struct.field(pytree_node=False, default=0)
    neighbours: int = struct.field(pytree_node=False, default=50)
    name: str = struct.field(pytree_node=False, default="HILP")

    def bound_networks(self, spec: Spec) -> Self:
        """The networks for these spaces; those of the policy read ``z`` for the goal."""
        check_numbers(f"{self.name}'s", self, skill_expectile=Share, skill_gamma=Share)
        latent = with_latent_goal(spec, self.dim)
        return self.replace(  # type: ignore[attr-defined]
            actor=build_network(self.actor, actor_spec(latent)),
            critics=build_network(self.critics, latent),
            skill_value=build_network(self.skill_value, latent),
            value_net=build_network(self.value_net, spec),
        )

    def fresh(self, key: Key, spec: Spec, obs: PyTree) -> dict[str, PyTree]:
        """Parameters of every network."""
        keys, latent = jax.random.split(key, 4), {**obs, "goal": jnp.zeros((1, self.dim), jnp.float32)}
        action = () if isinstance(self.space, Discrete) else (jnp.zeros((1, *spec.action_space.shape), jnp.float32),)
        return {
            "value": self.value_net.init(keys[0], obs),  # type: ignore[union-attr]
            "actor": self.actor.init(keys[1], without_privileged(latent)),  # type: ignore[union-attr]
            "critics": self.critics.init(keys[2], latent, *action),  # type: ignore[union-attr]
            "skill_value": self.skill_value.init(keys[3], latent),  # type: ignore[union-attr]
        }

    def embed(self, params: PyTree, place: Any) -> jax.Array:
        """The first ``phi`` ``[B, dim]`` of places ``[B, ...]``, without a gradient; ``params`` of the value."""
        apply = partial(self.value_net.apply, method="embed")  # type: ignore[union-attr]
        return batch_parallel(apply, jax.lax.stop_gradient(params), (place,), (0,), 1)[0]

    def q_values(self, params: PyTree, obs: PyTree, action: jax.Array) -> jax.Array:
        """``Q`` ``[2, B]`` of the actions ``[B, ...]``."""
        if isinstance(self.space, Discrete):
            q = batch_parallel(self.critics.apply, params, (obs,), (0,), 1)  # type: ignore[union-attr]
            return jnp.sum(q * jax.nn.one_hot(action, self.space.n), axis=-1)
        return batch_parallel(self.critics.apply, params, (obs, action), (0, 0), 1)  # type: ignore[union-attr]

    def skill_values(self, params: PyTree, obs: PyTree) -> jax.Array:
        """The policy's ``V`` ``[B]``."""
        return batch_parallel(self.skill_value.apply, params, (obs,), (0,), 0)  # type: ignore[union-attr]

    def skill(self, params: PyTree, obs: PyTree) -> jax.Array:
        """The direction ``z`` ``[N, dim]`` to go, of the goals in ``obs``."""
        start, end = self.embed(params, self.reached(obs)), self.embed(params, obs["goal"])
        if self.recursions:
            places = self.embed(params, self.places)
            for _ in range(self.recursions):
                end = midpoint(start, end, places, self.neighbours)
        return direction(start, end)

    def act(
        self, state: GoalState, carry: PyTree, obs: PyTree, first: jax.Array, key: Key, greedy: bool = False
    ) -> tuple[PyTree, jax.Array, dict[str, jax.Array]]:
        """Actions ``[N, ...]`` along the direction of the goals in ``obs``; in a box clipped to it."""
        policy = self.policy(state.params["actor"], {**obs, "goal": self.skill(state.params["value"], obs)})
        action = policy.mode() if greedy else policy.sample(key)
        return carry, jnp.clip(action, -1.0, 1.0) if isinstance(self.space, Box) else action, {}

    def loss(self, params: PyTree, target: PyTree, batch: Rollout, key: Key) -> tuple[jax.Array, Metrics]:
        """The sum of the losses, and metrics."""
        discount = bootstrap_discount(batch)
        error, value = self.value_loss(params["value"], target["value"], batch.obs, batch.next_obs, batch.reward, discount)
        start, end = (self.embed(params["value"], self.reached(x)) for x in (batch.obs, batch.next_obs))
        normal = jax.random.normal(key, start.shape)
        z = direction(jnp.zeros_like(normal), normal)
        obs, next_obs = {**batch.obs, "goal": z}, {**batch.next_obs, "goal": z}
        reward = jnp.sum((end - start) * z, axis=-1)

        v = self.skill_values(params["skill_value"], obs)
        slow_q = jnp.min(self.q_values(target["critics"], obs, batch.action), axis=0)
        next_v = jax.lax.stop_gradient(self.skill_values(params["skill_value"], next_obs))
        q = self.q_values(params["critics"], obs, batch.action)
        skill_error = jnp.mean(expectile_loss(slow_q - v, self.skill_expectile))
        critic_error = jnp.mean(jnp.sum((q - (reward + self.skill_gamma * next_v)) ** 2, axis=0))
        weight = advantage_weight(slow_q - v, self.beta, self.most_weight)
        cloning = -jnp.mean(weight * self.policy(params["actor"], obs).log_prob(batch.action))
        metrics = {
            **{"loss/value": error, "loss/skill_value": skill_error, "loss/critic": critic_error, "loss/actor": cloning},
            **{"value/mean": value, "value/skill": jnp.mean(v), "policy/weight": jnp.mean(weight)},
        }
        return error + skill_error + critic_error + cloning, metrics


@dataclass(frozen=True)
class HILPConfig(GoalValueConfig):
    """HILP (Park et al. 2024), as it reaches goals, as one flat list of numbers."""

    RUN = GoalValueConfig.RUN | {"num_places"}

    current_goals: Share = 0.0
    """Share of values' goals that are where one is."""
    future_goals: Share = 0.625
    """Share of values' goals that come later in the episode; the rest is anywhere in the data."""
    expectile: Share = 0.95
    """Which expectile of its targets a value is: 0.5 values the behaviour, towards 1 the shortest way."""
    skill_expectile: Share = 0.9
    """The same, of the policy's value."""
    skill_gamma: Share = 0.99
    """Discount per step of the policy's reward."""
    beta: NotNegative = 10.0
    """How much better actions are cloned more."""
    dim: Count = 32
    """Numbers of the embedding."""
    recursions: CountOrZero = 0
    """How often a goal is replaced by a midpoint (the paper: 1 to 3)."""
    neighbours: Count = 50
    """Places of the data whose mean a midpoint is."""
    num_places: Count = 1000
    """Places of the data among which midpoints are searched (the paper: 50 000)."""

    def agent(self) -> HilbertPolicy:
        """The agent alone, without places."""
        return hilp(config=self)

    def trainer(self, env: "rl.types.Environment", data: "rl.data.Dataset | None" = None, **options: Any) -> rl.Trainer:
        """The whole run on a data set; ``options`` are further arguments of :meth:`rl_jax.Trainer.create`."""
        trainer = super().trainer(env, data, **options)
        if not self.recursions:
            return trainer
        replay: Any = trainer.replay
        steps = np.linspace(0, replay.data.num_steps - 1, self.num_places).astype(int)
        places = replay.reached(jax.tree.map(lambda x: jnp.asarray(x)[steps], replay.data.obs))
        return trainer.replace(agent=trainer.agent.replace(places=places))  # type: ignore[attr-defined]


def hilp(*, config: HILPConfig | None = None, reached: Any = observed_place, **overrides: Any) -> HilbertPolicy:
    """Hilbert foundation policies (Park et al. 2024, arXiv 2402.15567). Needs :class:`rl_jax.replay.Goals`.

    Args:
        config: all numbers; default :class:`HILPConfig` as it is.
        reached: the place that an observation shows, as of the replay.
        overrides: its fields that shall be others, such as ``expectile=0.9``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(HILPConfig, config, overrides)
    layers = numbers.layers()
    normed: Any = {**layers, "layer_norm": numbers.layer_norm}
    return HilbertPolicy(
        learning_rate=numbers.learning_rate,
        optimizer=numbers.optimizer,
        tau=numbers.tau,
        expectile=numbers.expectile,
        skill_expectile=numbers.skill_expectile,
        skill_gamma=numbers.skill_gamma,
        beta=numbers.beta,
        actor=partial(cloned_actor, **layers),
        critics=partial(critics, **normed),
        skill_value=partial(state_value, **normed),
        value_net=partial(hilbert_values, dim=numbers.dim, reached=reached, **normed),
        dim=numbers.dim,
        reached=reached,
        recursions=numbers.recursions,
        neighbours=numbers.neighbours,
    )
