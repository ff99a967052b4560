"""Outer loops: functions over whole training runs. They may use the trainer and the agents; nothing below uses them."""

from typing import TYPE_CHECKING

from rl_jax._lazy import lazy

if TYPE_CHECKING:
    from rl_jax.ideas.meta_rl.mbtl import (
        Coverage,
        GaussianProcess,
        acquisition,
        coverage,
        equidistant,
        greedy_oracle,
        in_task,
        independent,
        mbtl,
        normalized,
        random_order,
        transfer_matrix,
    )
    from rl_jax.meta.evolution import Evolution, EvolutionState, pair_ranks
    from rl_jax.meta.lifetime import lifetime, with_rule
    from rl_jax.meta.meta_gradient import MetaGradient, MetaState, later_objective, policy_objective

lazy(__name__)

__all__ = [
    "Coverage",
    "Evolution",
    "EvolutionState",
    "GaussianProcess",
    "MetaGradient",
    "MetaState",
    "acquisition",
    "coverage",
    "equidistant",
    "greedy_oracle",
    "in_task",
    "independent",
    "later_objective",
    "lifetime",
    "mbtl",
    "normalized",
    "pair_ranks",
    "policy_objective",
    "random_order",
    "transfer_matrix",
    "with_rule",
]
