"""Losses as named terms: ``(params, batch, context) -> (scalar, metrics)``; an agent's loss is their weighted sum."""

from rl_jax.losses.combine import weighted_sum
from rl_jax.losses.terms import ClippedPolicy, ClippedValue, KLDiagnostic, NegativeEntropy, SquaredValue

__all__ = ["ClippedPolicy", "ClippedValue", "KLDiagnostic", "NegativeEntropy", "SquaredValue", "weighted_sum"]
