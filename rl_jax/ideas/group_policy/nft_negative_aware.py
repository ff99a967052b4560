"""NFT: learning from wrong answers by likelihood.

Chen et al. 2025, "Bridging Supervised Learning and Reinforcement Learning in Math Reasoning", arXiv:2505.18116. Answers of the
old policy are a mixture of right and wrong ones, ``pi_old = r pi_right + (1 - r) pi_wrong`` with ``r`` the prompt's pass rate, so
a model of the right ones implies one of the wrong ones, and both are fitted by likelihood with one network.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.types import Context, Metrics, PyTree, Rollout

#: Pass rates are held away from 0 and 1 by this (the published code).
EDGE = 0.02


def clipped_below(x: jax.Array, bound: Any) -> jax.Array:
    """``max(x, bound)`` with the gradient of ``x`` everywhere (algorithm 1, line 3: ``max_v``)."""
    return x + jax.lax.stop_gradient(jnp.maximum(x, bound) - x)


@struct.dataclass
class NegativeAware:
    """``-w [r log R + (1 - r) log max_v((1 - r_q R) / (1 - r_q), bound)]`` of each step: eq. 10, ``R`` the ratio to the policy
    that acted.

    ``r`` is the answer's outcome and ``r_q`` its group's pass rate: ``extras`` ``outcome`` (0 to 1) and ``pass_rate``, with
    ``log_prob``, as :class:`~rl_jax.experience.advantage.group.GroupAdvantage` leaves them. Prompts that all or no answers solve
    have no loss.

    The weight of a prompt is ``w = (1 - r_q)^hard r_q^-rare``. With ``R = 1`` and ``bound <= 1`` the gradient is exactly Dr. GRPO's for
    ``(1, 0)``, as in the published runs, and GRPO's, which divides by the standard deviation, for ``(1/2, 1/2)`` (proposition 4.2).

    Attributes:
        bound: where the wrong answers' likelihood ratio is clipped, so that its slope is at most ``1 / bound``: 1 in the paper.
        negative: weight of wrong answers; 0: rejection fine-tuning (RFT), which in the paper has ``hard=0``.
        hard, rare: as above.
    """

    bound: Any = 1.0
    negative: Any = 1.0
    hard: Any = 1.0
    rare: Any = 0.0

    def __call__(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        outcome, pass_rate = batch.extras["outcome"], batch.extras["pass_rate"]
        log_ratio = context.outputs.policy.log_prob(batch.action) - batch.extras["log_prob"]
        rate = jnp.clip(pass_rate, EDGE, 1.0 - EDGE)
        rest = (1.0 - rate * jnp.exp(jnp.minimum(log_ratio, 10.0))) / (1.0 - rate)
        likelihood = outcome * log_ratio + self.negative * (1.0 - outcome) * jnp.log(clipped_below(rest, self.bound))
        weight = (1.0 - rate) ** self.hard / rate**self.rare
        weight = jnp.where((pass_rate > 0.0) & (pass_rate < 1.0), weight, 0.0)
        return -weight * likelihood, {"policy/bounded": ((rest < self.bound) & (outcome < 1.0)).astype(jnp.float32)}
