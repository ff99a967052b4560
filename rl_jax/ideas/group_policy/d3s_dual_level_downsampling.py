"""D3S: learn from the columns whose advantages differ most, and in them from the tokens that matter most, few at first."""

from typing import Any

import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience.advantage.group import check_whole
from rl_jax.experience.selection.max_variance import MaxVariance
from rl_jax.experience.selection.subsets import keep_steps, number_of, scheduled
from rl_jax.experience.transform import Chain, Transform, present_policy
from rl_jax.ops.arrays.largest import among_largest
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Share


@struct.dataclass
class TopTokens(Transform):
    """Learns from the share of the steps with the largest ``|advantage| * entropy``, of those that are learned from at all.

    Wang et al. 2026, "Learning More with Less: A Dynamic Dual-Level Down-Sampling Framework", arXiv:2509.22115, section 3.2. The
    entropy is that of the policy that collected the rollout. Needs ``extras`` ``advantage`` and ``weight``.

    Attributes:
        first, last: the share at the start and at the end of training, linear in between.
    """

    first: Any = 0.2
    last: Any = 0.2

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_whole(spec, "top_tokens")
        check_numbers("top_tokens'", self, first=Share, last=Share)
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        eligible = rollout.extras["weight"] > 0
        score = jnp.where(eligible, jnp.abs(rollout.extras["advantage"]) * present_policy(rollout, context).entropy(), -1.0)
        number = number_of(scheduled(self.first, self.last, context), jnp.sum(eligible))
        return state, keep_steps(rollout, among_largest(score, number)), {}


def d3s(columns: tuple[Any, Any] = (0.25, 1.0), tokens: tuple[Any, Any] = (0.2, 1.0)) -> Chain:
    """Both levels, for the end of a chain that has advantages within groups and weights.

    Args:
        columns, tokens: the share that is learned from at the start and at the end of training. The paper goes from few to more,
            linearly; with both ends alike it is the variant without a schedule (D2S).
    """
    return Chain((MaxVariance(*columns), TopTokens(*tokens)))
