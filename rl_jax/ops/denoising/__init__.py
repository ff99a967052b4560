"""Denoising: how a network that removes noise is trained, and how items are drawn with it.

Three processes of one form (:class:`~rl_jax.ops.denoising.process.Process`): :class:`EDM`, :class:`DDPM` and :class:`Flow`.
All are functions of a network ``apply(x [B, ..., D], time [B]) -> [B, ..., D]``; conditions are closed over::

    def apply(x, time):
        return network.apply(params, x, time, obs)

    loss = losses(apply, draw_targets(process, key, action))                       # [B]
    action = process.sample(apply, jax.random.normal(key, (num, dim)), steps=3)    # [num, dim]
"""

from typing import TYPE_CHECKING

from rl_jax._lazy import lazy

if TYPE_CHECKING:
    from rl_jax.ops.denoising.ddpm import DDPM
    from rl_jax.ops.denoising.edm import EDM, Churn
    from rl_jax.ops.denoising.flow import Flow
    from rl_jax.ops.denoising.guidance import guided
    from rl_jax.ops.denoising.mixture import Mixture
    from rl_jax.ops.denoising.process import Apply, Process, Targets, draw_targets, losses

lazy(__name__)

__all__ = ["DDPM", "EDM", "Apply", "Churn", "Flow", "Mixture", "Process", "Targets", "draw_targets", "guided", "losses"]
