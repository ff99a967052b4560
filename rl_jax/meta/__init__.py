"""Outer loops: functions over complete training runs. They may use the trainer and the agents; nothing below uses them."""

from typing import TYPE_CHECKING

from rl_jax._lazy import lazy

if TYPE_CHECKING:
    from rl_jax.meta.evolution import Evolution, EvolutionState, pair_ranks
    from rl_jax.meta.lifetime import in_task, lifetime, with_rule
    from rl_jax.meta.meta_gradient import MetaGradient, MetaState, later_objective, policy_objective

lazy(__name__)

__all__ = [
    "Evolution",
    "EvolutionState",
    "MetaGradient",
    "MetaState",
    "in_task",
    "later_objective",
    "lifetime",
    "pair_ranks",
    "policy_objective",
    "with_rule",
]
