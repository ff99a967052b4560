"""Agents that learn from recorded experience, alone or beside what they collect."""

from typing import TYPE_CHECKING

from rl_jax._lazy import lazy

if TYPE_CHECKING:
    from rl_jax.agents.offline.bc import Clone, bc
    from rl_jax.agents.offline.cql import cql
    from rl_jax.agents.offline.iql import ImplicitQ, iql
    from rl_jax.agents.offline.rebrac import rebrac
    from rl_jax.agents.offline.rlpd import rlpd
    from rl_jax.agents.offline.td3_bc import td3_bc

lazy(__name__)

__all__ = ["Clone", "ImplicitQ", "bc", "cql", "iql", "rebrac", "rlpd", "td3_bc"]
