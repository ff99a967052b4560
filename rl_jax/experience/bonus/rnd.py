"""RND and NovelD: novelty as the error of predicting a fixed random network."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience.bonus.fit import Embedding, Model, apply, flat
from rl_jax.experience.scaling.normalize import RunningMoments
from rl_jax.networks.torsos import to_vector
from rl_jax.spaces import Box, Dict, Discrete, MultiDiscrete, ObsSpace, Space, example, seen_by_actor
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Count, NotNegative


class Distillation(NamedTuple):
    """The fixed network, its predictor, and statistics of what was observed (none of discrete observations)."""

    target: PyTree
    predictor: Model
    moments: RunningMoments | tuple[()]


@struct.dataclass
class RND:
    """Random network distillation (Burda et al. 2019, arXiv:1810.12894, section 2.2): the mean of ``(f(o') - g(o'))^2``.

    ``g`` is fixed and random; ``f`` learns to predict it on visited observations, so the error is large where few were. Both see
    observations brought to mean 0 and variance 1 by running statistics and clipped to five, as the paper has it; discrete
    observations as they are; of a dictionary what actors read, as one vector. A rollout's bonus is that of the predictor before it
    learns from this rollout.

    Attributes:
        space: of the observations.
        learning_rate: of the predictor.
        features: outputs of both networks.
        hidden: hidden layers of the target; the predictor has one more.
        minibatches: of the pass over each rollout, whose size they must divide.
        share: probability with which a step counts in the predictor's loss; ``None``: all do. With more than 32 environments ``N`` the
            paper takes ``32 / N``, so that the predictor learns no faster for there being more of them.
        statistics: of observations to begin with, such as those of a random policy (the paper's code: 6400 steps of each
            environment): what ``RunningMoments.zero(space.shape).merge(obs)`` makes of ``obs`` ``[B, space]``. ``None``: none.
    """

    space: ObsSpace = struct.field(pytree_node=False)
    learning_rate: Any = 1e-4
    features: int = struct.field(pytree_node=False, default=64)
    hidden: tuple[int, ...] = struct.field(pytree_node=False, default=(64,))
    minibatches: int = struct.field(pytree_node=False, default=4)
    share: Any = None
    statistics: RunningMoments | None = None

    def _target(self) -> Embedding:
        return Embedding(self._input_space(), self.features, self.hidden)

    def _predictor(self) -> Embedding:
        return Embedding(self._input_space(), self.features, (*self.hidden, self.hidden[-1]))

    def _input_space(self) -> Space:
        shape = jax.eval_shape(lambda: self._seen(example(self.space))).shape
        return self.space if isinstance(self.space, Discrete | MultiDiscrete) else Box.of(-5.0, 5.0, shape)

    def _seen(self, obs: PyTree) -> jax.Array:
        return to_vector(obs, seen_by_actor(self.space)) if isinstance(self.space, Dict) else obs

    def init(self, key: Key, spec: Spec) -> Distillation:
        check_numbers("RND's", self, learning_rate=NotNegative, minibatches=Count)
        key_target, key_predictor = jax.random.split(key)
        space = self._input_space()
        known = RunningMoments.zero(space.shape) if self.statistics is None else jax.tree.map(jnp.asarray, self.statistics)
        moments = known if isinstance(space, Box) else ()
        obs = self._scaled(moments, self._seen(example(self.space, 1)))
        predictor = Model.start(self._predictor().init(key_predictor, obs))
        return Distillation(self._target().init(key_target, obs), predictor, moments)

    def _scaled(self, moments: RunningMoments | tuple[()], obs: jax.Array) -> jax.Array:
        if isinstance(moments, tuple):
            return obs
        return moments.standardize(obs, 5.0, 1e-8)

    def error(self, state: Distillation, obs: PyTree) -> jax.Array:
        """The mean squared error of each observation ``[..., space]``."""
        obs = self._scaled(state.moments, self._seen(obs))
        error = apply(self._predictor(), state.predictor.params, obs) - apply(self._target(), state.target, obs)
        return jnp.mean(jnp.square(error), axis=-1)

    def learn(self, state: Distillation, rollout: Rollout, context: Context) -> tuple[Distillation, jax.Array]:
        """Statistics and predictor after a rollout, and the predictor's loss."""
        visited = self._seen(flat(rollout.next_obs))
        moments = state.moments if isinstance(state.moments, tuple) else state.moments.merge(visited)
        obs = self._scaled(moments, visited)
        target = apply(self._target(), state.target, obs)

        data: tuple[jax.Array, ...] = (obs, target)
        key = context.key
        if self.share is not None:
            key, key_share = jax.random.split(key)
            data = (*data, jax.random.uniform(key_share, obs.shape[:1], jnp.float32) < self.share)

        def loss(params: PyTree, batch: tuple[jax.Array, ...]) -> jax.Array:
            error = jnp.square(apply(self._predictor(), params, batch[0]) - batch[1])
            if self.share is None:
                return jnp.mean(error)
            counts = batch[2].astype(jnp.float32)
            return jnp.sum(jnp.mean(error, axis=-1) * counts) / jnp.maximum(jnp.sum(counts), 1.0)

        predictor, error = state.predictor.fit(loss, data, key, self.learning_rate, self.minibatches)
        return Distillation(state.target, predictor, moments), error

    def bonus(self, state: Distillation, rollout: Rollout, context: Context) -> tuple[PyTree, jax.Array, Metrics]:
        """The predictor's error ``[T, N]``; then it learns from the rollout."""
        bonus = self.error(state, rollout.next_obs)
        state, error = self.learn(state, rollout, context)
        return state, bonus, {"bonus/rnd_loss": error}


@struct.dataclass
class NovelD:
    """``max(e(o') - scale * e(o), 0)``, with ``e`` RND's error as a norm: paid at the border of what is known.

    Zhang et al. 2021, NovelD, eq. 1 (NeurIPS; as BeBold arXiv:2012.08621, eq. 2). There it is multiplied by an episodic first visit:
    ``Product((NovelD(...), EpisodicCount()))``. ``scale = 0`` is RND with the norm in place of the mean square.

    Attributes:
        novelty: the error's networks.
        scale: 0.5 in the paper, 0.1 in the code of Henaff, Jiang & Raileanu 2023.
    """

    novelty: RND
    scale: Any = 0.5

    def init(self, key: Key, spec: Spec) -> Distillation:
        return self.novelty.init(key, spec)

    def bonus(self, state: Distillation, rollout: Rollout, context: Context) -> tuple[PyTree, jax.Array, Metrics]:
        """The gain in novelty ``[T, N]``; then the predictor learns from the rollout."""

        def norm(obs: PyTree) -> jax.Array:
            return jnp.sqrt(self.novelty.error(state, obs) * self.novelty.features)

        bonus = jnp.maximum(norm(rollout.next_obs) - self.scale * norm(rollout.obs), 0.0)
        next_state, error = self.novelty.learn(state, rollout, context)
        return next_state, bonus, {"bonus/noveld_loss": error}
