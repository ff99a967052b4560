"""Flow matching against the papers' equations in slow NumPy, and against exact velocities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exact_denoisers import TWO_MODES, modes_of, noise_of, sampled

from rl_jax.ops.denoising import Flow, losses

MEAN, STD = np.float32([0.4, -0.2]), np.float32([0.5, 0.1])


def velocity(process):
    """The exact velocity of items of a Gaussian, which depends on the place linearly."""
    kept = 1.0 - process.sigma_min

    def apply(x, time):
        t = time[:, None]
        # Where an item at t comes from: E[item - kept noise | x].
        spread = 1.0 - kept * t
        slope = (t * STD**2 - kept * spread) / (t**2 * STD**2 + spread**2)
        return MEAN + slope * (x - t * MEAN)

    return apply


@pytest.mark.parametrize("left", [0.0, 0.1])
def test_the_loss_is_the_papers(left):
    """Lipman et al., eq. 23; without ``sigma_min`` Liu et al., eq. 1."""
    x, noise, times = noise_of(0, 3, 2, 2), noise_of(1, 3, 2, 2), np.float32([0.0, 0.3, 1.0])
    result = losses(lambda x, time: jnp.sin(3 * x) + time[:, None, None], Flow(left).targets(x, noise, jnp.asarray(times)))
    expected = [
        np.mean((np.sin(3 * ((1 - (1 - left) * t) * n + t * item)) + t - (item - (1 - left) * n)) ** 2)
        for item, n, t in zip(np.float64(x), np.float64(noise), times, strict=True)
    ]
    np.testing.assert_allclose(result, expected, rtol=1e-4)
    times = Flow().times(jax.random.key(0), 5000)
    np.testing.assert_allclose([times.min(), times.mean(), times.max()], [0.0, 0.5, 1.0], atol=0.02)


@pytest.mark.parametrize("steps", [1, 3, 7])
def test_euler_step_by_step(steps):
    noise = noise_of(2, 6, 2)
    x, mean, variance = np.float64(noise), np.float64(MEAN), np.float64(STD) ** 2
    for i in range(steps):
        t = i / steps
        slope = (t * variance - (1 - t)) / (t**2 * variance + (1 - t) ** 2)
        x = x + (mean + slope * (x - t * mean)) / steps
    np.testing.assert_allclose(sampled(Flow(), velocity, "euler", noise, steps), x, rtol=1e-4, atol=1e-5)


def test_a_gaussian_is_recovered_in_first_order():
    """The exact flow moves each quantile of the noise to that of the data."""
    noise = noise_of(3, 64, 2)
    exact = MEAN + STD * np.float64(noise)
    errors = [np.abs(sampled(Flow(), velocity, "euler", noise, steps) - exact).max() for steps in (20, 40, 80)]
    np.testing.assert_allclose(np.log2(np.asarray(errors[:-1]) / np.asarray(errors[1:])), 1.0, atol=0.1)
    # With noise that is left at the end, the data are as much wider.
    wider = MEAN + np.sqrt(STD**2 + 0.3**2) * np.float64(noise)
    np.testing.assert_allclose(sampled(Flow(0.3), velocity, "euler", noise, 200), wider, atol=0.01)


def test_two_modes_are_recovered():
    shares, means, stds = modes_of(sampled(Flow(), TWO_MODES.network, "euler", noise_of(4, 4096, 2), 100))
    np.testing.assert_allclose(shares, TWO_MODES.weights, atol=0.025)
    np.testing.assert_allclose(means, TWO_MODES.means, atol=0.02)
    np.testing.assert_allclose(stds, TWO_MODES.std, rtol=0.08)


def test_gradients_pass_through_all_steps():
    """Of an item by its noise: the product of the steps' slopes."""
    steps = 6
    slopes = np.ones(2)
    for i in range(steps):
        t, variance = i / steps, np.float64(STD) ** 2
        slopes *= 1 + (t * variance - (1 - t)) / (t**2 * variance + (1 - t) ** 2) / steps
    grads = jax.jit(jax.grad(lambda noise: Flow().sample(velocity(Flow()), noise, steps).sum()))(noise_of(5, 3, 2))
    np.testing.assert_allclose(grads, np.broadcast_to(slopes, (3, 2)), rtol=1e-4)


def test_pairs_that_lie_straight_need_one_step():
    """Reflow: where each item belongs to one noise, here by a shift, the target is the same all the way."""
    noise = noise_of(6, 8, 2)
    shift = jnp.asarray([3.0, -1.0])
    targets = Flow().targets(noise + shift, noise, jnp.linspace(0.0, 1.0, 8))
    np.testing.assert_allclose(targets.target, np.broadcast_to(shift, (8, 2)), rtol=1e-5)
    one = Flow().sample(lambda x, time: jnp.broadcast_to(shift, x.shape), noise, 1)
    np.testing.assert_allclose(one, noise + shift, rtol=1e-6)
