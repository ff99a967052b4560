"""Outer loops: functions over whole training runs. They may use the trainer and the agents; nothing below uses them."""

from rl_jax.meta.mbtl import (
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

__all__ = [
    "Coverage",
    "GaussianProcess",
    "acquisition",
    "coverage",
    "equidistant",
    "greedy_oracle",
    "in_task",
    "independent",
    "mbtl",
    "normalized",
    "random_order",
    "transfer_matrix",
]
