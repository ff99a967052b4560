"""Loss terms of policy-gradient agents. Each is a loss of every item of a batch, from the network's outputs on it.

All read a time-major :class:`~rl_jax.types.Rollout` of a minibatch, ``[T, B]``, and ``context.outputs``, the network's
:class:`~rl_jax.networks.Outputs` on it under the parameters being differentiated. They return arrays ``[T, B]`` whose means are
meant: :func:`~rl_jax.losses.weighted_sum` takes all of them at once.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.networks.distributions import Categorical
from rl_jax.types import Context, Metrics, PyTree, Rollout


def standardized(advantage: jax.Array) -> jax.Array:
    """Mean 0 and standard deviation 1 over all items."""
    centred = advantage - jnp.mean(advantage)
    return centred / (jnp.sqrt(jnp.mean(centred**2)) + 1e-8)


def old_log_prob(batch: Rollout) -> jax.Array:
    """``extras["log_prob"]`` ``[T, B]`` of acting, at least -60 where an item has no weight.

    Nothing is learned there, and a ratio that overflows is infinite: 0 times that is NaN, in the loss and in its gradient. What is
    derived is left as it is, so that the gradients of all other items are the same bit for bit.
    """
    old, weight = batch.extras["log_prob"], batch.extras.get("weight")
    return old if weight is None else jnp.where(weight != 0, old, jnp.maximum(old, -60.0))


def surrogate(ratio: jax.Array, advantage: jax.Array, low: Any, high: Any) -> jax.Array:
    """``min(ratio * A, clip(ratio, low, high) * A)``: what moves the ratio beyond its bounds is worth nothing."""
    clipped = jnp.clip(ratio, low, high)
    return jnp.minimum(ratio * advantage, clipped * advantage)


@struct.dataclass
class ClippedPolicy:
    """``-mean(min(ratio * A, clip(ratio, 1 - epsilon, 1 + epsilon) * A))``.

    Schulman et al. 2017, "Proximal Policy Optimization Algorithms", eq. 7. Needs ``extras`` ``log_prob`` and ``advantage``.

    Attributes:
        epsilon: half-width of the ratio's interval.
        standardize: standardise advantages within the minibatch first (mean 0, standard deviation 1).
    """

    epsilon: Any = 0.2
    standardize: bool = struct.field(pytree_node=False, default=True)

    def __call__(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        advantage = batch.extras["advantage"]
        if self.standardize:
            advantage = standardized(advantage)
        ratio = jnp.exp(context.outputs.policy.log_prob(batch.action) - old_log_prob(batch))
        loss = -surrogate(ratio, advantage, 1.0 - self.epsilon, 1.0 + self.epsilon)
        outside = (jnp.abs(ratio - 1.0) > self.epsilon).astype(jnp.float32)
        return loss, {"policy/clip_fraction": outside}


@struct.dataclass
class SquaredValue:
    """``mean((V - target)^2) / 2``, the target being ``extras["value_target"]``."""

    def __call__(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        return 0.5 * (context.outputs.value - batch.extras["value_target"]) ** 2, {}


@struct.dataclass
class ClippedValue:
    """The squared value error, or that of the value clipped to its old estimate +- ``epsilon``, whichever is larger.

    From the code of Schulman et al. 2017. ``epsilon`` is in units of (scaled) return, so it means something only when rewards
    are normalised; Engstrom et al. 2020 and Andrychowicz et al. 2021 find no gain from it.
    """

    epsilon: Any = 0.2

    def __call__(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        value, target, old = context.outputs.value, batch.extras["value_target"], batch.extras["value"]
        near = old + jnp.clip(value - old, -self.epsilon, self.epsilon)
        return 0.5 * jnp.maximum((value - target) ** 2, (near - target) ** 2), {}


@struct.dataclass
class NegativeEntropy:
    """Minus the policy's entropy, in nats: a positive weight rewards randomness.

    The sum hides that one part of an action has no randomness left while another's grows: of several parts the least and the
    largest entropy are reported too.
    """

    def __call__(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        policy = context.outputs.policy
        entropy = policy.entropy()
        metrics = {"policy/entropy": entropy}
        if not isinstance(policy, Categorical):
            each = policy.entropies()
            each = each.reshape(*entropy.shape, -1)
            if each.shape[-1] > 1:
                metrics |= {"policy/entropy_least": jnp.min(each, -1), "policy/entropy_largest": jnp.max(each, -1)}
        return -entropy, metrics


@struct.dataclass
class KLDiagnostic:
    """How far the policy has moved from the one that acted, in nats; use it with weight 0.

    The low-variance estimator ``mean((ratio - 1) - log(ratio))`` of ``KL(old || new)`` (Schulman 2020, "Approximating KL
    Divergence").
    """

    def __call__(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        log_ratio = context.outputs.policy.log_prob(batch.action) - old_log_prob(batch)
        kl = jnp.expm1(log_ratio) - log_ratio
        return kl, {"policy/kl": kl}
