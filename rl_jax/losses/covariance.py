"""Clips by covariance: the few steps that take most entropy from the policy are left out, or held near the policy that acted.

A policy-gradient step changes the entropy by about ``-eta Cov(log pi, pi A)`` (Cui et al. 2025, "The Entropy Mechanism of Reinforcement
Learning for Reasoning Language Models", arXiv:2505.22617, theorem 1), and a small share of the steps makes up most of that.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.losses.terms import old_log_prob
from rl_jax.ops.arrays.largest import among_largest
from rl_jax.types import Context, Metrics, PyTree, Rollout


def covariance(log_prob: jax.Array, advantage: jax.Array, own: jax.Array) -> jax.Array:
    """``(A - mean A) (log pi - mean log pi)`` of each step ``[T, B]``, with the means over the policy's own steps; elsewhere zero."""
    count = jnp.maximum(jnp.sum(own), 1)

    def centred(x: jax.Array) -> jax.Array:
        return x - jnp.sum(jnp.where(own, x, 0.0)) / count

    return jax.lax.stop_gradient(jnp.where(own, centred(advantage) * centred(log_prob), 0.0))


def largest(score: jax.Array, among: jax.Array, count: jax.Array) -> jax.Array:
    """The ``count`` largest scores of those in ``among``, ``bool`` of their shape: of equal ones the first; all if there are fewer."""
    return among & among_largest(jnp.where(among, score, -jnp.inf), count)


def share_of(own: jax.Array, share: Any) -> jax.Array:
    """How many steps a share of the own ones is: rounded down, at least one."""
    return jnp.maximum(jnp.floor(share * jnp.sum(own) + 1e-4).astype(jnp.int32), 1)


@struct.dataclass
class ClipCov:
    """The clipped surrogate without a random few of the steps of high covariance: their loss is zero (Cui et al. 2025, eq. 10).

    Of the own steps that the ratio's bounds have not clipped, and whose covariance lies between ``above`` and ``below``, a share
    is drawn at random. Needs ``extras`` ``log_prob``, ``advantage`` and ``own``; covariances and the share are of the minibatch.

    Attributes:
        share: of the own steps that are left out, at least one step where any is in the band: 2e-4 in the paper, of some 10^6 tokens.
        above, below: the band.
        low, high: the ratio's bounds, as of :class:`~rl_jax.losses.clipped.ClippedTokens`.
    """

    share: Any = 2e-4
    above: Any = 1.0
    below: Any = 5.0
    low: Any = 0.2
    high: Any = 0.2

    def __call__(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        advantage, own = batch.extras["advantage"], batch.extras["own"]
        log_prob = context.outputs.policy.log_prob(batch.action)
        ratio = jnp.exp(log_prob - old_log_prob(batch))
        plain, clipped = -ratio * advantage, -jnp.clip(ratio, 1.0 - self.low, 1.0 + self.high) * advantage
        scores = covariance(log_prob, advantage, own)
        band = own & (clipped <= plain) & (scores > self.above) & (scores < self.below)
        out = largest(jax.random.uniform(context.key, band.shape), band, share_of(own, self.share))
        metrics = {"policy/covariance": scores, "policy/left_out": out.astype(jnp.float32)}
        return jnp.where(out, 0.0, jnp.maximum(plain, clipped)), metrics


@struct.dataclass
class KLCov:
    """``-ratio * A``, and for the steps of highest covariance ``beta |log pi - log pi_old|`` on top (Cui et al. 2025, eqs. 11 and 12).

    Nothing is clipped. Needs ``extras`` ``log_prob``, ``advantage`` and ``own``; covariances and the share are of the minibatch.

    Attributes:
        share: of the own steps that are held, at least one: 2e-3 in the paper for its smaller model, 2e-4 for the larger.
        beta: weight of the penalty.
    """

    share: Any = 2e-3
    beta: Any = 1.0

    def __call__(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        advantage, own = batch.extras["advantage"], batch.extras["own"]
        log_prob = context.outputs.policy.log_prob(batch.action)
        log_ratio = log_prob - old_log_prob(batch)
        scores = covariance(log_prob, advantage, own)
        held = largest(scores, own, share_of(own, self.share))
        penalty = jnp.where(held, self.beta * jnp.abs(log_ratio), 0.0)
        return penalty - jnp.exp(log_ratio) * advantage, {"policy/covariance": scores, "policy/held": held.astype(jnp.float32)}
