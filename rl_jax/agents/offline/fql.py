"""FQL: flow Q-learning, a policy of one step that is held to a flow through the data's actions."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.agents.base import AgentBase
from rl_jax.agents.configs.base import numbers_of, usual
from rl_jax.agents.configs.generative import FQLConfig, denoiser_layers
from rl_jax.agents.continuous import check_bounded, single_steps
from rl_jax.agents.optimizers import Optimizer, bind_optimizer, optimizer, step_size
from rl_jax.argument_checks import check_numbers
from rl_jax.losses.soft_values import smallest
from rl_jax.losses.td import td_target
from rl_jax.networks.build import Maker, actor_spec, build_network
from rl_jax.networks.critics import critics as twin_critics
from rl_jax.networks.denoiser import denoiser
from rl_jax.ops import apply_updates, batch_parallel, polyak
from rl_jax.ops.denoising.flow import Flow
from rl_jax.ops.denoising.process import draw_targets, losses
from rl_jax.spaces import Box, Space, check_supported, example, without_privileged
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Sample, Spec
from rl_jax.values import Count, Positive, Share

FLOW = Flow()


@struct.dataclass
class FlowQState:
    """``params`` of ``flow``, ``actor`` and ``critics``; ``target``: the slow copy of the critics; ``opt``: of all together."""

    params: dict[str, PyTree]
    target: PyTree
    opt: PyTree


@struct.dataclass(kw_only=True)
class FlowQ(AgentBase):
    """Learns a flow from noise to the data's actions, and a policy of one step that stays near it and climbs ``Q``.

    Park, Li & Levine 2025, "Flow Q-Learning", arXiv 2502.02538, Algorithm 1. No gradient passes through the steps of the flow. As in
    the published code, one step of the optimiser follows the sum of all losses, each of which sees the others' networks as they were
    before it. Acting draws noise always, greedy or not.

    Attributes:
        learning_rate: of all networks: a number, an array to sweep, or a schedule of optax, in steps.
        optimizer: a name, or a transformation of optax.
        tau: share of the way that the slow critics move per learning step.
        alpha: weight of the squared distance from the flow's action.
        normalize: divide the policy's value by its mean size.
        flow_steps: of Euler's method.
        cautious: targets take the smaller critic instead of the mean of both.
        actor, flow: modules, or functions from :class:`~rl_jax.types.Spec` to one: noisy actions ``[B, ...]``, times ``[B]``, which
            are zero for the actor, and observations to ``[B, ...]``.
        critics: a module, or a function from :class:`~rl_jax.types.Spec` to one.
        space: the action space, set by :meth:`bind`.
        name: what errors call this agent.
    """

    learning_rate: Any
    optimizer: Optimizer = struct.field(pytree_node=False)
    tau: Any
    alpha: Any
    normalize: bool = struct.field(pytree_node=False, default=True)
    flow_steps: int = struct.field(pytree_node=False, default=10)
    cautious: bool = struct.field(pytree_node=False, default=False)
    actor: Maker = struct.field(pytree_node=False)
    flow: Maker = struct.field(pytree_node=False)
    critics: Maker = struct.field(pytree_node=False)
    space: Space | None = struct.field(pytree_node=False, default=None)
    name: str = struct.field(pytree_node=False, default="FQL")

    def bind(self, spec: Spec) -> "FlowQ":
        """Fit the networks to the spaces.

        Raises:
            UnsupportedSpace: the action space is not a bounded box.
        """
        check_supported(self.name, spec.action_space, (Box,))
        check_bounded(self.name, spec.action_space)
        check_numbers(f"{self.name}'s", self, tau=Share, alpha=Positive, flow_steps=Count)
        agent = bind_optimizer(self, "learning_rate").replace(space=spec.action_space)  # type: ignore[attr-defined]
        return agent.replace(
            actor=build_network(self.actor, actor_spec(spec)),
            flow=build_network(self.flow, actor_spec(spec)),
            critics=build_network(self.critics, spec),
        )

    def init(self, key: Key, spec: Spec) -> FlowQState:
        """Fresh parameters; the slow critics are a copy."""
        keys, obs = jax.random.split(key, 3), example(spec.obs_space, 1)
        action, time = jnp.zeros((1, *spec.action_space.shape), jnp.float32), jnp.zeros((1,), jnp.float32)
        params = {
            "actor": self.actor.init(keys[0], action, time, without_privileged(obs)),  # type: ignore[union-attr]
            "critics": self.critics.init(keys[1], obs, action),  # type: ignore[union-attr]
            "flow": self.flow.init(keys[2], action, time, without_privileged(obs)),  # type: ignore[union-attr]
        }
        return FlowQState(
            params, jax.tree.map(jnp.copy, params["critics"]), optimizer(self.optimizer, pack=params).init(params)
        )

    def noise(self, key: Key, num: int) -> jax.Array:
        """Of which actions are made: ``[num, ...]``."""
        space: Any = self.space
        return jax.random.normal(key, (num, *space.shape), jnp.float32)

    def velocity(self, params: PyTree, obs: PyTree, x: jax.Array, time: jax.Array) -> jax.Array:
        """The flow's velocity ``[B, ...]`` at ``x`` ``[B, ...]`` and times ``[B]``."""
        return batch_parallel(self.flow.apply, params, (x, time, without_privileged(obs)), (0, 0, 0), 0)  # type: ignore[union-attr]

    def flow_action(self, params: PyTree, obs: PyTree, noise: jax.Array) -> jax.Array:
        """The action ``[B, ...]`` that the flow makes of ``noise`` (Algorithm 2)."""
        return jnp.clip(FLOW.euler(partial(self.velocity, params, obs), noise, self.flow_steps), -1.0, 1.0)

    def one_step(self, params: PyTree, obs: PyTree, noise: jax.Array) -> jax.Array:
        """What the policy makes of ``noise``, ``[B, ...]``; an action once it is clipped."""
        start = jnp.zeros(noise.shape[:1], jnp.float32)
        return batch_parallel(self.actor.apply, params, (noise, start, without_privileged(obs)), (0, 0, 0), 0)  # type: ignore[union-attr]

    def q_values(self, params: PyTree, obs: PyTree, action: jax.Array) -> jax.Array:
        """``Q`` ``[members, B]`` of the actions ``[B, ...]``, clipped to the space."""
        return batch_parallel(self.critics.apply, params, (obs, jnp.clip(action, -1.0, 1.0)), (0, 0), 1)  # type: ignore[union-attr]

    def act(
        self, state: FlowQState, carry: PyTree, obs: PyTree, first: jax.Array, key: Key, greedy: bool = False
    ) -> tuple[PyTree, jax.Array, dict[str, jax.Array]]:
        """Actions ``[N, ...]`` of fresh noise, greedy or not."""
        action = self.one_step(state.params["actor"], obs, self.noise(key, first.shape[0]))
        return carry, jnp.clip(action, -1.0, 1.0), {}

    def value(self, state: FlowQState, carry: PyTree, obs: PyTree, first: jax.Array) -> jax.Array:
        """The mean ``Q`` ``[N]`` of the action that the policy makes of no noise."""
        space: Any = self.space
        action = self.one_step(state.params["actor"], obs, jnp.zeros((first.shape[0], *space.shape), jnp.float32))
        return jnp.mean(self.q_values(state.params["critics"], obs, action), axis=0)

    def actor_loss(
        self, params: PyTree, fixed: dict[str, PyTree], batch: Rollout, weights: Any, noise: jax.Array
    ) -> tuple[jax.Array, Metrics]:
        """What the policy minimises: ``alpha |mu(s, z) - flow(s, z)|^2 - Q(s, mu(s, z))``, with the other networks ``fixed``."""
        action = self.one_step(params, batch.obs, noise)
        error = (action - self.flow_action(fixed["flow"], batch.obs, noise)) ** 2
        distance = jnp.mean(error.reshape(error.shape[0], -1), axis=1)
        q = jnp.mean(self.q_values(fixed["critics"], batch.obs, action), axis=0)
        scale = jax.lax.stop_gradient(jnp.mean(jnp.abs(q))) if self.normalize else 1.0
        loss = jnp.mean(weights * (self.alpha * distance - q / jnp.maximum(scale, 1e-8)))
        return loss, {"loss/actor": loss, "policy/distance": jnp.mean(distance)}

    def learn(self, state: FlowQState, sample: Sample, context: Context) -> tuple[FlowQState, Metrics, jax.Array]:
        """One step of all networks; priorities are mean absolute TD errors ``[B]``."""
        batch, weights = single_steps(sample), 1.0 if sample.weights is None else sample.weights
        keys, num = jax.random.split(context.key, 3), batch.reward.shape[0]
        noise, targets = self.noise(keys[1], num), draw_targets(FLOW, keys[2], batch.action)
        following = self.one_step(state.params["actor"], batch.next_obs, self.noise(keys[0], num))
        slow_q = self.q_values(state.target, batch.next_obs, following)
        target = td_target(batch, smallest(slow_q) if self.cautious else jnp.mean(slow_q, axis=0))

        def total(params: dict[str, PyTree]) -> tuple[jax.Array, tuple[jax.Array, Metrics]]:
            q = self.q_values(params["critics"], batch.obs, batch.action)
            critic = jnp.mean(weights * (q - target) ** 2)
            flow = jnp.mean(weights * losses(partial(self.velocity, params["flow"], batch.obs), targets))
            actor, metrics = self.actor_loss(params["actor"], state.params, batch, weights, noise)
            return critic + flow + actor, (q, {**metrics, "loss/critic": critic, "loss/flow": flow})

        grads, (q, metrics) = jax.grad(total, has_aux=True)(state.params)
        updates, opt = optimizer(self.optimizer, pack=state.params).update(grads, state.opt, state.params)
        params = apply_updates(state.params, updates, step_size(self.optimizer, self.learning_rate, context))
        td_error = jnp.mean(jnp.abs(q - target), axis=0)
        metrics = {**metrics, "value/mean": jnp.mean(q), "value/td_error": jnp.mean(td_error)}
        return FlowQState(params, polyak(state.target, params["critics"], self.tau), opt), metrics, td_error


def fql(
    actor: Maker | None = None,
    flow: Maker | None = None,
    critics: Maker | None = None,
    *,
    config: FQLConfig | None = None,
    **overrides: Any,
) -> FlowQ:
    """Flow Q-learning (Park et al. 2025, arXiv 2502.02538). Needs a replay with :func:`rl_jax.replay.n_step`.

    Args:
        actor, flow, critics: modules or functions from :class:`~rl_jax.types.Spec` to one, instead of the usual ones.
        config: all numbers; default :class:`~rl_jax.agents.configs.FQLConfig` as it is.
        overrides: its fields that shall be others, such as ``alpha=0.3``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(FQLConfig, config, overrides, actor=actor, flow=flow, critics=critics)
    made = partial(denoiser, **denoiser_layers(numbers))
    return FlowQ(
        learning_rate=numbers.learning_rate,
        optimizer=numbers.optimizer,
        tau=numbers.tau,
        alpha=numbers.alpha,
        normalize=numbers.normalize,
        flow_steps=numbers.flow_steps,
        cautious=numbers.target == "min",
        actor=usual(actor, made),
        flow=usual(flow, made),
        critics=usual(critics, partial(twin_critics, layer_norm=numbers.layer_norm, **numbers.layers())),
    )
