"""Small models that bonuses train: an embedding of observations, and a pass of Adam over a rollout."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import optax
from flax import struct

from rl_jax.networks.torsos import MLP, Dense, torso
from rl_jax.ops import apply_updates, permutation
from rl_jax.spaces import ObsSpace, seen_by_actor
from rl_jax.types import Key, PyTree, Rollout


class Embedding(nn.Module):
    """Observations ``[..., space]`` to features ``[..., features]``: a CNN for images, hidden layers, a linear layer.

    Of a dictionary it reads what actors read.

    Attributes:
        space: of the observations.
        features: outputs.
        hidden: widths of the hidden ReLU layers.
    """

    space: ObsSpace
    features: int = 64
    hidden: tuple[int, ...] = (64,)

    @nn.compact
    def __call__(self, obs: PyTree) -> jax.Array:
        x = torso(seen_by_actor(self.space), width=None)(obs)
        return Dense(self.features, 1.0)(MLP(self.hidden, nn.relu)(x))


def apply(network: nn.Module, params: PyTree, *inputs: PyTree, method: str = "__call__") -> jax.Array:
    """The output of a network that has one output."""
    return network.apply(params, *inputs, method=method)  # type: ignore[return-value]


@struct.dataclass
class Model:
    """Parameters and Adam's state."""

    params: PyTree
    opt_state: PyTree

    @classmethod
    def start(cls, params: PyTree) -> "Model":
        """The model before its first update, with a fresh optimiser state."""
        return cls(params, optax.scale_by_adam().init(params))

    def fit(
        self, loss: Callable[[PyTree, Any], jax.Array], data: PyTree, key: Key, learning_rate: Any, minibatches: int
    ) -> tuple["Model", jax.Array]:
        """One pass of Adam over ``data``, leaves ``[items, ...]``, in shuffled minibatches; the mean loss too.

        ``minibatches`` must divide the items.
        """
        items = jax.tree.leaves(data)[0].shape[0]
        order = permutation(key, items).reshape(minibatches, -1)

        def step(model: "Model", rows: jax.Array) -> tuple["Model", jax.Array]:
            batch = jax.tree.map(lambda x: x[rows], data)
            value, grads = jax.value_and_grad(loss)(model.params, batch)
            updates, opt_state = optax.scale_by_adam().update(grads, model.opt_state)
            return Model(apply_updates(model.params, updates, learning_rate), opt_state), value

        model, losses = jax.lax.scan(step, self, order)
        return model, losses.mean()


def flat(tree: PyTree) -> PyTree:
    """``[T, N, ...]`` as ``[T * N, ...]``."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), tree)


def transitions(rollout: Rollout) -> tuple[PyTree, jax.Array, PyTree]:
    """Observation, action and next observation of every step, ``[T * N, ...]``."""
    return flat(rollout.obs), flat(rollout.action), flat(rollout.next_obs)
