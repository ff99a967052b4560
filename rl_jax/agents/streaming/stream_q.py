"""Stream Q(lambda): Q-learning from one stream of experience, without replay, batches or slow networks."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.agents.configs.base import numbers_of, usual
from rl_jax.agents.configs.streaming import StreamQConfig
from rl_jax.agents.optimizers import Optimizer, bind_optimizer
from rl_jax.agents.q_learning.q_policy import ActsByValue, QPolicy, take_along_axis
from rl_jax.agents.streaming.update import StepRule, Traced, TraceStep, check_stream, one_step, td_lambda_update
from rl_jax.argument_checks import check_numbers
from rl_jax.errors import RLJaxError
from rl_jax.masks import forbid
from rl_jax.networks.build import Maker
from rl_jax.networks.streaming import stream_q_network
from rl_jax.ops.arrays.trees import with_time
from rl_jax.types import Context, Key, Metrics, PyTree, Sample, Spec
from rl_jax.values import Share


@struct.dataclass
class StreamQState:
    """Parameters, their trace, and the exploration rate of this step."""

    params: PyTree
    traced: Traced
    epsilon: jax.Array


@struct.dataclass(kw_only=True)
class StreamQ(ActsByValue):
    """Watkins's Q(lambda) with bounded steps: ``Trainer.create(num_envs=1, rollout_length=1)``, many streams by vmap over keys.

    Elsayed et al. 2024, "Streaming Deep Reinforcement Learning Finally Works" (arXiv 2410.14606), stream Q(lambda). The trace of
    ``Q(s, a)`` is cleared where an episode ends, for whichever reason, and after an action that was not greedy (Watkins 1989),
    each *after* the update with it, as in the published code. An action whose value is the largest counts as greedy, whichever way
    it was drawn.

    Attributes:
        policy: the network, without memory, and exploration; its head must be an expected value.
        learning_rate, kappa: of :func:`rl_jax.ops.obgd`; the first may be a schedule of optax, in environment steps.
        gamma, lam: discount, and decay of the trace besides it.
        step_rule: ``obgd``, ``sgd`` or ``adam``; see :class:`~rl_jax.agents.streaming.update.TraceStep`.
        optimizer: with ``sgd``: a name, or a transformation of optax.
        overshoot: report the share of updates after which the TD error has the other sign.
        name: what errors call this agent.
    """

    policy: QPolicy
    learning_rate: Any
    kappa: Any
    gamma: Any
    lam: Any
    step_rule: StepRule = struct.field(pytree_node=False)
    optimizer: Optimizer | None = struct.field(pytree_node=False, default=None)
    overshoot: bool = struct.field(pytree_node=False)
    name: str = struct.field(pytree_node=False)

    def bind(self, spec: Spec) -> "StreamQ":
        """Fit the network to the spaces.

        Raises:
            UnsupportedSpace: the action space is not discrete.
            RLJaxError: more than one environment or step, or a network with a memory.
        """
        check_stream(self.name, spec)
        check_numbers(f"{self.name}'s", self, gamma=Share, lam=Share)
        self._step().transformation()  # refuses an optimizer that it cannot take
        policy = self.policy.bind(spec, self.name)
        if policy.recurrent:
            raise RLJaxError(f"{self.name} has no traces through a memory: use a network without one")
        return bind_optimizer(self, "learning_rate").replace(policy=policy)  # type: ignore[attr-defined]

    def _step(self) -> TraceStep:
        return TraceStep(self.learning_rate, self.kappa, self.step_rule, self.optimizer)

    def init(self, key: Key, spec: Spec) -> StreamQState:
        """Fresh parameters and an empty trace."""
        params = self.policy.init(key, spec)
        return StreamQState(params, self._step().init(params), jnp.asarray(self.policy.epsilon_start, jnp.float32))

    def _q(self, params: PyTree, obs: PyTree) -> jax.Array:
        """Values ``[1, A]`` of ``obs`` ``[1, ...]``, forbidden actions' too."""
        _, raw = self.policy.apply(params, (), with_time(obs), jnp.zeros((1, 1), bool), None)
        return self.policy.head.values(raw[0])

    def learn(self, state: StreamQState, sample: Sample, context: Context) -> tuple[StreamQState, Metrics, None]:
        """One update from the step just taken."""
        now, step = one_step(self.name, sample), self._step().at(context)

        def value(params: PyTree) -> tuple[jax.Array, jax.Array]:
            q = self._q(params, now.obs)[0]
            taken = take_along_axis(q[:, None], now.action[0])[0]
            return taken, taken < jnp.max(forbid(q, now.obs))

        def following(params: PyTree) -> jax.Array:
            return jnp.max(forbid(self._q(params, now.next_obs), now.next_obs), axis=-1)

        whole = (value, following, self.gamma, self.lam, self.overshoot)
        params, traced, _, metrics = td_lambda_update(step, state.params, state.traced, now, *whole)
        return StreamQState(params, traced, state.epsilon), metrics | {"explore/epsilon": state.epsilon}, None


def stream_q(
    network: Maker | None = None,
    *,
    optimizer: Optimizer | None = None,
    config: StreamQConfig | None = None,
    **overrides: Any,
) -> StreamQ:
    """Stream Q(lambda) (Elsayed et al. 2024, arXiv 2410.14606): see :class:`StreamQ`.

    Args:
        network: a module, or a function ``(spec, atoms=1)`` to one, instead of the usual one; without memory.
        optimizer: with ``step_rule="sgd"``: a name, or a transformation of optax.
        config: all numbers; default :class:`~rl_jax.agents.configs.StreamQConfig` as it is.
        overrides: its fields that shall be others, such as ``td_lambda=0.9``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(StreamQConfig, config, overrides, optimizer, network=network)
    policy = QPolicy(
        epsilon_start=numbers.epsilon_start,
        epsilon_end=numbers.epsilon_end,
        epsilon_steps=numbers.epsilon_steps,
        network=usual(network, partial(stream_q_network, **numbers.layers())),
    )
    return StreamQ(
        policy=policy,
        learning_rate=numbers.learning_rate,
        kappa=numbers.kappa,
        gamma=numbers.gamma,
        lam=numbers.td_lambda,
        step_rule=numbers.step_rule,
        optimizer=optimizer,
        overshoot=numbers.overshoot,
        name="stream Q",
    )
