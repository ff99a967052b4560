"""SCoRe: a second answer better than the first. It is trained first with the first held in place, then both with a bonus for progress.

Kumar et al. 2024, "Training Language Models to Self-Correct via Reinforcement Learning", arXiv:2409.12917. Its authors published no
code; where the paper does not say how an equation becomes a gradient, this follows github.com/BY571/SCoRe at 3e0d90e, ``train.py``.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.envs.tokens.attempts import right_attempts
from rl_jax.experience.advantage.group import check_groups
from rl_jax.experience.transform import Transform
from rl_jax.losses.reference_kl import ReferenceKL
from rl_jax.ops.groups import group_mean
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import NotNegative, Share


@struct.dataclass
class SelfCorrection(Transform):
    """Adds ``advantage`` and ``kl_weight`` ``[T, N]`` to ``extras``, of episodes of two attempts, right or wrong: ``r1``, ``r2``.

    In stage I (eq. 3) the second attempt is paid ``r2``, the first nothing, and its divergence from the reference weighs ``strong``. In
    stage II (eq. 4) the first is paid ``r1``, the second ``r2 + alpha (r2 - r1)``, and both divergences weigh ``weak``, as that of the
    second does throughout. From each the mean of its group is subtracted. ``alpha=0`` and ``stage=0`` is the naive form.

    The paper maximises the sum of all rewards and adds the bonus to that of the second attempt. Does the first answer for it? Then a
    first attempt that fails on purpose pays ``11`` with ``alpha=10``, two right ones ``2``. Here as in the code named above it does
    not (``shared=0``). For the second attempt ``r1`` is then a constant: in expectation the bonus makes its reward ``1 + alpha``
    times as large beside that of the first and beside the divergence, no more.

    Attributes:
        size: columns of a group.
        stage: share of the training that is stage I.
        alpha: of the bonus; 10 in the paper.
        strong, weak: 0.1 (on MATH; 0.25 on code) and 0.01 in the paper.
        shared: share of the second attempt's reward that the first gets in stage II.
    """

    size: int = struct.field(pytree_node=False, default=8)
    stage: Any = 0.5
    alpha: Any = 10.0
    strong: Any = 0.1
    weak: Any = 0.01
    shared: Any = 0.0

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_groups(spec, "self_correction", self.size)
        check_numbers(
            "self_correction's", self, stage=Share, alpha=NotNegative, strong=NotNegative, weak=NotNegative, shared=Share
        )
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        r1, r2 = right_attempts(rollout, 2).astype(jnp.float32)
        first_stage, is_first = context.progress < self.stage, rollout.info["turn"] == 0
        second = r2 + jnp.where(first_stage, 0.0, self.alpha) * (r2 - r1)
        first = jnp.where(first_stage, 0.0, r1 + self.shared * second)
        advantage = jnp.where(is_first, first - group_mean(first, self.size), second - group_mean(second, self.size))
        kl_weight = jnp.where(is_first & first_stage, self.strong, self.weak)
        metrics = {"attempts/first": jnp.mean(r1), "attempts/second": jnp.mean(r2)}
        return state, rollout.with_extras(advantage=advantage, kl_weight=kl_weight), metrics


@struct.dataclass
class AttemptKL:
    """The divergence from the reference (:class:`~rl_jax.losses.reference_kl.ReferenceKL`) times ``extras["kl_weight"]``."""

    def __call__(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        kl, metrics = ReferenceKL()(params, batch, context)
        return batch.extras["kl_weight"] * kl, metrics
