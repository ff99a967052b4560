"""Data whose denoisers are known exactly, and what tests ask of samples of it."""

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.ops.denoising import Mixture

#: Two modes to the left and to the right, of different shares and widths.
TWO_MODES = Mixture(np.float32([[-0.8, 0.0], [0.8, 0.3]]), np.float32([0.1, 0.2]), np.float32([0.3, 0.7]))


def noise_of(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def gaussian_denoiser(mean, covariance):
    """``(noisy [B, D], sigma [B]) -> E[item] [B, D]`` of items of a Gaussian, by its eigenvectors."""
    values, vectors = np.linalg.eigh(covariance)
    values, vectors, mean = (jnp.asarray(x, jnp.float32) for x in (values, vectors, mean))

    def denoise(noisy, sigma):
        return mean + ((noisy - mean) @ vectors * values / (values + sigma[:, None] ** 2)) @ vectors.T

    return denoise


def sampled(process, network, method, noise, steps):
    """Items, in double precision, that a sampler of the process makes of ``network(process)``."""
    draw = jax.jit(lambda noise: getattr(process, method)(network(process), noise, steps))
    return np.float64(draw(noise))


def modes_of(x):
    """Shares ``[2]``, means ``[2, D]`` and standard deviations ``[2]`` of the items to the left and to the right."""
    parts = [x[x[:, 0] < 0], x[x[:, 0] >= 0]]
    assert min(map(len, parts)) > 1
    return (
        np.asarray([len(part) / len(x) for part in parts]),
        np.asarray([part.mean(axis=0) for part in parts]),
        np.asarray([np.sqrt(part.var(axis=0).mean()) for part in parts]),
    )
