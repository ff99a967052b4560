"""Experience transforms: small pure functions over rollouts, each with an explicit state, chained."""

from rl_jax.experience.gae import GAE, StandardizeAdvantage, gae, standardize_advantage
from rl_jax.experience.normalize import (
    ClipReward,
    NormalizeObs,
    NormalizeReward,
    RunningMoments,
    clip_reward,
    normalize_obs,
    normalize_reward,
)
from rl_jax.experience.transform import Chain, Transform, chain

__all__ = [
    "GAE",
    "Chain",
    "ClipReward",
    "NormalizeObs",
    "NormalizeReward",
    "RunningMoments",
    "StandardizeAdvantage",
    "Transform",
    "chain",
    "clip_reward",
    "gae",
    "normalize_obs",
    "normalize_reward",
    "standardize_advantage",
]
