"""ICM: curiosity as the error of predicting the features of what comes next."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience.bonus.fit import Model, apply, flat
from rl_jax.experience.bonus.inverse_dynamics import InverseDynamics
from rl_jax.networks.torsos import MLP, Dense
from rl_jax.spaces import Discrete
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import NotNegative


class Curiosity(NamedTuple):
    """The encoder, and the forward model on its features."""

    encoder: Model
    forward: Model


class _Forward(nn.Module):
    """``phi(o)`` and an action to ``phi(o')``."""

    features: int
    hidden: tuple[int, ...]

    @nn.compact
    def __call__(self, phi: jax.Array, action: jax.Array) -> jax.Array:
        return Dense(self.features, 1.0)(MLP(self.hidden, nn.relu)(jnp.concatenate([phi, action], axis=-1)))


@struct.dataclass
class ICM:
    """Intrinsic curiosity module (Pathak et al. 2017, arXiv:1705.05363, eq. 6): half of ``|f(phi(o), a) - phi(o')|^2``.

    The encoder learns from the inverse model alone; the paper's joint loss also sends a fifth of the forward model's gradient
    into it, which the features here do not see.

    Attributes:
        encoder: the features.
        learning_rate: of the forward model.
    """

    encoder: InverseDynamics
    learning_rate: Any = 1e-3

    def _forward(self) -> _Forward:
        return _Forward(self.encoder.features, self.encoder.hidden)

    def _encoded_action(self, action: jax.Array) -> jax.Array:
        space = self.encoder.action_space
        return jax.nn.one_hot(action, space.n, dtype=jnp.float32) if isinstance(space, Discrete) else action

    def init(self, key: Key, spec: Spec) -> Curiosity:
        check_numbers("ICM's", self, learning_rate=NotNegative)
        key_encoder, key_forward = jax.random.split(key)
        space = self.encoder.action_space
        action = self._encoded_action(jnp.zeros((1, *space.shape), space.dtype))
        phi = jnp.zeros((1, self.encoder.features), jnp.float32)
        return Curiosity(self.encoder.init(key_encoder), Model.start(self._forward().init(key_forward, phi, action)))

    def bonus(self, state: Curiosity, rollout: Rollout, context: Context) -> tuple[PyTree, jax.Array, Metrics]:
        """The forward model's error ``[T, N]``; then both models learn from the rollout."""
        key_encoder, key_forward = jax.random.split(context.key)
        phi, next_phi = self.encoder.phi(state.encoder, rollout.obs), self.encoder.phi(state.encoder, rollout.next_obs)
        action = self._encoded_action(rollout.action)
        predicted = apply(self._forward(), state.forward.params, phi, action)
        bonus = 0.5 * jnp.sum(jnp.square(predicted - next_phi), axis=-1)

        def loss(params: PyTree, batch: tuple[jax.Array, ...]) -> jax.Array:
            phi, action, target = batch
            return 0.5 * jnp.mean(jnp.sum(jnp.square(apply(self._forward(), params, phi, action) - target), axis=-1))

        data = (flat(phi), flat(action), flat(next_phi))
        forward, error = state.forward.fit(loss, data, key_forward, self.learning_rate, self.encoder.minibatches)
        encoder, inverse = self.encoder.learn(state.encoder, rollout, key_encoder)
        return Curiosity(encoder, forward), bonus, {"bonus/forward_loss": error, "bonus/inverse_loss": inverse}
