"""Inverse dynamics: features learned by predicting which action led from one observation to the next."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience.bonus.fit import Embedding, Model, apply, transitions
from rl_jax.networks.torsos import MLP, Dense
from rl_jax.spaces import Box, Discrete, ObsSpace, Space, example
from rl_jax.types import Key, PyTree, Rollout
from rl_jax.values import NotNegative


class _Inverse(nn.Module):
    """``phi`` of both observations, and from them the action's logits (or its numbers)."""

    space: ObsSpace
    action_space: Space
    features: int
    hidden: tuple[int, ...]

    def setup(self) -> None:
        self.phi = Embedding(self.space, self.features, self.hidden)
        outputs = self.action_space.n if isinstance(self.action_space, Discrete) else len(self.action_space.low)  # type: ignore[union-attr]
        self.head = nn.Sequential([MLP(self.hidden, nn.relu), Dense(outputs, 0.01)])

    def __call__(self, obs: PyTree, next_obs: PyTree) -> jax.Array:
        return self.head(jnp.concatenate([self.phi(obs), self.phi(next_obs)], axis=-1))

    def features_of(self, obs: PyTree) -> jax.Array:
        return self.phi(obs)


@struct.dataclass
class InverseDynamics:
    """An encoder ``phi`` trained to tell the action from ``phi(o)`` and ``phi(o')``.

    Pathak et al. 2017, arXiv:1705.05363, eq. 2 and 3. What the agent does not influence leaves no trace in these features. Shared by
    ICM and E3B. Observations are encoded as the chain hands them over: :func:`rl_jax.experience.normalize_obs` before it scales them.

    Attributes:
        space, action_space: of the environment; actions discrete or continuous.
        learning_rate: Adam's.
        features, hidden: outputs of ``phi``, and its hidden layers.
        minibatches: of the pass over each rollout.
    """

    space: ObsSpace = struct.field(pytree_node=False)
    action_space: Discrete | Box = struct.field(pytree_node=False)
    learning_rate: Any = 1e-3
    features: int = struct.field(pytree_node=False, default=32)
    hidden: tuple[int, ...] = struct.field(pytree_node=False, default=(64,))
    minibatches: int = struct.field(pytree_node=False, default=4)

    def _network(self) -> _Inverse:
        return _Inverse(self.space, self.action_space, self.features, self.hidden)

    def init(self, key: Key) -> Model:
        check_numbers("InverseDynamics's", self, learning_rate=NotNegative)
        obs = example(self.space, 1)
        return Model.start(self._network().init(key, obs, obs))

    def phi(self, model: Model, obs: PyTree) -> jax.Array:
        """Features ``[..., features]`` of observations ``[..., space]``."""
        return apply(self._network(), model.params, obs, method="features_of")

    def learn(self, model: Model, rollout: Rollout, key: Key) -> tuple[Model, jax.Array]:
        """A pass over a rollout; the loss is the cross-entropy of the action, or its mean squared error."""

        def loss(params: PyTree, batch: tuple[PyTree, jax.Array, PyTree]) -> jax.Array:
            obs, action, next_obs = batch
            out = apply(self._network(), params, obs, next_obs)
            if isinstance(self.action_space, Discrete):
                return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(out), action[:, None], axis=1))
            return jnp.mean(jnp.square(out - action.reshape(out.shape)))

        return model.fit(loss, transitions(rollout), key, self.learning_rate, self.minibatches)
