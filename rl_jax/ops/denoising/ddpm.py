"""DDPM: a chain of small additions of noise, undone step by step (Ho et al. 2020, arXiv 2006.11239)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from rl_jax.errors import RLJaxError, chosen
from rl_jax.ops.arrays.along import along
from rl_jax.ops.denoising.noise_schedules import SCHEDULES
from rl_jax.ops.denoising.process import Apply, Targets, check_steps, run_steps
from rl_jax.types import Key


@struct.dataclass
class DDPM:
    """Items ``x`` under noise, ``sqrt(A_t) x + sqrt(1 - A_t) n`` at step ``t`` of ``T`` (eq. 4); the network predicts ``n`` (eq. 14).

    The time is ``t``, a whole number from 1 on; the network is told ``t / T``.

    Attributes:
        length: ``T``, the steps of the process.
        schedule: ``"cosine"`` (Nichol & Dhariwal 2021), ``"linear"`` (Ho et al. 2020), or ``"vp"`` (Song et al. 2021) for a ``T``
            of some ten steps; see :mod:`rl_jax.ops.denoising.noise_schedules`.
        bound: absolute value within which predicted clean elements are clipped; ``None`` for none. A learned network needs it: at the
            noisiest steps, where ``A_t`` is almost zero, its error is multiplied by ``1 / sqrt(A_t)``, and so is rounding.
    """

    length: int = struct.field(pytree_node=False, default=100)
    schedule: str = struct.field(pytree_node=False, default="cosine")
    bound: Any = None

    def remaining(self) -> np.ndarray:
        """``A_t``, the variance that is left of an item: ``[T + 1]`` in double precision, ``A_0 = 1``.

        Raises:
            RLJaxError: there is no such schedule.
        """
        check_steps(self.length)
        betas = chosen("noise schedule", self.schedule, SCHEDULES)(self.length)
        return np.cumprod(np.append(1.0, 1.0 - betas))

    def times(self, key: Key, num: int) -> jax.Array:
        """Steps to train at, ``int32 [num]``, each from 1 to ``T``."""
        return jax.random.randint(key, (num,), 1, self.length + 1, jnp.int32)

    def targets(self, x: jax.Array, noise: jax.Array, time: jax.Array) -> Targets:
        """What the network is trained on (eq. 14): items and standard normal noise ``[B, ..., D]`` at steps ``time`` ``int32 [B]``."""
        remaining = self.remaining()
        signal, spread = (along(jnp.asarray(np.sqrt(share), jnp.float32)[time], x) for share in (remaining, 1.0 - remaining))
        share = time.astype(jnp.float32) / self.length
        return Targets(signal * x + spread * noise, share, noise, jnp.ones_like(share))

    def sample(self, apply: Apply, noise: jax.Array, steps: int) -> jax.Array:
        """:meth:`ddim` without fresh noise."""
        return self.ddim(apply, noise, steps)

    def ddim(self, apply: Apply, noise: jax.Array, steps: int, eta: Any = 0.0, key: Key | None = None) -> jax.Array:
        """Items ``[B, ..., D]`` of standard normal ``noise``, by DDIM (Song et al. 2021, arXiv 2010.02502, eqs. 12 and 16).

        Args:
            apply: the network.
            noise: where the sample starts.
            steps: calls of the network, at evenly spaced steps of the process, the last and noisiest among them; static.
            eta: share of fresh noise: none at 0, where the noise alone determines the item, and that of the chain itself at 1.
            key: of the fresh noise; without one there is none.

        Raises:
            RLJaxError: the process has fewer steps, or fresh noise has no key.
        """
        check_steps(steps, self.length)
        if key is None and not (isinstance(eta, int | float) and eta == 0):
            raise RLJaxError("ddim needs a key for its fresh noise: give key=..., or eta=0 for none")
        remaining = self.remaining()
        times = np.round(np.linspace(self.length, 0, steps + 1)).astype(int)
        now, after = remaining[times[:-1]], remaining[times[1:]]
        # Eq. 16 at eta = 1.
        fresh = np.sqrt((1.0 - after) / (1.0 - now) * (1.0 - now / after))
        numbers = (times[:-1] / self.length, np.sqrt(now), np.sqrt(1.0 - now), np.sqrt(after), 1.0 - after, fresh)
        keys = None if key is None else jax.random.split(key, steps)

        def step(x: jax.Array, row: tuple[tuple[jax.Array, ...], Any]) -> jax.Array:
            (time, signal, spread, next_signal, next_variance, fresh), key = row
            predicted = apply(x, jnp.full(x.shape[:1], time, jnp.float32))
            clean = (x - spread * predicted) / signal
            if self.bound is not None:
                clean = jnp.clip(clean, -self.bound, self.bound)
                predicted = (x - signal * clean) / spread
            if key is None:
                return next_signal * clean + jnp.sqrt(next_variance) * predicted
            sigma = eta * fresh
            kept = jnp.sqrt(jnp.maximum(next_variance - sigma**2, 0.0))
            return next_signal * clean + kept * predicted + sigma * jax.random.normal(key, x.shape, jnp.float32)

        rows = (tuple(jnp.asarray(number, jnp.float32) for number in numbers), keys)
        return run_steps(step, noise, rows, steps)

    def ancestral(self, apply: Apply, noise: jax.Array, key: Key) -> jax.Array:
        """Items ``[B, ..., D]`` of standard normal ``noise``, by the chain itself, with ``T`` calls of the network (Algorithm 2).

        The variance of each step is that of ``q(x_{t-1} | x_t, x_0)`` (eq. 7), so this is :meth:`ddim` of every step with ``eta = 1``.
        """
        return self.ddim(apply, noise, self.length, 1.0, key)
