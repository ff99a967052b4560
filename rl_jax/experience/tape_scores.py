"""What a scorer reads and says: tapes of whole rollouts, a number for each token, and its error against outcomes."""

import jax
import jax.numpy as jnp

from rl_jax.experience.bonus.fit import apply
from rl_jax.networks.scorer import Scorer
from rl_jax.types import PyTree, Rollout


def tape_of(rollout: Rollout) -> PyTree:
    """All observations of whole episodes, the last included, ``[T + 1, N, ...]``."""
    return jax.tree.map(lambda obs, after: jnp.concatenate([obs[:1], after]), rollout.obs, rollout.next_obs)


def token_scores(scorer: Scorer, params: PyTree, tape: PyTree) -> jax.Array:
    """``[T, N]``: of each token of a tape ``[T + 1, N, ...]`` after the first, given the tape up to it."""
    number = jax.tree.leaves(tape)[0].shape[:2]
    first = jnp.zeros(number, bool).at[0].set(True)
    return apply(scorer, params, tape, first)[1:, :, 0]


def outcome_loss(score: jax.Array, outcome: jax.Array) -> jax.Array:
    """Cross-entropy of ``sigmoid(score)`` against outcomes 0 or 1, of any shape. No pairs are needed."""
    return jax.nn.softplus(score) - outcome * score
