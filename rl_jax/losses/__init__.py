"""Losses as named terms: ``(params, batch, context) -> (scalar, metrics)``; an agent's loss is their weighted sum."""

from typing import TYPE_CHECKING

from rl_jax._lazy import lazy

if TYPE_CHECKING:
    from rl_jax.losses.c51 import Categorical51
    from rl_jax.losses.combine import weighted_sum
    from rl_jax.losses.mirror import LogPolicy, MirrorDescentKL, RatioPolicy
    from rl_jax.losses.quantile import Quantiles
    from rl_jax.losses.td import ExpectedValue, bootstrap_discount, huber, td_target
    from rl_jax.losses.terms import ClippedPolicy, ClippedValue, KLDiagnostic, NegativeEntropy, SquaredValue

lazy(__name__)

__all__ = [
    "Categorical51",
    "ClippedPolicy",
    "ClippedValue",
    "ExpectedValue",
    "KLDiagnostic",
    "LogPolicy",
    "MirrorDescentKL",
    "NegativeEntropy",
    "Quantiles",
    "RatioPolicy",
    "SquaredValue",
    "bootstrap_discount",
    "huber",
    "td_target",
    "weighted_sum",
]
