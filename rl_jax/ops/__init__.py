"""Array functions that every room may use: no parts, no state."""

from rl_jax.ops.branch import any_true, shared
from rl_jax.ops.permutation import permutation
from rl_jax.ops.returns import discounted_sum

__all__ = ["any_true", "discounted_sum", "permutation", "shared"]
