"""SPA: the outcome of an episode is divided among its steps by a model whose sum over the episode is fitted to it.

Wang et al. 2025, "SPA-RL: Reinforcing LLM Agents via Stepwise Progress Attribution", arXiv:2505.20732; checked with
https://github.com/WangHanLinHenry/SPA-RL-Agent, ``prm/train_our_progress_model.py``.

The released script that prepares the data for PPO (``prm/rl_data_org.py``) overwrites the model's values by the episode's outcome
minus the mean of the task's other episodes. What is here is what the paper says.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience.advantage.group import check_whole
from rl_jax.experience.bonus.fit import Embedding, Model, apply
from rl_jax.experience.transform import Transform
from rl_jax.ops import apply_updates
from rl_jax.spaces import Box
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Count, NotNegative, Share


@struct.dataclass
class StepwiseProgress(Transform):
    """Replaces the reward of every own step by ``alpha c_t + beta g_t``; ``extras["progress"]`` is ``c_t`` ``[T, N]``.

    ``c`` is a network on observation, action and next observation; it minimises ``(sum_t c_t - R)^2``, the sum over an episode's
    own steps, ``R`` its reward. ``g_t`` is 1 for a *grounded* step, one that did anything: ``info["valid"]``. The model learns
    from a rollout before it labels it, as in the paper, where both are done on the same episodes. PPO with a discount of 1
    follows.

    With ``share`` below 1 it is a randomised return decomposition (Ren et al. 2022, arXiv:2111.13485, eq. 7): the sum is that of
    a random share of the steps, divided by the share.

    Attributes:
        actions: how many there are.
        alpha, beta: weights; 1 and 0.5 in the paper.
        learning_rate: of Adam.
        passes: steps of Adam on each rollout.
        hidden: layers of the model.
        share: of the steps in each sum.
    """

    actions: int = struct.field(pytree_node=False)
    alpha: Any = 1.0
    beta: Any = 0.5
    learning_rate: Any = 1e-3
    passes: int = struct.field(pytree_node=False, default=4)
    hidden: tuple[int, ...] = struct.field(pytree_node=False, default=(64, 64))
    share: Any = 1.0

    def _network(self, features: int) -> Embedding:
        return Embedding(Box.of(-1, 1, (features,)), 1, self.hidden)

    def _features(self, rollout: Rollout) -> jax.Array:
        """Observation, action (one-hot) and next observation of every step, ``float32[T, N, F]``."""
        action = jax.nn.one_hot(rollout.action, self.actions, dtype=jnp.float32)
        return jnp.concatenate([rollout.obs, action, rollout.next_obs], -1)

    def init(self, key: Key, spec: Spec) -> Model:
        check_whole(spec, "stepwise_progress")
        check_numbers("stepwise_progress's", self, alpha=NotNegative, beta=NotNegative, learning_rate=NotNegative)
        check_numbers("stepwise_progress's", self, actions=Count, passes=Count, share=Share)
        features = jax.eval_shape(self._features, spec.rollout)
        return Model.start(self._network(features.shape[-1]).init(key, jnp.zeros(features.shape[-1:], features.dtype)))

    def update(self, state: Model, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        own = rollout.extras["own"].astype(jnp.float32)
        outcome, features = jnp.sum(rollout.reward, 0), self._features(rollout)

        def contributions(params: PyTree) -> jax.Array:
            return apply(self._network(features.shape[-1]), params, features)[..., 0] * own

        def loss(params: PyTree, key: Key) -> jax.Array:
            chosen = jax.random.uniform(key, own.shape, jnp.float32) < self.share
            total = jnp.sum(contributions(params) * chosen, 0) / jnp.maximum(self.share, 1e-6)
            return jnp.mean(jnp.square(total - outcome))

        def learn(model: Model, key: Key) -> tuple[Model, jax.Array]:
            value, grads = jax.value_and_grad(loss)(model.params, key)
            updates, opt_state = optax.scale_by_adam().update(grads, model.opt_state)
            return Model(apply_updates(model.params, updates, self.learning_rate), opt_state), value

        state, error = jax.lax.scan(learn, state, jax.random.split(context.key, self.passes))
        progress = contributions(state.params)
        reward = (self.alpha * progress + self.beta * rollout.info["valid"]) * own
        rollout = rollout.with_extras(progress=progress)
        return state, rollout.replace(reward=reward), {"spa/error": error[-1]}  # type: ignore[attr-defined]


@struct.dataclass
class UniformProgress(Transform):
    """The control without a model: each own step gets an equal part of the episode's reward."""

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_whole(spec, "uniform_progress")
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        own = rollout.extras["own"].astype(jnp.float32)
        each = jnp.sum(rollout.reward, 0) / jnp.maximum(jnp.sum(own, 0), 1.0)
        return state, rollout.replace(reward=own * each), {}  # type: ignore[attr-defined]


def stepwise_progress(actions: int, **options: Any) -> StepwiseProgress:
    """Rewards for steps by a model of their contributions; see :class:`StepwiseProgress`."""
    return StepwiseProgress(actions, **options)


def uniform_progress() -> UniformProgress:
    """The reward in equal parts; see :class:`UniformProgress`."""
    return UniformProgress()
