"""Array functions that every room may use: no parts, no state."""

from typing import TYPE_CHECKING

from rl_jax._lazy import lazy

if TYPE_CHECKING:
    from rl_jax.ops.apply_updates import apply_updates, clip_by_global_norm
    from rl_jax.ops.arrays.along import along
    from rl_jax.ops.arrays.equals import earlier_equals
    from rl_jax.ops.arrays.rounding import ROUNDING, add_bounded, two_sum
    from rl_jax.ops.arrays.within import within
    from rl_jax.ops.batch_parallel import batch_parallel, devices_of_envs, means, per_device, with_sharding
    from rl_jax.ops.branch import any_true, shared
    from rl_jax.ops.obgd import obgd
    from rl_jax.ops.plasticity import active_units, dormant_ratio, dormant_units
    from rl_jax.ops.random.permutation import permutation
    from rl_jax.ops.random.random_index import random_index
    from rl_jax.ops.random.threefry import unrolled_threefry
    from rl_jax.ops.reports import joined
    from rl_jax.ops.returns import discounted_sum
    from rl_jax.ops.schedules import linear
    from rl_jax.ops.sum_tree import SumTree
    from rl_jax.ops.targets import Periodic, Polyak, polyak

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
    "apply_updates",
    "batch_parallel",
    "clip_by_global_norm",
    "devices_of_envs",
    "discounted_sum",
    "dormant_ratio",
    "dormant_units",
    "earlier_equals",
    "joined",
    "linear",
    "means",
    "obgd",
    "per_device",
    "permutation",
    "polyak",
    "random_index",
    "shared",
    "two_sum",
    "unrolled_threefry",
    "with_sharding",
    "within",
]
