"""Advantages within trials: what later episodes earn may be credited to this one in part, or not at all."""

from typing import Any

import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience.advantage.gae import advantages
from rl_jax.experience.transform import Transform
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Share


@struct.dataclass
class TrialGAE(Transform):
    """Generalised advantage estimation with a discount of its own where one inner episode of a trial ends and the next begins.

    ``gamma_trial = 1`` credits an action with all that it makes possible in later episodes, ``0`` with its own episode alone
    (Rentschler & Roberts 2025, arXiv:2508.01287, long-horizon credit assignment). Reads ``info["inner_done"]``, as
    :class:`rl_jax.envs.Trial` reports it; otherwise as :class:`~rl_jax.experience.GAE`.

    Attributes:
        gamma: discount per step within an episode.
        gamma_trial: discount across the end of an inner episode.
        lam: mixes one-step (0) and Monte-Carlo (1) advantages.
    """

    gamma: Any = 0.99
    gamma_trial: Any = 0.99
    lam: Any = 0.95

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_numbers("trial_gae's", self, gamma=Share, gamma_trial=Share, lam=Share)
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        value = rollout.extras["value"]
        discount = jnp.where(rollout.info["inner_done"], self.gamma_trial, self.gamma).astype(value.dtype)
        advantage = advantages(rollout, context, discount, self.lam)
        return state, rollout.with_extras(advantage=advantage, value_target=advantage + value), {"value/mean": jnp.mean(value)}


def trial_gae(gamma: Any = 0.99, gamma_trial: Any = 0.99, lam: Any = 0.95) -> TrialGAE:
    """Generalised advantage estimation over trials; see :class:`TrialGAE`."""
    return TrialGAE(gamma, gamma_trial, lam)
