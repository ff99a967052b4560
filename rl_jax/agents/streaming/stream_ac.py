"""Stream AC(lambda): actor-critic from one stream of experience, without replay or batches."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.agents.base import AgentBase
from rl_jax.agents.configs.base import numbers_of, usual
from rl_jax.agents.configs.streaming import StreamACConfig
from rl_jax.agents.optimizers import Optimizer, bind_optimizer
from rl_jax.agents.streaming.update import StepRule, Traced, TraceStep, check_stream, one_step, td_lambda_update
from rl_jax.argument_checks import check_numbers
from rl_jax.networks.build import Maker, actor_spec
from rl_jax.networks.distributions import Distribution, masked
from rl_jax.networks.streaming import stream_actor, stream_value
from rl_jax.spaces import example, without_privileged
from rl_jax.types import Context, Key, Metrics, PyTree, Sample, Spec
from rl_jax.values import Share


@struct.dataclass
class StreamACState:
    """``params`` has ``actor`` and ``critic``; each has a trace."""

    params: dict[str, PyTree]
    actor: Traced
    critic: Traced


@struct.dataclass(kw_only=True)
class StreamAC(AgentBase):
    """Actor and critic on traces of their own, with bounded steps and one TD error ``delta`` for both.

    Elsayed et al. 2024, "Streaming Deep Reinforcement Learning Finally Works" (arXiv 2410.14606), stream AC(lambda). The actor's trace
    accumulates ``grad(log pi(a|s) + tau sign(delta) H(pi(.|s)))``: times ``delta``, entropy is always climbed. Both traces are
    cleared after the update of a step that ends an episode, for whichever reason.
    Needs ``Trainer.create(num_envs=1, rollout_length=1)``; many independent streams are a vmap over keys.

    Attributes:
        learning_rate: ``alpha`` of both networks: a number, an array to sweep, or a schedule of optax, in environment steps.
        actor_kappa, critic_kappa: of :func:`rl_jax.ops.obgd`.
        gamma, lam: discount, and decay of the traces besides it.
        entropy_weight: ``tau``.
        step_rule: ``obgd``, ``sgd`` or ``adam``; see :class:`~rl_jax.agents.streaming.update.TraceStep`.
        optimizer: with ``sgd``: a name, or a transformation of optax, for each of both networks.
        overshoot: report the share of updates after which the TD error has the other sign.
        actor, critic: modules from observations ``[B, ...]`` to a distribution and to values, or functions from
            :class:`~rl_jax.types.Spec` to them.
        name: what errors call this agent.
    """

    learning_rate: Any
    actor_kappa: Any
    critic_kappa: Any
    gamma: Any
    lam: Any
    entropy_weight: Any
    step_rule: StepRule = struct.field(pytree_node=False)
    optimizer: Optimizer | None = struct.field(pytree_node=False, default=None)
    overshoot: bool = struct.field(pytree_node=False)
    actor: Maker = struct.field(pytree_node=False)
    critic: Maker = struct.field(pytree_node=False)
    name: str = struct.field(pytree_node=False)

    def bind(self, spec: Spec) -> "StreamAC":
        """Fit the networks to the spaces.

        Raises:
            RLJaxError: more than one environment or step.
        """
        check_stream(self.name, spec)
        check_numbers(f"{self.name}'s", self, gamma=Share, lam=Share)
        self._steps()[0].transformation()  # refuses an optimizer that it cannot take
        actor = self.actor if isinstance(self.actor, nn.Module) else self.actor(actor_spec(spec))
        critic = self.critic if isinstance(self.critic, nn.Module) else self.critic(spec)
        return bind_optimizer(self, "learning_rate").replace(actor=actor, critic=critic)  # type: ignore[attr-defined]

    def _steps(self) -> tuple[TraceStep, TraceStep]:
        """Of actor and critic."""
        kappas = self.actor_kappa, self.critic_kappa
        actor, critic = (TraceStep(self.learning_rate, kappa, self.step_rule, self.optimizer) for kappa in kappas)
        return actor, critic

    def init(self, key: Key, spec: Spec) -> StreamACState:
        """Fresh parameters and empty traces."""
        keys = jax.random.split(key)
        obs = example(spec.obs_space, 1)
        seen = without_privileged(obs)
        params = {"actor": self.actor.init(keys[0], seen), "critic": self.critic.init(keys[1], obs)}  # type: ignore[union-attr]
        actor, critic = self._steps()
        return StreamACState(params, actor.init(params["actor"]), critic.init(params["critic"]))

    def _policy(self, params: PyTree, obs: PyTree) -> Distribution:
        return masked(self.actor.apply(params, without_privileged(obs)), obs)  # type: ignore[union-attr]

    def _value(self, params: PyTree, obs: PyTree) -> jax.Array:
        return self.critic.apply(params, obs)  # type: ignore[union-attr, return-value]

    def act(
        self, state: StreamACState, carry: PyTree, obs: PyTree, first: jax.Array, key: Key, greedy: bool = False
    ) -> tuple[PyTree, jax.Array, dict[str, jax.Array]]:
        """Actions ``[N, ...]`` of the policy; its mode if ``greedy``."""
        policy = self._policy(state.params["actor"], obs)
        return carry, policy.mode() if greedy else policy.sample(key), {}

    def value(self, state: StreamACState, carry: PyTree, obs: PyTree, first: jax.Array) -> jax.Array:
        """State values ``[N]`` of ``obs`` ``[N, ...]``."""
        return self._value(state.params["critic"], obs)

    def learn(self, state: StreamACState, sample: Sample, context: Context) -> tuple[StreamACState, Metrics, None]:
        """One update of both networks from the step just taken."""
        now = one_step(self.name, sample)
        for_actor, for_critic = (step.at(context) for step in self._steps())

        def value(critic: PyTree) -> tuple[jax.Array, jax.Array]:
            return self._value(critic, now.obs)[0], jnp.zeros((), bool)

        def following(critic: PyTree) -> jax.Array:
            return self._value(critic, now.next_obs)

        whole = (value, following, self.gamma, self.lam, self.overshoot)
        critic, of_critic, delta, metrics = td_lambda_update(for_critic, state.params["critic"], state.critic, now, *whole)

        def preference(actor: PyTree) -> tuple[jax.Array, jax.Array]:
            policy = self._policy(actor, now.obs)
            entropy = policy.entropy()[0]
            return policy.log_prob(now.action)[0] + self.entropy_weight * jnp.sign(delta) * entropy, entropy

        actor = state.params["actor"]
        grads, entropy = jax.grad(preference, has_aux=True)(actor)
        actor, of_actor, size = for_actor.step(actor, state.actor, grads, delta, self.gamma * self.lam, now.done[0])
        metrics |= {"policy/entropy": entropy, "stream/actor_step_size": size}
        return StreamACState({"actor": actor, "critic": critic}, of_actor, of_critic), metrics, None


def stream_ac(
    actor: Maker | None = None,
    critic: Maker | None = None,
    *,
    optimizer: Optimizer | None = None,
    config: StreamACConfig | None = None,
    **overrides: Any,
) -> StreamAC:
    """Stream AC(lambda) (Elsayed et al. 2024, arXiv 2410.14606): see :class:`StreamAC`.

    Args:
        actor, critic: modules or functions from :class:`~rl_jax.types.Spec` to one, instead of the usual ones.
        optimizer: with ``step_rule="sgd"``: a name, or a transformation of optax, for each of both networks.
        config: all numbers; default :class:`~rl_jax.agents.configs.StreamACConfig` as it is.
        overrides: its fields that shall be others, such as ``entropy_weight=0.0``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(StreamACConfig, config, overrides, optimizer, actor=actor, critic=critic)
    return StreamAC(
        learning_rate=numbers.learning_rate,
        actor_kappa=numbers.actor_kappa,
        critic_kappa=numbers.critic_kappa,
        gamma=numbers.gamma,
        lam=numbers.td_lambda,
        entropy_weight=numbers.entropy_weight,
        step_rule=numbers.step_rule,
        optimizer=optimizer,
        overshoot=numbers.overshoot,
        actor=usual(actor, partial(stream_actor, **numbers.layers())),
        critic=usual(critic, partial(stream_value, **numbers.layers())),
        name="stream AC",
    )
