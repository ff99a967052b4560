"""Experience transforms: small pure functions over rollouts, each with an explicit state, chained."""

from typing import TYPE_CHECKING

from rl_jax._lazy import lazy

if TYPE_CHECKING:
    from rl_jax.experience.advantage.gae import GAE, StandardizeAdvantage, gae, standardize_advantage
    from rl_jax.experience.bonus.counts import EpisodicCount, LifetimeCount
    from rl_jax.experience.bonus.e3b import E3B
    from rl_jax.experience.bonus.icm import ICM
    from rl_jax.experience.bonus.intrinsic import Bonus, Intrinsic, Product, Sum, intrinsic
    from rl_jax.experience.bonus.intrinsic_return import IntrinsicReturn, intrinsic_return
    from rl_jax.experience.bonus.rnd import RND, NovelD
    from rl_jax.experience.scaling.normalize import (
        ClipReward,
        NormalizeObs,
        NormalizeReward,
        clip_reward,
        normalize_obs,
        normalize_reward,
    )
    from rl_jax.experience.scaling.online import normalize_obs_online, normalize_reward_online
    from rl_jax.experience.transform import Chain, Transform, chain
    from rl_jax.experience.trial import TrialGAE, trial_gae

lazy(__name__)

__all__ = [
    "E3B",
    "GAE",
    "ICM",
    "RND",
    "Bonus",
    "Chain",
    "ClipReward",
    "EpisodicCount",
    "Intrinsic",
    "IntrinsicReturn",
    "LifetimeCount",
    "NormalizeObs",
    "NormalizeReward",
    "NovelD",
    "Product",
    "StandardizeAdvantage",
    "Sum",
    "Transform",
    "TrialGAE",
    "chain",
    "clip_reward",
    "gae",
    "intrinsic",
    "intrinsic_return",
    "normalize_obs",
    "normalize_obs_online",
    "normalize_reward",
    "normalize_reward_online",
    "standardize_advantage",
    "trial_gae",
]
