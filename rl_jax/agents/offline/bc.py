"""BC: behavioural cloning, supervised learning of recorded actions."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.agents.actor_critic.acting import ClonesActions
from rl_jax.agents.configs.base import numbers_of, usual
from rl_jax.agents.configs.offline import BCConfig
from rl_jax.agents.continuous import single_steps
from rl_jax.agents.optimizers import Optimizer, bind_optimizer, optimizer, step_size
from rl_jax.networks.build import Maker, actor_spec, build_network
from rl_jax.networks.critics import cloned_actor
from rl_jax.ops import apply_updates
from rl_jax.spaces import Box, Discrete, Space, check_supported, example, without_privileged
from rl_jax.types import Context, Key, Metrics, PyTree, Sample, Spec


@struct.dataclass
class CloneState:
    """Parameters and the optimiser's state."""

    params: PyTree
    opt: PyTree


@struct.dataclass(kw_only=True)
class Clone(ClonesActions):
    """Makes the actions of the data likely, in single steps ``[1, B]`` (Pomerleau 1989).

    Attributes:
        learning_rate: a number, an array to sweep, or a schedule of optax, in steps.
        optimizer: a name, or a transformation of optax.
        actor: a module, or a function from :class:`~rl_jax.types.Spec` to one: observations to a distribution.
        squared: in a box, the squared error of the mode instead of the likelihood: its mean over steps and elements.
        space: the action space, set by :meth:`bind`.
        name: what errors call this agent.
    """

    learning_rate: Any
    optimizer: Optimizer = struct.field(pytree_node=False)
    actor: Maker = struct.field(pytree_node=False)
    squared: bool = struct.field(pytree_node=False, default=True)
    space: Space | None = struct.field(pytree_node=False, default=None)
    name: str = struct.field(pytree_node=False, default="BC")

    def bind(self, spec: Spec) -> "Clone":
        """Fit the network to the spaces.

        Raises:
            UnsupportedSpace: the actions are neither choices nor a box.
        """
        check_supported(self.name, spec.action_space, (Discrete, Box))
        agent = bind_optimizer(self, "learning_rate").replace(space=spec.action_space)  # type: ignore[attr-defined]
        return agent.replace(actor=build_network(self.actor, actor_spec(spec)))

    def init(self, key: Key, spec: Spec) -> CloneState:
        params = self.actor.init(key, without_privileged(example(spec.obs_space, 1)))  # type: ignore[union-attr]
        return CloneState(params, optimizer(self.optimizer, pack=params).init(params))

    def actor_params(self, state: CloneState) -> PyTree:
        return state.params

    def value(self, state: CloneState, carry: PyTree, obs: PyTree, first: jax.Array) -> jax.Array:
        """Zeros ``[N]``: cloning knows no values."""
        return jnp.zeros(first.shape, jnp.float32)

    def loss(self, params: PyTree, batch: Any, weights: Any) -> jax.Array:
        """The mean error of the batch ``[B]``."""
        policy = self.policy(params, batch.obs)
        if self.squared and isinstance(self.space, Box):
            error = (policy.mode() - batch.action) ** 2
            return jnp.mean(weights * jnp.mean(error, axis=tuple(range(1, error.ndim))))
        return -jnp.mean(weights * policy.log_prob(batch.action))

    def learn(self, state: CloneState, sample: Sample, context: Context) -> tuple[CloneState, Metrics, None]:
        """One step."""
        batch, weights = single_steps(sample), 1.0 if sample.weights is None else sample.weights
        tx = optimizer(self.optimizer, pack=state.params)
        loss, grads = jax.value_and_grad(self.loss)(state.params, batch, weights)
        updates, opt = tx.update(grads, state.opt, state.params)
        rate = step_size(self.optimizer, self.learning_rate, context)
        return CloneState(apply_updates(state.params, updates, rate), opt), {"loss/clone": loss}, None


def bc(actor: Maker | None = None, *, config: BCConfig | None = None, **overrides: Any) -> Clone:
    """Behavioural cloning (Pomerleau 1989): likelihood of choices, squared error in a box.

    Args:
        actor: a module or a function from :class:`~rl_jax.types.Spec` to one, instead of the usual one.
        config: all numbers; default :class:`~rl_jax.agents.configs.BCConfig` as it is.
        overrides: its fields that shall be others.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(BCConfig, config, overrides, actor=actor)
    return Clone(
        learning_rate=numbers.learning_rate,
        optimizer=numbers.optimizer,
        actor=usual(actor, partial(cloned_actor, **numbers.layers())),
        squared=numbers.squared,
    )
