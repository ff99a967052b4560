"""Agents that learn from recorded experience, alone or beside what they collect."""

from typing import TYPE_CHECKING

from rl_jax._lazy import lazy

if TYPE_CHECKING:
    from rl_jax.agents.offline.bc import Clone, bc
    from rl_jax.agents.offline.cql import cql
    from rl_jax.agents.offline.diffusion_bc import DiffusionClone, diffusion_bc
    from rl_jax.agents.offline.fql import FlowQ, fql
    from rl_jax.agents.offline.iql import ImplicitQ, iql
    from rl_jax.agents.offline.rebrac import rebrac
    from rl_jax.agents.offline.rlpd import rlpd
    from rl_jax.agents.offline.td3_bc import td3_bc

lazy(__name__)

__all__ = [
    "Clone",
    "DiffusionClone",
    "FlowQ",
    "ImplicitQ",
    "bc",
    "cql",
    "diffusion_bc",
    "fql",
    "iql",
    "rebrac",
    "rlpd",
    "td3_bc",
]
