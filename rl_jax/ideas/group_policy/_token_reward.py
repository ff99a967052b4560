"""The token reward model of OREAL: which tokens a right or wrong answer is due to, learned from outcomes."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience.advantage.group import check_whole
from rl_jax.experience.bonus.fit import Model
from rl_jax.experience.tape_scores import outcome_loss, tape_of, token_scores
from rl_jax.experience.transform import Transform
from rl_jax.networks.scorer import Scorer, with_backbone
from rl_jax.ops.groups import episode_mean
from rl_jax.spaces import example
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Count, CountOrZero, NotNegative


def token_weights(score: jax.Array, outcome: jax.Array) -> jax.Array:
    """``max(2 sigmoid(w_t) - 1, 0)`` where the answer is right, and ``max(1 - 2 sigmoid(w_t), 0)`` where it is wrong; ``[T, N]``."""
    lean = 2.0 * jax.nn.sigmoid(score) - 1.0
    return jnp.maximum(jnp.where(outcome > 0.5, lean, -lean), 0.0)


def running_mean(score: jax.Array, own: jax.Array) -> jax.Array:
    """The mean of a column's own scores up to each step, ``[T, N]``."""
    return jnp.cumsum(jnp.where(own, score, 0.0), axis=0) / jnp.maximum(jnp.cumsum(own, axis=0), 1)


@struct.dataclass
class TokenReward(Transform):
    """Adds ``score`` and ``importance`` ``[T, N]`` to ``extras``: ``w_t`` of the tape up to and with each token, and the token's
    weight.

    A causal scorer is trained by the cross-entropy of ``sigmoid(mean_t w_t)`` over an answer's tokens against its outcome, on the
    columns that are learned from (``weight`` above zero), in one pass per rollout; a rollout's weights are those before it (Lyu
    et al. 2025, section 3.3). The published code differs from the paper twice: it scores what stands *before* a token, and has
    the mean of the scores so far in place of ``w_t``. Here the paper holds: a step of an answer is one token, and the blame for
    it would go to those after it. ``running`` is the code's mean.

    Attributes:
        scorer: the network that scores, like the policy's (:func:`~rl_jax.networks.scorer.scorer_like`).
        learning_rate: of Adam: four times the policy's in the published runs.
        initial_params: a policy's parameters, whose torso and memory the scorer begins with, as published; ``None``: fresh ones.
        freeze: train steps at first in which the scorer alone learns: 10 of 90 as published.
        running: the mean of the scores so far in place of a token's own.
        minibatches: of the pass over a rollout's columns.
    """

    scorer: Scorer = struct.field(pytree_node=False)
    learning_rate: Any = 1e-3
    initial_params: PyTree = None
    freeze: Any = 0
    running: bool = struct.field(pytree_node=False, default=False)
    minibatches: int = struct.field(pytree_node=False, default=1)

    def init(self, key: Key, spec: Spec) -> Model:
        check_whole(spec, "the token reward model")
        check_numbers("the token reward model's", self, learning_rate=NotNegative, freeze=CountOrZero, minibatches=Count)
        params: PyTree = self.scorer.init(key, example(spec.obs_space, 1, 1), jnp.ones((1, 1), bool))
        return Model.start(params if self.initial_params is None else with_backbone(params, self.initial_params))

    def score(self, params: PyTree, tape: PyTree) -> jax.Array:
        """``w_t`` ``[T, N]`` of a tape ``[T + 1, N, ...]``: of each token that was written after the first."""
        return token_scores(self.scorer, params, tape)

    def update(self, state: Model, rollout: Rollout, context: Context) -> tuple[Model, Rollout, Metrics]:
        own, outcome, weight = rollout.extras["own"], rollout.extras["outcome"], rollout.extras["weight"]
        tape = tape_of(rollout)
        score = self.score(state.params, tape)
        importance = token_weights(running_mean(score, own) if self.running else score, outcome)
        weight = jnp.where(context.update < self.freeze, 0.0, weight)
        learned = jnp.any(rollout.extras["weight"] > 0, axis=0).astype(jnp.float32)
        correct = ((episode_mean(score, own) > 0) == (outcome[0] > 0.5)).astype(jnp.float32)

        def loss(params: PyTree, batch: tuple[PyTree, ...]) -> jax.Array:
            tape, own, outcome, learned = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), batch[:2]) + batch[2:]
            logit = episode_mean(self.score(params, tape), own)
            error = outcome_loss(logit, outcome)
            return jnp.sum(learned * error) / jnp.maximum(jnp.sum(learned), 1.0)

        by_column = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), (tape, own))
        data = (*by_column, outcome[0], learned)
        state, error = state.fit(loss, data, context.key, self.learning_rate, self.minibatches)
        metrics = {
            "scorer/loss": error,
            "scorer/accuracy": jnp.sum(learned * correct) / jnp.maximum(jnp.sum(learned), 1.0),
            "scorer/importance": jnp.sum(weight * importance) / jnp.maximum(jnp.sum(weight), 1.0),
        }
        return state, rollout.with_extras(score=score, importance=importance, weight=weight), metrics
