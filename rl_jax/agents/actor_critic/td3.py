"""TD3: deterministic policies for continuous actions."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.agents.actor_critic.acting import RandomAtFirst, explore_around
from rl_jax.agents.configs.actor_critic import TD3Config
from rl_jax.agents.configs.base import numbers_of, usual
from rl_jax.agents.continuous import check_bounded, single_steps
from rl_jax.agents.optimizers import Optimizer, bind_optimizer, optimizer, step_size
from rl_jax.argument_checks import check_numbers
from rl_jax.losses.soft_values import smallest
from rl_jax.losses.td import td_target
from rl_jax.networks.build import Maker, actor_spec, build_network
from rl_jax.networks.critics import critics as twin_critics
from rl_jax.networks.critics import deterministic_actor
from rl_jax.ops import apply_updates, batch_parallel, polyak
from rl_jax.ops.branch import change_where
from rl_jax.spaces import Box, check_supported, example, without_privileged
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Sample, Spec
from rl_jax.values import Count, NotNegative, Share


@struct.dataclass
class DeterministicState:
    """The state of :class:`DeterministicActorCritic`.

    Attributes:
        params: ``actor`` and ``critics``.
        target: slow copies of both.
        actor_opt, critic_opt: the optimiser's states, that of all critics together.
        actor_loss: the last one, while the policy waits.
        count: learning steps done.
        random: whether this rollout acts uniformly at random.
    """

    params: dict[str, PyTree]
    target: dict[str, PyTree]
    actor_opt: PyTree
    critic_opt: PyTree
    actor_loss: jax.Array
    count: jax.Array
    random: jax.Array


@struct.dataclass(kw_only=True)
class DeterministicActorCritic(RandomAtFirst):
    """Learns ``Q`` and the action that maximises it, from replayed single steps ``[1, B]``.

    Fujimoto et al. 2018 (TD3, arXiv 1802.09477): the smallest of the slow critics at a slow policy's action with clipped noise
    is the target; policy and slow copies move at every ``policy_delay``-th learning step only. With one critic, no noise and
    no delay it is DDPG (Lillicrap et al. 2016, arXiv 1509.02971). The policy climbs the first critic alone, as in the
    paper. Actions, and the noises that are added to them, are in units of half the action's range.

    Attributes:
        learning_rate, actor_learning_rate: of the critics and of the policy: numbers, arrays to sweep, or schedules of optax, in
            environment steps.
        optimizer: a name, or a transformation of optax, whose step size, bound and schedule (over its own steps) are its own; one
            for the critics together, and another alike for the policy.
        tau: share of the way that the slow copies move.
        exploration_noise: standard deviation of the Gaussian noise when acting.
        target_noise, target_noise_clip: standard deviation (``None``: no noise) and bound of the noise on the target's action.
        random_steps: environment steps that are uniformly random at first.
        policy_delay: learning steps of the critics for one of the policy; the first is the ``policy_delay``-th.
        behaviour: weight of the squared distance of the policy's action from the data's in the policy's loss, whose value is divided by
            its mean size then (Fujimoto & Gu 2021, arXiv 2106.06860, eqs. 3 to 5); ``None``: no such term.
        next_behaviour: the same of the next action in the target, from ``extras["next_action"]`` (Tarasov et al. 2023,
            arXiv 2305.09836, eq. 6); ``None``: no such term.
        mean_distance: these distances are means over an action's elements instead of sums.
        cautious: the policy climbs the smallest critic instead of the first.
        actor, critics: modules, or functions from :class:`~rl_jax.types.Spec` to one.
        name: what errors call this agent.
    """

    learning_rate: Any
    actor_learning_rate: Any
    optimizer: Optimizer = struct.field(pytree_node=False)
    tau: Any
    exploration_noise: Any
    target_noise: Any = None
    target_noise_clip: Any = 0.0
    random_steps: Any
    policy_delay: int = struct.field(pytree_node=False, default=1)
    behaviour: Any = None
    next_behaviour: Any = None
    mean_distance: bool = struct.field(pytree_node=False, default=False)
    cautious: bool = struct.field(pytree_node=False, default=False)
    actor: Maker = struct.field(pytree_node=False)
    critics: Maker = struct.field(pytree_node=False)
    name: str = struct.field(pytree_node=False)

    def bind(self, spec: Spec) -> "DeterministicActorCritic":
        """Fit the networks to the spaces.

        Raises:
            UnsupportedSpace: the action space is not a bounded box.
        """
        check_supported(self.name, spec.action_space, (Box,))
        whose = f"{self.name}'s"
        check_numbers(whose, self, tau=Share, random_steps=NotNegative, policy_delay=Count, target_noise_clip=NotNegative)
        check_numbers(whose, self, exploration_noise=NotNegative, target_noise=NotNegative | None)
        check_bounded(self.name, spec.action_space)
        agent = bind_optimizer(self, "learning_rate", "actor_learning_rate")
        return agent.replace(actor=build_network(self.actor, actor_spec(spec)), critics=build_network(self.critics, spec))  # type: ignore[attr-defined]

    def init(self, key: Key, spec: Spec) -> DeterministicState:
        """Fresh parameters; the slow ones are copies of them."""
        keys = jax.random.split(key)
        obs = example(spec.obs_space, 1)
        action = jnp.zeros((1, *spec.action_space.shape), jnp.float32)
        actor = self.actor.init(keys[0], without_privileged(obs))  # type: ignore[union-attr]
        params = {"actor": actor, "critics": self.critics.init(keys[1], obs, action)}  # type: ignore[union-attr]
        tx = optimizer(self.optimizer)
        return DeterministicState(
            params=params,
            # Copies: donated states must not hold one array twice.
            target=jax.tree.map(jnp.copy, params),
            actor_opt=tx.init(params["actor"]),
            critic_opt=tx.init(params["critics"]),
            actor_loss=jnp.zeros((), jnp.float32),
            count=jnp.zeros((), jnp.int32),
            random=jnp.zeros((), bool),
        )

    def _action(self, params: dict[str, PyTree], obs: PyTree) -> Any:
        return batch_parallel(self.actor.apply, params["actor"], (without_privileged(obs),), (0,), 0)  # type: ignore[union-attr]

    def _q(self, params: dict[str, PyTree], obs: PyTree, action: jax.Array) -> Any:
        """``[members, B]``."""
        return batch_parallel(self.critics.apply, params["critics"], (obs, action), (0, 0), 1)  # type: ignore[union-attr]

    def act(
        self, state: DeterministicState, carry: PyTree, obs: PyTree, first: jax.Array, key: Key, greedy: bool = False
    ) -> tuple[PyTree, jax.Array, dict[str, jax.Array]]:
        """The policy's actions ``[N, ...]``, with noise and within ``[-1, 1]`` unless ``greedy``; at first uniform ones."""
        action = self._action(state.params, obs)
        if greedy:
            return carry, action, {}
        return carry, explore_around(action, self.exploration_noise, state.random, key), {}

    def value(self, state: DeterministicState, carry: PyTree, obs: PyTree, first: jax.Array) -> jax.Array:
        """The smallest ``Q`` of the policy's action on ``obs`` ``[N, ...]``; ``[N]``."""
        return jnp.min(self._q(state.params, obs, self._action(state.params, obs)), axis=0)

    def smoothed(self, params: dict[str, PyTree], obs: PyTree, key: Key) -> jax.Array:
        """The policy's actions ``[B, ...]`` with clipped noise, within bounds."""
        action = self._action(params, obs)
        if self.target_noise is None:
            return action
        noise = jax.random.normal(key, action.shape)
        noise = jnp.clip(self.target_noise * noise, -self.target_noise_clip, self.target_noise_clip)
        return jnp.clip(action + noise, -1.0, 1.0)

    def critic_loss(self, params: PyTree, batch: Rollout, target: jax.Array, weights: Any) -> tuple[jax.Array, jax.Array]:
        """Half the weighted squared TD error, summed over the critics; with their values ``[members, B]``."""
        q = self._q({"critics": params}, batch.obs, batch.action)
        return 0.5 * jnp.mean(jnp.sum(weights * (q - target) ** 2, axis=0)), q

    def distance(self, action: jax.Array, other: jax.Array) -> jax.Array:
        """Squared distances ``[B]`` of actions ``[B, ...]``."""
        reduce = jnp.mean if self.mean_distance else jnp.sum
        return reduce((action - other) ** 2, axis=tuple(range(1, action.ndim)))

    def actor_loss(self, params: PyTree, critics: PyTree, batch: Rollout) -> jax.Array:
        """Minus the mean value of the policy's actions; with ``behaviour`` scaled to 1, and the distance from the data's."""
        action = self._action({"actor": params}, batch.obs)
        q = self._q({"critics": critics}, batch.obs, action)
        q = smallest(q) if self.cautious else q[0]
        if self.behaviour is None:
            return -jnp.mean(q)
        size = jax.lax.stop_gradient(jnp.mean(jnp.abs(q)))
        return -jnp.mean(q) / jnp.maximum(size, 1e-8) + self.behaviour * jnp.mean(self.distance(action, batch.action))

    def next_value(self, params: dict[str, PyTree], batch: Rollout, key: Key) -> jax.Array:
        """The slow critics' smallest value ``[B]`` of the next action; with ``next_behaviour`` less its distance from the data's."""
        following = self.smoothed(params, batch.next_obs, key)
        value = jnp.min(self._q(params, batch.next_obs, following), axis=0)
        if self.next_behaviour is None:
            return value
        distance = self.distance(following, batch.extras["next_action"])
        return value - self.next_behaviour * jnp.where(batch.extras["has_next_action"], distance, 0.0)

    def learn(
        self, state: DeterministicState, sample: Sample, context: Context
    ) -> tuple[DeterministicState, Metrics, jax.Array]:
        """One step of the critics, and of the policy if it is due; priorities are mean absolute TD errors ``[B]``."""
        batch, tx = single_steps(sample), optimizer(self.optimizer)
        weights = 1.0 if sample.weights is None else sample.weights

        target = td_target(batch, self.next_value(state.target, batch, context.key))
        (error, q), grads = jax.value_and_grad(self.critic_loss, has_aux=True)(state.params["critics"], batch, target, weights)
        updates, critic_opt = tx.update(grads, state.critic_opt, state.params["critics"])
        rate = step_size(self.optimizer, self.learning_rate, context)
        critics = apply_updates(state.params["critics"], updates, rate)

        def improve(slow: tuple) -> tuple:
            actor, target, actor_opt, _ = slow
            loss, grads = jax.value_and_grad(self.actor_loss)(actor, critics, batch)
            updates, actor_opt = tx.update(grads, actor_opt, actor)
            actor = apply_updates(actor, updates, step_size(self.optimizer, self.actor_learning_rate, context))
            return actor, polyak(target, {"actor": actor, "critics": critics}, self.tau), actor_opt, loss

        count = state.count + 1
        slow = state.params["actor"], state.target, state.actor_opt, state.actor_loss
        slow = improve(slow) if self.policy_delay == 1 else change_where(count % self.policy_delay == 0, improve, slow)
        actor, slow_params, actor_opt, loss = slow
        params = {"actor": actor, "critics": critics}
        after = DeterministicState(params, slow_params, actor_opt, critic_opt, loss, count, state.random)
        td_error = jnp.mean(jnp.abs(q - target), axis=0)
        metrics = {"loss/critic": error, "loss/actor": loss, "value/mean": jnp.mean(q), "value/td_error": jnp.mean(td_error)}
        return after, metrics, td_error


def td3(
    actor: Maker | None = None, critics: Maker | None = None, *, config: TD3Config | None = None, **overrides: Any
) -> DeterministicActorCritic:
    """Twin delayed deterministic policy gradient (Fujimoto et al. 2018, arXiv 1802.09477, Algorithm 1).

    Needs a replay whose batches :func:`rl_jax.replay.n_step` has prepared.

    Args:
        actor, critics: modules or functions from :class:`~rl_jax.types.Spec` to one, instead of the usual ones.
        config: all numbers; default :class:`~rl_jax.agents.configs.TD3Config` as it is.
        overrides: its fields that shall be others, such as ``policy_delay=1``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(TD3Config, config, overrides, actor=actor, critics=critics)
    return DeterministicActorCritic(
        learning_rate=numbers.learning_rate,
        actor_learning_rate=numbers.actor_learning_rate,
        optimizer=numbers.optimizer,
        tau=numbers.tau,
        exploration_noise=numbers.exploration_noise,
        target_noise=numbers.target_noise,
        target_noise_clip=numbers.target_noise_clip,
        random_steps=1.0 * numbers.random_steps,
        policy_delay=numbers.policy_delay,
        actor=usual(actor, partial(deterministic_actor, **numbers.layers())),
        critics=usual(critics, partial(twin_critics, **numbers.layers())),
        name="TD3",
    )
