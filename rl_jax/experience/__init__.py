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
from rl_jax.experience.trial import TrialGAE, trial_gae

__all__ = [
    "GAE",
    "Chain",
    "ClipReward",
    "NormalizeObs",
    "NormalizeReward",
    "RunningMoments",
    "StandardizeAdvantage",
    "Transform",
    "TrialGAE",
    "chain",
    "clip_reward",
    "gae",
    "normalize_obs",
    "normalize_reward",
    "standardize_advantage",
    "trial_gae",
]
