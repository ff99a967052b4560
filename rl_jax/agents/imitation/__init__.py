"""Agents that learn from an expert's recorded episodes and from what they do themselves, without a reward."""

from typing import TYPE_CHECKING

from rl_jax._lazy import lazy

if TYPE_CHECKING:
    from rl_jax.agents.imitation.dac import dac
    from rl_jax.agents.imitation.gail import gail

lazy(__name__)

__all__ = ["dac", "gail"]
