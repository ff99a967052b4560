"""SAC: soft actor-critic, for continuous and for discrete actions."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.agents.actor_critic.acting import RandomAtFirst, explore, mode
from rl_jax.agents.actor_critic.soft_state import SoftState
from rl_jax.agents.actor_critic.temperature import usual_target_entropy
from rl_jax.agents.configs.actor_critic import SACConfig
from rl_jax.agents.configs.base import numbers_of, usual
from rl_jax.agents.continuous import check_bounded, single_steps
from rl_jax.agents.optimizers import Optimizer, bind_optimizer, optimizer, step_size
from rl_jax.argument_checks import check_numbers
from rl_jax.losses.soft_values import Choice, choose, policy_cost, smallest, soft_value
from rl_jax.losses.td import td_target
from rl_jax.networks.build import Maker, actor_spec, build_network
from rl_jax.networks.critics import critics as twin_critics
from rl_jax.networks.critics import stochastic_actor
from rl_jax.networks.distributions import masked
from rl_jax.ops import Periodic, apply_updates, batch_parallel, polyak
from rl_jax.spaces import Box, Discrete, Space, check_supported, example, without_privileged
from rl_jax.types import Context, Key, Metrics, PyTree, Sample, Spec
from rl_jax.values import Count, NotNegative, Share


@struct.dataclass(kw_only=True)
class SoftActorCritic(RandomAtFirst):
    """Learns ``Q`` and the policy that maximises ``E[Q - alpha log pi]``, from replayed single steps ``[1, B]``.

    Haarnoja et al. 2018 ("Soft Actor-Critic Algorithms and Applications", arXiv 1812.05905): twin critics with slow copies, no
    separate state value, and a temperature ``alpha`` that holds the entropy at a target. In a box the policy is a
    tanh-Gaussian and expectations are one reparameterised sample; among discrete actions they are exact (Christodoulou 2019,
    arXiv 1910.07207). With ``kappa``, the policy is also held to an older self: see :func:`rl_jax.agents.mdpo_off_policy`.
    Critics learn first, then the policy from the new critics; the temperature is learned through its logarithm, as published.

    Attributes:
        learning_rate: of policy, critics and temperature: a number, an array to sweep, or a schedule of optax, in environment steps.
        optimizer: a name, or a transformation of optax, whose step size, bound and schedule (over learning steps) are its own; one
            for the critics together, and another alike for policy and temperature together.
        tau: share of the way that the slow critics move per learning step.
        temperature: ``alpha``; ``None`` to learn it.
        initial_temperature: where learning it starts.
        target_entropy: in nats; ``None`` for minus the number of action elements, or ``log(A) / 2``.
        kappa: weight of the policy's own log-probability against its reference; ``None``: no reference.
        random_steps: environment steps that are uniformly random at first.
        refresh_period: learning steps after which the reference becomes the present policy.
        critic_terms: further terms of the critics' loss, each ``(agent, critics, params, batch, key) -> (loss, metrics)``, such as
            :class:`rl_jax.losses.conservative.Conservative`.
        entropy_backup: whether targets have the entropy of the next action.
        subset: how many of the slow critics, drawn anew each time, a target is the smallest of; ``None``: all.
        mean_critic: the policy climbs the mean of the critics instead of the smallest.
        actor, critics: modules, or functions from :class:`~rl_jax.types.Spec` to one.
        space: the action space, set by :meth:`bind`.
        name: what errors call this agent.
    """

    learning_rate: Any
    optimizer: Optimizer = struct.field(pytree_node=False)
    tau: Any
    temperature: Any
    initial_temperature: Any
    target_entropy: Any = None
    kappa: Any = None
    random_steps: Any
    refresh_period: int = struct.field(pytree_node=False, default=1)
    critic_terms: tuple[Any, ...] = ()
    entropy_backup: bool = struct.field(pytree_node=False, default=True)
    subset: int | None = struct.field(pytree_node=False, default=None)
    mean_critic: bool = struct.field(pytree_node=False, default=False)
    actor: Maker = struct.field(pytree_node=False)
    critics: Maker = struct.field(pytree_node=False)
    space: Space | None = struct.field(pytree_node=False, default=None)
    name: str = struct.field(pytree_node=False)

    def bind(self, spec: Spec) -> "SoftActorCritic":
        """Fit the networks to the spaces.

        Raises:
            UnsupportedSpace: the action space is neither discrete nor a bounded box.
        """
        check_supported(self.name, spec.action_space, (Discrete, Box))
        check_numbers(f"{self.name}'s", self, tau=Share, random_steps=NotNegative, refresh_period=Count)
        check_bounded(self.name, spec.action_space)
        agent = bind_optimizer(self, "learning_rate").replace(space=spec.action_space)  # type: ignore[attr-defined]
        return agent.replace(actor=build_network(self.actor, actor_spec(spec)), critics=build_network(self.critics, spec))

    @property
    def entropy_goal(self) -> Any:
        """The entropy that a learned temperature aims at, in nats."""
        return usual_target_entropy(self.space) if self.target_entropy is None else self.target_entropy

    def init(self, key: Key, spec: Spec) -> SoftState:
        """Fresh parameters; target and reference are copies of them."""
        keys, obs = jax.random.split(key), example(spec.obs_space, 1)
        action = () if isinstance(self.space, Discrete) else (jnp.zeros((1, *spec.action_space.shape), jnp.float32),)
        actor = self.actor.init(keys[0], without_privileged(obs))  # type: ignore[union-attr]
        params = {"actor": actor, "critics": self.critics.init(keys[1], obs, *action)}  # type: ignore[union-attr]
        if self.temperature is None:
            params["log_alpha"] = jnp.log(jnp.asarray(self.initial_temperature, jnp.float32))
        tx = optimizer(self.optimizer)
        policy = {name: x for name, x in params.items() if name != "critics"}
        return SoftState(
            params=params,
            # Copies: donated states must not hold one array twice.
            target=jax.tree.map(jnp.copy, params["critics"]),
            reference=() if self.kappa is None else jax.tree.map(jnp.copy, params["actor"]),
            policy_opt=tx.init(policy),
            critic_opt=tx.init(params["critics"]),
            count=jnp.zeros((), jnp.int32),
            random=jnp.zeros((), bool),
        )

    def act(
        self, state: SoftState, carry: PyTree, obs: PyTree, first: jax.Array, key: Key, greedy: bool = False
    ) -> tuple[PyTree, jax.Array, dict[str, jax.Array]]:
        """Sample actions ``[N, ...]`` (the mode if ``greedy``), at first uniformly; extras: ``log_prob``."""
        policy = self.policy(state.params["actor"], obs)
        action, log_prob = mode(policy) if greedy else explore(policy, state.random, key)
        return carry, action, {"log_prob": log_prob}

    def value(self, state: SoftState, carry: PyTree, obs: PyTree, first: jax.Array) -> jax.Array:
        """The soft value ``E[min Q - alpha log pi]`` of ``obs`` ``[N, ...]``; ``[N]``. In a box, of the mode alone."""
        choice = choose(self.policy(state.params["actor"], obs))
        return soft_value(self._min_q(state.params["critics"], obs, choice), choice, self._alpha(state.params))

    def _alpha(self, params: dict[str, PyTree]) -> Any:
        return jnp.exp(params["log_alpha"]) if self.temperature is None else self.temperature

    def policy(self, params: PyTree, obs: PyTree) -> Any:
        """The policy of ``params`` (the actor's) on ``obs`` ``[B, ...]``."""
        return masked(batch_parallel(self.actor.apply, params, (without_privileged(obs),), (0,), 0), obs)  # type: ignore[union-attr]

    def q_values(self, params: PyTree, obs: PyTree, action: jax.Array | None) -> Any:
        """``[members, B]``, or of all actions ``[members, B, A]``."""
        seen = (obs,) if action is None else (obs, action)
        return batch_parallel(self.critics.apply, params, seen, (0,) * len(seen), 1)  # type: ignore[union-attr]

    def _min_q(self, params: PyTree, obs: PyTree, choice: Choice) -> jax.Array:
        return smallest(self.q_values(params, obs, choice.action))

    def critic_loss(self, params: PyTree, batch: Any, target: jax.Array, weights: Any) -> tuple[jax.Array, jax.Array]:
        """Half the weighted squared TD error, summed over the critics; with their values ``[members, B]``."""
        if isinstance(self.space, Discrete):
            chosen = jax.nn.one_hot(batch.action, self.space.n, dtype=jnp.float32)
            q = jnp.sum(self.q_values(params, batch.obs, None) * chosen, axis=-1)
        else:
            q = self.q_values(params, batch.obs, batch.action)
        return 0.5 * jnp.mean(jnp.sum(weights * (q - target) ** 2, axis=0)), q

    def actor_loss(self, params: PyTree, state: SoftState, obs: PyTree, noise: Any, alpha: Any) -> tuple:
        """The mean policy cost on ``obs`` ``[B, ...]`` under the critics of ``state``; with the policy's entropy."""
        prior = None if self.kappa is None else self.policy(state.reference, obs)
        choice = choose(self.policy(params, obs), noise, prior)
        q = self.q_values(state.params["critics"], obs, choice.action)
        cost = policy_cost(jnp.mean(q, axis=0) if self.mean_critic else smallest(q), choice, alpha, self.kappa)
        return jnp.mean(cost), -jnp.mean(choice.mean(choice.log_prob))

    def learn(self, state: SoftState, sample: Sample, context: Context) -> tuple[SoftState, Metrics, jax.Array]:
        """One step of the critics, then one of policy and temperature; priorities are mean absolute TD errors ``[B]``."""
        batch, weights = single_steps(sample), 1.0 if sample.weights is None else sample.weights
        params, tx, alpha = dict(state.params), optimizer(self.optimizer), self._alpha(state.params)
        rate = step_size(self.optimizer, self.learning_rate, context)
        noise: Any = (None, None)
        if not isinstance(self.space, Discrete):
            noise = jax.random.normal(context.key, (2, *batch.action.shape))

        following = choose(self.policy(params["actor"], batch.next_obs), noise[0])
        next_q = self.q_values(state.target, batch.next_obs, following.action)
        if self.subset is not None:
            next_q = jax.random.permutation(jax.random.fold_in(context.key, 1), next_q)[: self.subset]
        target = td_target(batch, soft_value(smallest(next_q), following, alpha if self.entropy_backup else 0.0))

        def critic_loss(critics: PyTree) -> tuple[jax.Array, tuple[jax.Array, Metrics]]:
            (error, q), found = self.critic_loss(critics, batch, target, weights), Metrics()
            for i, term in enumerate(self.critic_terms, 2):
                loss, metrics = term(self, critics, params, batch, jax.random.fold_in(context.key, i))
                error, found = error + loss, found | metrics
            return error, (q, found)

        (error, (q, found)), grads = jax.value_and_grad(critic_loss, has_aux=True)(params["critics"])
        updates, critic_opt = tx.update(grads, state.critic_opt, params["critics"])
        params["critics"] = apply_updates(params["critics"], updates, rate)

        now = state.replace(params=params)  # type: ignore[attr-defined]
        (loss, entropy), actor = jax.value_and_grad(self.actor_loss, has_aux=True)(
            params["actor"], now, batch.obs, noise[1], alpha
        )
        policy_grads = {"actor": actor}
        if self.temperature is None:
            # The derivative of alpha * (entropy - goal) by log alpha: Haarnoja et al. 2018, eq. 18.
            policy_grads["log_alpha"] = alpha * (entropy - self.entropy_goal)
        policy = {name: params[name] for name in policy_grads}
        updates, policy_opt = tx.update(policy_grads, state.policy_opt, policy)
        params |= apply_updates(policy, updates, rate)

        count, reference = state.count + 1, Periodic(self.refresh_period)
        after = SoftState(
            params=params,
            target=polyak(state.target, params["critics"], self.tau),
            reference=() if self.kappa is None else reference.update(state.reference, params["actor"], count),
            policy_opt=policy_opt,
            critic_opt=critic_opt,
            count=count,
            random=state.random,
        )
        td_error = jnp.mean(jnp.abs(q - target), axis=0)
        metrics = {
            "loss/critic": error,
            "loss/actor": loss,
            "policy/entropy": entropy,
            "temperature": jnp.asarray(alpha, jnp.float32),
            "value/mean": jnp.mean(q),
            "value/td_error": jnp.mean(td_error),
        }
        return after, metrics | found, td_error


def sac(
    actor: Maker | None = None, critics: Maker | None = None, *, config: SACConfig | None = None, **overrides: Any
) -> SoftActorCritic:
    """Soft actor-critic with twin critics and a learned temperature (Haarnoja et al. 2018, arXiv 1812.05905).

    Discrete actions get exact expectations (Christodoulou 2019, arXiv 1910.07207). Needs a replay whose batches
    :func:`rl_jax.replay.n_step` has prepared; over several steps, the entropy of those in between is not rewarded.

    Args:
        actor, critics: modules or functions from :class:`~rl_jax.types.Spec` to one, instead of the usual ones.
        config: all numbers; default :class:`~rl_jax.agents.configs.SACConfig` as it is.
        overrides: its fields that shall be others, such as ``learning_rate=3e-4``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(SACConfig, config, overrides, actor=actor, critics=critics)
    return SoftActorCritic(
        learning_rate=numbers.learning_rate,
        optimizer=numbers.optimizer,
        tau=numbers.tau,
        temperature=numbers.temperature,
        initial_temperature=numbers.initial_temperature,
        target_entropy=numbers.target_entropy,
        random_steps=1.0 * numbers.random_steps,
        actor=usual(actor, partial(stochastic_actor, **numbers.layers())),
        critics=usual(critics, partial(twin_critics, **numbers.layers())),
        name="SAC",
    )
