"""The clipped surrogate for steps of earlier policies: clipped around the present policy and not around theirs."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.losses.terms import old_log_prob, surrogate
from rl_jax.types import Context, Metrics, PyTree, Rollout


@struct.dataclass
class ProximalMix:
    """``-min(ratio * A, clip(ratio, centre - epsilon, centre + epsilon) * A)``, ``ratio = pi / mu``, ``centre = pi_k / mu``.

    ``mu`` is the policy that chose the action (``extras["log_prob"]``), ``pi_k`` that at the beginning of this train step
    (``extras["proximal_log_prob"]``). Queeney et al. 2021, "Generalized Proximal Policy Optimization with Sample Reuse"; the mixed
    policy gradient of Liang et al. 2025 (ReMix, arXiv:2507.06892). For steps of ``pi_k`` itself it is the usual clip. Also needs
    ``extras["advantage"]``.

    Attributes:
        epsilon: half-width of the interval.
    """

    epsilon: Any = 0.2

    def __call__(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        advantage, behaviour = batch.extras["advantage"], old_log_prob(batch)
        ratio = jnp.exp(context.outputs.policy.log_prob(batch.action) - behaviour)
        centre = jnp.exp(batch.extras["proximal_log_prob"] - behaviour)
        outside = (jnp.abs(ratio - centre) > self.epsilon).astype(jnp.float32)
        return -surrogate(ratio, advantage, centre - self.epsilon, centre + self.epsilon), {"policy/clip_fraction": outside}
