"""Trust-GRPO: a judge's score of the reasoning is paid as far as it ranks right answers above wrong ones, and less and less.

Fan et al. 2025, "SophiaVL-R1: Reinforcing MLLMs Reasoning with Thinking Reward", arXiv:2505.17018, section 3.3; checked with
https://github.com/kxfan2002/SophiaVL-R1, ``verl/workers/reward/custom.py``.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import Bound, check_numbers
from rl_jax.experience.advantage.group import check_groups
from rl_jax.experience.transform import Transform
from rl_jax.ops.groups import group_alike, grouped, ungrouped
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import NotNegative


def trust(score: jax.Array, right: jax.Array, size: int) -> jax.Array:
    """``gamma`` of each column's group, ``[N]``: 1 if right answers have the higher mean score, otherwise ``exp`` of the difference.

    Where all answers are right or all wrong nothing can be compared, and ``gamma`` is 1.

    Args:
        score: of the reasoning, in [0, 1], ``[N]``.
        right: ``bool [N]``.
        size: columns of a group.
    """
    scores, marks = grouped(score, size), grouped(right, size)

    def mean(marks: jax.Array) -> jax.Array:
        return jnp.sum(scores * marks, axis=-1, keepdims=True) / jnp.maximum(jnp.sum(marks, axis=-1, keepdims=True), 1)

    above = jnp.where(jnp.any(marks, -1, keepdims=True) & jnp.any(~marks, -1, keepdims=True), mean(marks) - mean(~marks), 0.0)
    return ungrouped(jnp.broadcast_to(jnp.exp(jnp.minimum(above, 0.0)), scores.shape))


@struct.dataclass
class TrustedScore(Transform):
    """Adds ``alpha gamma exp(-n / T) s`` to the reward at each episode's last step; ``n`` counts train steps.

    ``s`` is ``extras["score"]`` ``[T, N]``, the judge's score of the whole reasoning, in [0, 1], the same in all rows. ``gamma`` is
    :func:`trust`. In groups whose answers are all right or all wrong nothing is added, as released: the score would be their only
    signal.

    The released code scores answers with an outcome below 0.2 as 0 without asking the judge. With outcomes 0 and 1 wrong answers
    then never have the higher mean, and ``gamma`` is always 1; so does ``wrong=0`` here. The paper's equations score all answers.

    Attributes:
        size: columns of a group.
        alpha: 0.3 as published.
        trusts: 1; with 0 ``gamma`` is 1 everywhere.
        time: ``T``, in train steps; 500 of 1500 as published; infinite: no annealing.
        wrong: 1; with 0 wrong answers are scored 0.
    """

    size: int = struct.field(pytree_node=False)
    alpha: Any = 0.3
    trusts: Any = 1.0
    time: Any = 500.0
    wrong: Any = 1.0

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_groups(spec, "trusted_score", self.size)
        check_numbers("trusted_score's", self, alpha=NotNegative, trusts=NotNegative, time=Bound, wrong=NotNegative)
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        outcome = jnp.sum(rollout.reward, axis=0)
        right = outcome >= 0.5
        score = jnp.where(right | (self.wrong > 0), rollout.extras["score"][0], 0.0)
        gamma = jnp.where(self.trusts > 0, trust(score, right, self.size), 1.0)
        fades = jnp.exp(-context.update.astype(jnp.float32) / self.time)
        paid = jnp.where(group_alike(right.astype(jnp.float32), self.size), 0.0, self.alpha * gamma * fades * score)
        reward = rollout.reward + paid * rollout.done
        metrics = {"trust/gamma": jnp.mean(gamma), "trust/score": jnp.mean(rollout.extras["score"])}
        return state, rollout.replace(reward=reward), metrics  # type: ignore[attr-defined]
