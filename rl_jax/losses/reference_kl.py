"""The divergence of the policy from a reference, estimated on what was done."""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.types import Context, Metrics, PyTree, Rollout


@struct.dataclass
class ReferenceKL:
    """An estimate of ``KL(pi || pi_ref)`` at each step, in nats, from ``extras["reference_log_prob"]``.

    With ``d = log pi_ref - log pi`` of the action (Schulman 2020, "Approximating KL Divergence"): ``"k1"``: ``-d``; ``"k3"``:
    ``exp(d) - d - 1``, not negative and of less variance; GRPO's (Shao et al. 2024, eq. 4). The gradient of ``k3`` is an unbiased one
    of the *reverse* divergence only on policy, and that of ``k1`` has mean zero: as a penalty ``k1`` belongs into the reward.

    Attributes:
        estimator: as above.
    """

    estimator: Literal["k1", "k3"] = struct.field(pytree_node=False, default="k3")

    def __call__(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        log_prob = context.outputs.policy.log_prob(batch.action)
        known, weight = batch.extras["reference_log_prob"], batch.extras.get("weight")
        if weight is not None:  # bounded where nothing is learned: infinity times 0 is NaN
            known = jnp.where(weight != 0, known, jnp.minimum(known, jax.lax.stop_gradient(log_prob) + 60.0))
        difference = known - log_prob
        kl = -difference if self.estimator == "k1" else jnp.expm1(difference) - difference
        return kl, {"policy/reference_kl": kl}
