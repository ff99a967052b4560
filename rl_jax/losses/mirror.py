"""Policy-gradient terms without clipping: the plain one of A2C, and mirror descent's pair."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.losses.terms import old_log_prob, standardized
from rl_jax.types import Context, Metrics, PyTree, Rollout


@struct.dataclass
class LogPolicy:
    """``-mean(log pi(a|s) A)``: Mnih et al. 2016, "Asynchronous Methods for Deep Reinforcement Learning", section 4.

    Attributes:
        standardize: standardise advantages within the minibatch first.
    """

    standardize: bool = struct.field(pytree_node=False, default=False)

    def __call__(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        advantage = standardized(batch.extras["advantage"]) if self.standardize else batch.extras["advantage"]
        return -context.outputs.policy.log_prob(batch.action) * advantage, {}


@struct.dataclass
class RatioPolicy:
    """``-mean(ratio A)``, the linearised return: Tomar et al. 2020, "Mirror Descent Policy Optimization", eq. 9, first term.

    Attributes:
        standardize: standardise advantages within the minibatch first.
    """

    standardize: bool = struct.field(pytree_node=False, default=True)

    def __call__(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        advantage = standardized(batch.extras["advantage"]) if self.standardize else batch.extras["advantage"]
        ratio = jnp.exp(context.outputs.policy.log_prob(batch.action) - old_log_prob(batch))
        return -ratio * advantage, {}


@struct.dataclass
class MirrorDescentKL:
    """``mean(KL(pi || pi_k)) / t_k`` with step size ``t_k``: Tomar et al. 2020, eq. 9, second term.

    ``pi_k``, the policy that collected the rollout, is ``context.target``; the divergence is from new to old, over all actions.

    Attributes:
        step_size: ``t_0``.
        anneal: let ``t_k`` fall linearly to zero over the planned training, as in the paper.
    """

    step_size: Any = 1.0
    anneal: bool = struct.field(pytree_node=False, default=True)

    def __call__(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        kl = context.outputs.policy.kl(jax.lax.stop_gradient(context.target.policy))
        # The last train step's progress is below one, but beyond the plan there is none left.
        left = jnp.maximum(1.0 - context.progress, 1e-3) if self.anneal else 1.0
        return kl / (self.step_size * left), {"policy/kl": kl}
