"""Flow matching: straight ways from noise to items (Lipman et al. 2023, arXiv 2210.02747; Liu et al. 2023, arXiv 2209.03003)."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.ops.arrays.along import along
from rl_jax.ops.denoising.process import Apply, Targets, check_steps, run_steps
from rl_jax.types import Key


@struct.dataclass
class Flow:
    """Items ``x`` on the way from noise ``n``, ``(1 - (1 - sigma_min) t) n + t x``; the network predicts their velocity.

    It is ``x - (1 - sigma_min) n`` (Lipman et al., eqs. 22 and 23, optimal transport); with ``sigma_min = 0`` the rectified flow of Liu
    et al., eq. 1. The time ``t`` is the share of the way: noise at 0, the item at 1.

    :meth:`targets` takes pairs of noise and items, so a flow may be straightened on pairs that it made itself (Liu et al., reflow), or
    distilled to one step.

    Attributes:
        sigma_min: noise that is left at the end.
    """

    sigma_min: Any = 0.0

    def times(self, key: Key, num: int) -> jax.Array:
        """Shares of the way to train at, ``[num]``, uniform."""
        return jax.random.uniform(key, (num,), jnp.float32)

    def targets(self, x: jax.Array, noise: jax.Array, time: jax.Array) -> Targets:
        """What the network is trained on (Lipman et al., eq. 23): items and noise ``[B, ..., D]`` at ``time`` ``[B]``."""
        t, kept = along(time, x), 1.0 - self.sigma_min
        return Targets((1.0 - kept * t) * noise + t * x, time, x - kept * noise, jnp.ones_like(time))

    def sample(self, apply: Apply, noise: jax.Array, steps: int) -> jax.Array:
        """:meth:`euler`."""
        return self.euler(apply, noise, steps)

    def euler(self, apply: Apply, noise: jax.Array, steps: int) -> jax.Array:
        """Items ``[B, ..., D]`` of ``noise``, by Euler's method with ``steps`` calls of the network, at equal distances."""
        check_steps(steps)

        def step(x: jax.Array, time: jax.Array) -> jax.Array:
            return x + apply(x, jnp.full(x.shape[:1], time, jnp.float32)) / steps

        return run_steps(step, noise, jnp.arange(steps, dtype=jnp.float32) / steps, steps)
