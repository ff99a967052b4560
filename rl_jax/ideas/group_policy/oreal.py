"""OREAL: cloning of right answers, a milder push against wrong ones, and weights of tokens from outcomes alone.

Lyu et al. 2025, "Exploring the Limit of Outcome Reward for Learning Mathematical Reasoning", arXiv:2502.06781, and its published code
(github.com/InternLM/OREAL; the loss is xtuner's ``train_oreal``).
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.experience.advantage.group import group_advantage
from rl_jax.experience.selection.right_and_wrong import right_and_wrong
from rl_jax.experience.transform import Chain, Transform, chain
from rl_jax.experience.weights import own_weight
from rl_jax.types import Context, Metrics, PyTree, Rollout


@struct.dataclass
class OutcomeReward:
    """``-c A w log pi`` of each step: with the outcome among others, ``A = r - mean of the others``, and the token's weight ``w``.

    On right answers this is cloning, ``c = 1``: cloning one right answer of several leads to the best policy near the reference
    for rewards of 0 and 1, and ``A`` (``1 - p`` with the others' pass rate ``p``) favours hard prompts. On wrong ones it is a
    policy gradient with the reshaped reward ``-p``, ``c = negative``. The published code takes one gradient step per rollout, so
    that the ratio is 1.

    Needs ``extras`` ``advantage`` (``group_advantage(baseline="leave-one-out", scale="none")``), ``outcome``, and ``importance``
    ``[T, N]``, the weights of :class:`~rl_jax.ideas.group_policy._token_reward.TokenReward`, where they are used.

    Attributes:
        negative: ``c`` of wrong answers: 0.5 in the published code; 0: positives only.
        weighted: use the tokens' weights.
    """

    negative: Any = 0.5
    weighted: bool = struct.field(pytree_node=False, default=True)

    def __call__(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        factor = jnp.where(batch.extras["outcome"] > 0.5, 1.0, self.negative)
        if self.weighted:
            factor = factor * batch.extras["importance"]
        return -factor * batch.extras["advantage"] * context.outputs.policy.log_prob(batch.action), {}


def oreal_experience(size: int, *token_weights: Transform, **selection: Any) -> Chain:
    """What OREAL learns from: one right and one wrong answer of each group, with leave-one-out advantages.

    Args:
        size: answers to a prompt.
        token_weights: the model that weighs tokens, if there is one.
        selection: options of :func:`~rl_jax.experience.selection.right_and_wrong.right_and_wrong`.
    """
    return chain(
        group_advantage(size, baseline="leave-one-out", scale="none"),
        own_weight("token"),
        right_and_wrong(size, **selection),
        *token_weights,
    )
