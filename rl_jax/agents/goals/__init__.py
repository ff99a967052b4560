"""Agents that reach any goal, learned from recorded experience. They act on dictionaries with the part ``"goal"``."""

from typing import TYPE_CHECKING

from rl_jax._lazy import lazy

if TYPE_CHECKING:
    from rl_jax.agents.goals.gc_bc import gc_bc
    from rl_jax.agents.goals.gcivl import ImplicitGoalValue, gcivl
    from rl_jax.agents.goals.hiql import HierarchicalImplicit, hiql

lazy(__name__)

__all__ = ["HierarchicalImplicit", "ImplicitGoalValue", "gc_bc", "gcivl", "hiql"]
