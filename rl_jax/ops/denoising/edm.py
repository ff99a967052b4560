"""EDM: a denoiser of items under Gaussian noise of any size (Karras et al. 2022, arXiv 2206.00364)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.errors import RLJaxError
from rl_jax.ops.arrays.along import along
from rl_jax.ops.denoising.process import Apply, Targets, check_steps, run_steps
from rl_jax.types import Key


class Churn(NamedTuple):
    """Noise that is put back in the course of sampling (Algorithm 2); the defaults are those of SynthER (arXiv 2303.06614).

    Attributes:
        amount: ``S_churn``, over all steps.
        low, high: ``S_tmin`` and ``S_tmax``, the noise levels between which it happens.
        scale: ``S_noise``, of the noise.
    """

    amount: Any = 80.0
    low: Any = 0.05
    high: Any = 50.0
    scale: Any = 1.003


@struct.dataclass
class EDM:
    """Items ``x`` under noise, ``x + sigma * n``; the time is ``sigma``, and a sample starts from noise alone at ``sigma_max``.

    The denoiser is ``D(x, sigma) = c_skip x + c_out F(c_in x, log(sigma) / 4)`` with the network ``F`` (eq. 7 and Table 1), whose
    inputs and targets have unit variance at every ``sigma``. So the weight of the loss in ``F`` is one (eq. 8).

    For actions in ``[-1, 1]``, BESO (arXiv 2304.02532) takes ``sigma_min=0.005, sigma_max=1, rho=5``. For whole transitions of unit
    variance, SynthER (arXiv 2303.06614) takes ``sigma_data=1``.

    Attributes:
        sigma_data: standard deviation of the items' elements.
        sigma_min, sigma_max: least and largest noise level of samples.
        rho: how much closer the levels lie near ``sigma_min``.
        log_mean, log_std: of the logarithm of the normally distributed noise levels of training (Table 1). It is cut to
            what samples need, which the paper does not do; at its numbers one level in 60 000 is beyond.
        bound: absolute value within which denoised elements are clipped; ``None`` for none.
    """

    sigma_data: Any = 0.5
    sigma_min: Any = 0.002
    sigma_max: Any = 80.0
    rho: Any = 7.0
    log_mean: Any = -1.2
    log_std: Any = 1.2
    bound: Any = None

    def times(self, key: Key, num: int) -> jax.Array:
        """Noise levels to train at, ``[num]``."""
        low, high = ((jnp.log(sigma) - self.log_mean) / self.log_std for sigma in (self.sigma_min, self.sigma_max))
        return jnp.exp(self.log_mean + self.log_std * jax.random.truncated_normal(key, low, high, (num,), jnp.float32))

    def targets(self, x: jax.Array, noise: jax.Array, time: jax.Array) -> Targets:
        """What ``F`` is trained on (eq. 8): items and standard normal noise ``[B, ..., D]`` at levels ``time`` ``[B]``."""
        sigma = along(time, x)
        total = jnp.sqrt(sigma**2 + self.sigma_data**2)
        # (x - c_skip (x + sigma n)) / c_out, without the difference of two numbers that are almost the same for small sigma.
        target = (sigma / self.sigma_data * x - self.sigma_data * noise) / total
        return Targets((x + sigma * noise) / total, jnp.log(time) / 4.0, target, jnp.ones_like(time))

    def denoised(self, apply: Apply, x: jax.Array, sigma: jax.Array) -> jax.Array:
        """The denoiser ``D`` (eq. 7): clean items ``[B, ..., D]`` expected of noisy ones of one noise level ``sigma`` ``[]``."""
        variance = sigma**2 + self.sigma_data**2
        scale = jax.lax.rsqrt(variance)
        output = apply(scale * x, jnp.full(x.shape[:1], jnp.log(sigma) / 4.0, jnp.float32))
        clean = self.sigma_data**2 / variance * x + sigma * self.sigma_data * scale * output
        return clean if self.bound is None else jnp.clip(clean, -self.bound, self.bound)

    def sigmas(self, steps: int) -> jax.Array:
        """Noise levels of a sample, ``[steps + 1]``: ``sigma_max`` to ``sigma_min`` (eq. 5), and zero; one step skips the second."""
        check_steps(steps)
        most, least = self.sigma_max ** (1.0 / self.rho), self.sigma_min ** (1.0 / self.rho)
        share = jnp.arange(steps, dtype=jnp.float32) / max(steps - 1, 1)
        return jnp.append((most + share * (least - most)) ** self.rho, 0.0)

    def sample(self, apply: Apply, noise: jax.Array, steps: int) -> jax.Array:
        """:meth:`euler`."""
        return self.euler(apply, noise, steps)

    def euler(self, apply: Apply, noise: jax.Array, steps: int) -> jax.Array:
        """Items ``[B, ..., D]`` of standard normal ``noise``, by Euler's method with ``steps`` calls of the network.

        It is the DDIM sampler of BESO: ``x <- r x + (1 - r) D(x, sigma)`` with the ratio ``r`` of the next level to this one.
        """
        sigmas = self.sigmas(steps)

        def step(x: jax.Array, levels: tuple[jax.Array, jax.Array]) -> jax.Array:
            sigma, following = levels
            clean = self.denoised(apply, x, sigma)
            return clean + following / sigma * (x - clean)

        return run_steps(step, sigmas[0] * noise, (sigmas[:-1], sigmas[1:]), steps)

    def heun(self, apply: Apply, noise: jax.Array, steps: int, churn: Churn | None = None, key: Key | None = None) -> jax.Array:
        """Items ``[B, ..., D]`` of standard normal ``noise``, by Heun's method with ``2 * steps - 1`` calls of the network.

        Algorithm 1, or with ``churn`` Algorithm 2. The last step, to zero, is Euler's.

        Args:
            apply: the network.
            noise: where the sample starts.
            steps: static.
            churn: how much fresh noise comes in on the way; ``None`` for none.
            key: of that noise.

        Raises:
            RLJaxError: there is churn and no key.
        """
        if churn is not None and key is None:
            raise RLJaxError("heun needs a key for the noise of its churn: give key=...")
        sigmas = self.sigmas(steps)
        keys = None if key is None or churn is None else jax.random.split(key, steps)

        def stirred(x: jax.Array, sigma: jax.Array, key: Key | None) -> tuple[jax.Array, jax.Array]:
            """The item at a somewhat higher noise level, and that level."""
            if churn is None or key is None:
                return x, sigma
            gamma = jnp.minimum(churn.amount / steps, 2.0**0.5 - 1.0)
            higher = sigma * (1.0 + jnp.where((sigma >= churn.low) & (sigma <= churn.high), gamma, 0.0))
            spread = churn.scale * jnp.sqrt(jnp.maximum(higher**2 - sigma**2, 0.0))
            return x + spread * jax.random.normal(key, x.shape, jnp.float32), higher

        def step(x: jax.Array, row: tuple[jax.Array, jax.Array, Any]) -> jax.Array:
            x, sigma = stirred(x, row[0], row[2])
            following = row[1]
            slope = (x - self.denoised(apply, x, sigma)) / sigma
            guess = x + (following - sigma) * slope
            next_slope = (guess - self.denoised(apply, guess, following)) / following
            return x + (following - sigma) * 0.5 * (slope + next_slope)

        rows = (sigmas[:-2], sigmas[1:-1], None if keys is None else keys[:-1])
        x = run_steps(step, sigmas[0] * noise, rows, steps - 1)
        return self.denoised(apply, *stirred(x, sigmas[-2], None if keys is None else keys[-1]))
