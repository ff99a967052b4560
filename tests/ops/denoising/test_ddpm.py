"""DDPM and DDIM against the papers' equations in slow NumPy, and against exact denoisers."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exact_denoisers import TWO_MODES, modes_of, noise_of, sampled

from rl_jax.errors import RLJaxError
from rl_jax.ops.denoising import DDPM, Mixture, losses
from rl_jax.ops.denoising.noise_schedules import cosine, linear_betas, variance_preserving

MEAN, STD = 0.3, 0.5
GAUSSIAN = Mixture(np.float32([[MEAN]]), np.float32([STD]), np.float32([1.0]))


def remaining(betas):
    """``A_t`` for ``t`` from 0 on, one product after the other."""
    shares = [1.0]
    for beta in betas:
        shares.append(shares[-1] * (1.0 - beta))
    return shares


def gain(share):
    """Of a Gaussian item under noise: the predicted noise is ``gain * (x - sqrt(A) MEAN)``."""
    return math.sqrt(1 - share) / (share * STD**2 + 1 - share)


def test_schedules():
    """Nichol & Dhariwal, eq. 17; Ho et al., section 4, whose last ``A`` is known; the SDE's total noise, whatever its steps."""
    t = np.arange(51)
    f = np.cos((t / 50 + 0.008) / 1.008 * np.pi / 2) ** 2
    np.testing.assert_allclose(remaining(cosine(50))[:-1], (f / f[0])[:-1], rtol=1e-9)
    assert cosine(50).max() == 0.999
    linear = linear_betas(1000)
    np.testing.assert_allclose(linear[[0, 1, -1]], [1e-4, 1e-4 + (0.02 - 1e-4) / 999, 0.02], rtol=1e-12)
    np.testing.assert_allclose(remaining(linear)[-1], 4.0358e-5, rtol=1e-4)
    for steps in (1, 5, 20):
        np.testing.assert_allclose(remaining(variance_preserving(steps))[-1], math.exp(-0.1 - 0.5 * 9.9), rtol=1e-9)
    np.testing.assert_allclose(DDPM(50, "cosine").remaining(), remaining(cosine(50)), rtol=1e-12)
    with pytest.raises(RLJaxError, match="there is no noise schedule 'sine': use cosine, linear, vp"):
        DDPM(50, "sine").remaining()


def test_the_loss_is_the_papers():
    """Eq. 14, of each item at a step of its own: the last and the first among them."""
    process = DDPM(10, "vp")
    x, noise, steps = noise_of(0, 3, 2, 2), noise_of(1, 3, 2, 2), np.asarray([1, 4, 10])
    targets = process.targets(x, noise, jnp.asarray(steps))
    result = losses(lambda x, time: jnp.sin(3 * x) + time[:, None, None], targets)
    shares = remaining(variance_preserving(10))
    expected = [
        np.mean((np.sin(3 * (math.sqrt(shares[t]) * item + math.sqrt(1 - shares[t]) * n)) + t / 10 - n) ** 2)
        for item, n, t in zip(np.float64(x), np.float64(noise), steps, strict=True)
    ]
    np.testing.assert_allclose(result, expected, rtol=1e-4)
    drawn = np.bincount(process.times(jax.random.key(0), 5000), minlength=12)
    assert drawn[0] == drawn[11] == 0 and drawn[1:11].min() > 400


def test_the_chain_is_algorithm_2():
    """Linear in the noise that it starts from: the factor is that of Ho et al.'s mean, and the variance adds up as theirs (eq. 7)."""
    process = DDPM(40, "linear")
    betas = linear_betas(40)
    shares = remaining(betas)
    factor, mean, variance = 1.0, 0.0, 0.0
    for t in range(40, 0, -1):
        alpha, beta, share = 1 - betas[t - 1], betas[t - 1], shares[t]
        # x <- (x - beta / sqrt(1 - A) predicted) / sqrt(alpha) + sqrt((1 - A_before) / (1 - A) beta) z
        slope = (1 - beta / math.sqrt(1 - share) * gain(share)) / math.sqrt(alpha)
        mean = slope * mean + beta / math.sqrt(1 - share) * gain(share) * math.sqrt(share) * MEAN / math.sqrt(alpha)
        factor, variance = slope * factor, slope**2 * variance + (1 - shares[t - 1]) / (1 - share) * beta
    draw = jax.jit(lambda noise, key: process.ancestral(GAUSSIAN.network(process), noise, key))
    zero, two = (np.asarray(draw(jnp.full((4096, 1), start), jax.random.key(0))) for start in (0.0, 2.0))
    np.testing.assert_allclose(two - zero, 2.0 * factor, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose([zero.mean(), zero.std()], [mean, math.sqrt(variance)], atol=0.015)


@pytest.mark.parametrize("steps", [1, 3, 8])
def test_ddim_step_by_step(steps):
    """Song et al., eq. 12 without fresh noise, in double precision; the last, noisiest step is always among those taken."""
    process = DDPM(50, "linear")
    shares = remaining(linear_betas(50))
    times = [round(50 * (steps - i) / steps) for i in range(steps + 1)]
    noise = noise_of(2, 6, 1)
    x = np.float64(noise)
    for t, following in itertools.pairwise(times):
        predicted = gain(shares[t]) * (x - math.sqrt(shares[t]) * MEAN)
        clean = (x - math.sqrt(1 - shares[t]) * predicted) / math.sqrt(shares[t])
        x = math.sqrt(shares[following]) * clean + math.sqrt(1 - shares[following]) * predicted
    np.testing.assert_allclose(sampled(process, GAUSSIAN.network, "ddim", noise, steps), x, rtol=1e-3, atol=1e-5)


def test_ddim_is_of_first_order():
    """Twice the steps, half the distance to the exact flow, which moves each quantile of the noise to that of the data."""
    noise = jnp.linspace(-2.0, 2.0, 9)[:, None]
    errors = [
        np.abs(sampled(DDPM(1000), GAUSSIAN.network, "ddim", noise, steps) - (MEAN + STD * np.float64(noise))).max()
        for steps in (10, 20, 40)
    ]
    np.testing.assert_allclose(np.log2(np.asarray(errors[:-1]) / np.asarray(errors[1:])), 1.0, atol=0.1)


def test_fresh_noise_is_scaled_by_eta():
    """From one noise: none at 0, and the variance of eq. 16 after a single step of two."""
    process, shares = DDPM(2, "linear"), remaining(linear_betas(2))
    noise = jnp.ones((4096, 1))

    def nothing(x, time):
        return jnp.zeros_like(x)

    # The last step adds no noise, since nothing is left to add; it only scales.
    fresh = (1 - shares[1]) / (1 - shares[2]) * (1 - shares[2] / shares[1]) / shares[1]
    for eta in (0.5, 1.0):
        x = np.asarray(process.ddim(nothing, noise, 2, eta, jax.random.key(0)))
        np.testing.assert_allclose(x.std(), eta * math.sqrt(fresh), rtol=0.05)
    assert np.ptp(process.ddim(nothing, noise, 2)) == 0


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_two_modes_are_recovered(eta):
    """The chain, of the smaller of the two variances that Ho et al. name, makes modes a little too narrow: 0.086 for 0.1."""
    process = DDPM(100)
    draw = jax.jit(lambda noise, key: process.ddim(TWO_MODES.network(process), noise, 100, eta, key))
    shares, means, stds = modes_of(np.asarray(draw(noise_of(4, 4096, 2), jax.random.key(1))))
    np.testing.assert_allclose(shares, TWO_MODES.weights, atol=0.025)
    np.testing.assert_allclose(means, TWO_MODES.means, atol=0.02)
    np.testing.assert_allclose(stds, TWO_MODES.std, rtol=0.2)


def test_a_bound_holds_where_an_error_would_be_multiplied():
    """At the cosine schedule's last step a clean item is the network's error times ten thousand."""

    def wrong(x, time):
        return 0.9 * x

    noise = noise_of(5, 16, 2)
    assert np.abs(DDPM(50, bound=1.0).ddim(wrong, noise, 5)).max() <= 1.0
    assert np.abs(DDPM(50, bound=1.0).ancestral(wrong, noise, jax.random.key(0))).max() <= 1.0
    assert np.abs(DDPM(50).ddim(wrong, noise, 5)).max() > 10.0


def test_what_cannot_be_drawn_is_refused():
    network, noise = GAUSSIAN.network(DDPM(10)), noise_of(0, 1, 1)
    with pytest.raises(RLJaxError, match="steps is 11, of a process of 10: use as many at the most"):
        DDPM(10).ddim(network, noise, 11)
    with pytest.raises(RLJaxError, match=r"give key=\.\.\., or eta=0"):
        DDPM(10).ddim(network, noise, 5, 0.5)
