"""Stream TD(lambda): the value of a fixed policy, predicted from one stream of experience."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.agents.base import AgentBase
from rl_jax.agents.continuous import check_bounded
from rl_jax.agents.optimizers import Optimizer, bind_optimizer
from rl_jax.agents.streaming.update import StepRule, Traced, TraceStep, check_stream, one_step, td_lambda_update
from rl_jax.argument_checks import check_numbers
from rl_jax.masks import mask_of
from rl_jax.networks.build import Maker, build_network
from rl_jax.networks.streaming import stream_value
from rl_jax.spaces import Space, example, random_action
from rl_jax.types import Context, Key, Metrics, PyTree, Sample, Spec
from rl_jax.values import Share

Policy = Callable[[Key, PyTree], jax.Array]


def uniform(space: Space, key: Key, obs: PyTree) -> jax.Array:
    """Any action that is allowed, with equal probability: ``obs`` ``[N, ...]`` to actions ``[N, ...]`` in unit coordinates."""
    return random_action(space, key, jax.tree.leaves(obs)[0].shape[0], mask=mask_of(obs))


@struct.dataclass
class StreamTDState:
    """Parameters of the value, and their trace."""

    params: PyTree
    traced: Traced


@struct.dataclass
class StreamTD(AgentBase):
    """Predicts ``V(s)`` of a policy that does not learn: ``Trainer.create(num_envs=1, rollout_length=1)``.

    Elsayed et al. 2024, "Streaming Deep Reinforcement Learning Finally Works" (arXiv 2410.14606), stream TD(lambda). With the
    normalisation of rewards, values are those of the scaled ones (divide by the metric ``reward/scale``).

    Attributes:
        policy: ``(key, obs [N, ...]) -> action [N, ...]``, given what the experience chain shows; ``None``: uniformly random.
        learning_rate, kappa: of :func:`rl_jax.ops.obgd`; the first may be a schedule of optax, in environment steps.
        gamma, lam: discount, and decay of the trace besides it.
        step_rule: ``obgd``, ``sgd`` or ``adam``; see :class:`~rl_jax.agents.streaming.update.TraceStep`.
        optimizer: with ``sgd``: a name, or a transformation of optax.
        overshoot: report the share of updates after which the TD error has the other sign.
        network: a module from observations ``[B, ...]`` to values ``[B]``, or a function from :class:`~rl_jax.types.Spec` to one.
        name: what errors call this agent.
    """

    learning_rate: Any = 1.0
    kappa: Any = 2.0
    gamma: Any = 0.99
    lam: Any = 0.8
    policy: Policy | None = struct.field(pytree_node=False, default=None)
    step_rule: StepRule = struct.field(pytree_node=False, default="obgd")
    optimizer: Optimizer | None = struct.field(pytree_node=False, default=None)
    overshoot: bool = struct.field(pytree_node=False, default=False)
    network: Maker = struct.field(pytree_node=False, default=stream_value)
    name: str = struct.field(pytree_node=False, default="stream TD")

    def bind(self, spec: Spec) -> "StreamTD":
        """Fit the network to the observations.

        Raises:
            RLJaxError: more than one environment or step, or no policy for actions without bounds.
        """
        check_stream(self.name, spec)
        check_numbers(f"{self.name}'s", self, gamma=Share, lam=Share)
        self._step().transformation()  # refuses an optimizer that it cannot take
        if self.policy is None:
            check_bounded(f"{self.name} without a policy", spec.action_space)
        network = build_network(self.network, spec)
        policy = self.policy or partial(uniform, spec.action_space)
        return bind_optimizer(self, "learning_rate").replace(network=network, policy=policy)  # type: ignore[attr-defined]

    def _step(self) -> TraceStep:
        return TraceStep(self.learning_rate, self.kappa, self.step_rule, self.optimizer)

    def init(self, key: Key, spec: Spec) -> StreamTDState:
        """Fresh parameters and an empty trace."""
        params = self.network.init(key, example(spec.obs_space, 1))  # type: ignore[union-attr]
        return StreamTDState(params, self._step().init(params))

    def act(
        self, state: StreamTDState, carry: PyTree, obs: PyTree, first: jax.Array, key: Key, greedy: bool = False
    ) -> tuple[PyTree, jax.Array, dict[str, jax.Array]]:
        """Actions ``[N, ...]`` of the fixed policy, ``greedy`` or not."""
        assert self.policy is not None, "bind first"
        return carry, self.policy(key, obs), {}

    def _value(self, params: PyTree, obs: PyTree) -> jax.Array:
        return self.network.apply(params, obs)  # type: ignore[union-attr, return-value]

    def value(self, state: StreamTDState, carry: PyTree, obs: PyTree, first: jax.Array) -> jax.Array:
        """State values ``[N]`` of ``obs`` ``[N, ...]``."""
        return self._value(state.params, obs)

    def learn(self, state: StreamTDState, sample: Sample, context: Context) -> tuple[StreamTDState, Metrics, None]:
        """One update from the step just taken."""
        now, step = one_step(self.name, sample), self._step().at(context)

        def value(params: PyTree) -> tuple[jax.Array, jax.Array]:
            return self._value(params, now.obs)[0], jnp.zeros((), bool)

        def following(params: PyTree) -> jax.Array:
            return self._value(params, now.next_obs)

        whole = (value, following, self.gamma, self.lam, self.overshoot)
        params, traced, _, metrics = td_lambda_update(step, state.params, state.traced, now, *whole)
        return StreamTDState(params, traced), metrics, None
