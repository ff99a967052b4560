"""EDM against the paper's equations in slow NumPy, and against exact denoisers."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exact_denoisers import TWO_MODES, gaussian_denoiser, modes_of, noise_of, sampled

from rl_jax.errors import RLJaxError
from rl_jax.ops.denoising import EDM, Churn, losses

#: BESO's noise levels, for actions of the order of one.
SMALL = EDM(sigma_min=0.005, sigma_max=1.0, rho=5.0, log_mean=-0.6, log_std=1.6)
MEAN, BASIS = np.asarray([0.4, -0.2]), np.asarray([[0.8, 0.6], [-0.6, 0.8]])
VARIANCES = np.asarray([0.5, 0.1]) ** 2
COVARIANCE = BASIS @ np.diag(VARIANCES) @ BASIS.T


def network(process):
    """The network whose denoiser is the exact one of a Gaussian with a full covariance."""
    denoise = gaussian_denoiser(MEAN, COVARIANCE)

    def apply(x, time):
        sigma, data = jnp.exp(4.0 * time)[:, None], process.sigma_data
        total = jnp.sqrt(sigma**2 + data**2)
        noisy = total * x
        clean = denoise(noisy, sigma[:, 0])
        return (clean - data**2 / total**2 * noisy) * total / (sigma * data)

    return apply


def test_the_loss_is_the_papers():
    """Eqs. 2, 7 and 8: ``lambda (D(y + n; sigma) - y)^2`` of each item, and nothing is summed over the batch."""
    process = EDM(sigma_data=0.7)
    x, noise = noise_of(0, 5, 3, 2), noise_of(1, 5, 3, 2)
    sigma = np.asarray([0.002, 0.1, 0.7, 5.0, 80.0])
    targets = process.targets(x, noise, jnp.asarray(sigma))
    result = losses(lambda x, time: jnp.sin(3 * x) + time[:, None, None], targets)
    expected = []
    for item, n, s in zip(np.float64(x), np.float64(noise), sigma, strict=True):
        variance = s**2 + 0.7**2
        noisy = item + s * n
        raw = np.sin(3 * noisy / np.sqrt(variance)) + np.log(s) / 4
        denoised = 0.7**2 / variance * noisy + s * 0.7 / np.sqrt(variance) * raw
        expected.append(variance / (s * 0.7) ** 2 * np.mean((denoised - item) ** 2))
    np.testing.assert_allclose(result, expected, rtol=2e-4)


def test_noise_levels_of_training():
    """Normal in the logarithm (Table 1), and none that no sample meets."""
    logs = np.log(np.asarray(EDM().times(jax.random.key(0), 20_000)))
    np.testing.assert_allclose([logs.mean(), logs.std()], [-1.2, 1.2], atol=0.03)
    few = np.asarray(SMALL.times(jax.random.key(0), 20_000))
    assert 0.005 <= few.min() < 0.006 and 0.95 < few.max() <= 1.0


def test_noise_levels_of_samples():
    """Eq. 5, and zero at the end."""
    levels = [(80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7 for i in range(18)]
    np.testing.assert_allclose(EDM().sigmas(18), [*levels, 0.0], rtol=1e-4)
    np.testing.assert_allclose(EDM().sigmas(1), [80.0, 0.0], rtol=1e-6)


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("heun", 2)])
def test_a_gaussian_is_recovered(method, order):
    """The exact solution keeps an item's place along each axis of the covariance; the error falls with the method's order."""
    noise = noise_of(0, 64, 2)
    coordinates = (80.0 * np.float64(noise) - MEAN) @ BASIS
    exact = MEAN + coordinates * np.sqrt(VARIANCES / (VARIANCES + 80.0**2)) @ BASIS.T
    errors = [np.abs(sampled(EDM(), network, method, noise, steps) - exact).max() for steps in (20, 40, 80)]
    orders = np.log2(np.asarray(errors[:-1]) / np.asarray(errors[1:]))
    np.testing.assert_allclose(orders, order, atol=0.3)
    assert errors[-1] < {1: 0.08, 2: 0.01}[order]


def test_moments_of_a_gaussian():
    """Of many samples, mean and covariance."""
    x = sampled(EDM(), network, "heun", noise_of(2, 4096, 2), 40)
    np.testing.assert_allclose(x.mean(axis=0), MEAN, atol=0.03)
    np.testing.assert_allclose(np.cov(x.T), COVARIANCE, atol=0.015)


@pytest.mark.parametrize("steps", [1, 3, 6])
def test_euler_step_by_step(steps):
    """``x + (next - sigma) (x - D) / sigma`` in double precision, along each axis; up to four steps are not a loop."""
    noise = noise_of(3, 8, 2)
    levels = [(80 ** (1 / 7) + i / max(steps - 1, 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7 for i in range(steps)] + [0.0]
    x = levels[0] * np.float64(noise)
    for sigma, following in itertools.pairwise(levels):
        gain = COVARIANCE @ np.linalg.inv(COVARIANCE + sigma**2 * np.eye(2))
        x = x + (following - sigma) * (x - MEAN - (x - MEAN) @ gain.T) / sigma
    np.testing.assert_allclose(sampled(EDM(), network, "euler", noise, steps), x, rtol=1e-3, atol=1e-4)


def test_two_modes_are_recovered():
    shares, means, stds = modes_of(sampled(EDM(), TWO_MODES.network, "heun", noise_of(4, 4096, 2), 40))
    np.testing.assert_allclose(shares, TWO_MODES.weights, atol=0.025)
    np.testing.assert_allclose(means, TWO_MODES.means, atol=0.02)
    np.testing.assert_allclose(stds, TWO_MODES.std, rtol=0.08)


def test_three_steps_find_both_modes_and_fifty_their_widths():
    """With levels that begin at the size of the data, as BESO has them. From noise of 80, three steps do not separate the modes."""
    noise = noise_of(5, 4096, 2)
    three, fifty = (modes_of(sampled(SMALL, TWO_MODES.network, "euler", noise, steps)) for steps in (3, 50))
    np.testing.assert_allclose(three[0], fifty[0], atol=0.12)
    np.testing.assert_allclose(three[1], TWO_MODES.means, atol=0.25)
    np.testing.assert_allclose(fifty[1], TWO_MODES.means, atol=0.1)
    np.testing.assert_allclose(fifty[2], TWO_MODES.std, rtol=0.1)
    far = modes_of(sampled(EDM(), TWO_MODES.network, "euler", noise, 3))
    assert np.abs(far[1] - TWO_MODES.means).max() > 0.35


def test_churn_keeps_the_law_and_forgets_the_noise():
    """Algorithm 2: fresh noise on the way, so the initial noise no longer says where an item ends."""
    noise = jnp.broadcast_to(noise_of(6, 1, 2), (2048, 2))

    def draw(key):
        return EDM().heun(network(EDM()), noise, 40, Churn(), key)

    x = np.asarray(jax.jit(draw)(jax.random.key(0)))
    np.testing.assert_allclose(x.mean(axis=0), MEAN, atol=0.05)
    np.testing.assert_allclose(np.cov(x.T), COVARIANCE, atol=0.02)
    quiet = np.asarray(jax.jit(lambda: EDM().heun(network(EDM()), noise[:1], 40, Churn(0.0), jax.random.key(0)))())
    np.testing.assert_allclose(quiet, sampled(EDM(), network, "heun", noise[:1], 40), rtol=1e-5)


def test_a_bound_holds_for_what_is_denoised():
    def large(x, time):
        return 100.0 * x

    noise = noise_of(7, 16, 3)
    assert np.abs(EDM(bound=1.0).euler(large, noise, 3)).max() == 1.0
    assert np.abs(EDM(bound=1.0).heun(large, noise, 3)).max() == 1.0


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(RLJaxError, match="steps is 0: items are drawn in one step or more"):
        EDM().euler(network(EDM()), noise_of(0, 1, 2), 0)
    with pytest.raises(RLJaxError, match="give key="):
        EDM().heun(network(EDM()), noise_of(0, 1, 2), 3, Churn())
