"""Array functions that every room may use: no parts, no state."""

from typing import TYPE_CHECKING

from rl_jax._lazy import lazy

if TYPE_CHECKING:
    from rl_jax.ops.along import along
    from rl_jax.ops.branch import any_true, shared
    from rl_jax.ops.descent import bounded, descend
    from rl_jax.ops.equals import earlier_equals
    from rl_jax.ops.mesh import devices_of_envs, means, on_parts, per_device, spread
    from rl_jax.ops.obgd import obgd
    from rl_jax.ops.permutation import permutation
    from rl_jax.ops.plasticity import active_units, dormant_ratio, dormant_units
    from rl_jax.ops.random_index import random_index
    from rl_jax.ops.reports import joined
    from rl_jax.ops.returns import discounted_sum
    from rl_jax.ops.rounding import ROUNDING, add_bounded, two_sum
    from rl_jax.ops.schedules import linear
    from rl_jax.ops.sum_tree import SumTree
    from rl_jax.ops.targets import Periodic, Polyak, polyak
    from rl_jax.ops.threefry import written_out
    from rl_jax.ops.within import within

lazy(__name__)

__all__ = [
    "ROUNDING",
    "Periodic",
    "Polyak",
    "SumTree",
    "active_units",
    "add_bounded",
    "along",
    "any_true",
    "bounded",
    "descend",
    "devices_of_envs",
    "discounted_sum",
    "dormant_ratio",
    "dormant_units",
    "earlier_equals",
    "joined",
    "linear",
    "means",
    "obgd",
    "on_parts",
    "per_device",
    "permutation",
    "polyak",
    "random_index",
    "shared",
    "spread",
    "two_sum",
    "within",
    "written_out",
]
