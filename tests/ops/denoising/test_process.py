"""What holds for every process."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exact_denoisers import TWO_MODES, noise_of

from rl_jax.ops.denoising import DDPM, EDM, Flow, draw_targets, guided, losses

PROCESSES = [EDM(sigma_data=1.0, sigma_min=0.01, sigma_max=2.0), DDPM(20), DDPM(5, "vp"), Flow(0.1)]


def items(key, num):
    """By NumPy: two modes, drawn without the code under test."""
    rng = np.random.default_rng(key)
    mode = rng.choice(2, num, p=np.float64(TWO_MODES.weights) / np.float64(TWO_MODES.weights).sum())
    return jnp.asarray(TWO_MODES.means[mode] + TWO_MODES.std[mode, None] * rng.standard_normal((num, 2)), jnp.float32)


@pytest.mark.parametrize("process", PROCESSES, ids=["edm", "ddpm", "vp", "flow"])
def test_the_exact_network_is_what_training_leads_to(process):
    """What is left of the targets is orthogonal to every function of what the network sees, so nothing else has a smaller loss."""
    targets = draw_targets(process, jax.random.key(1), items(0, 20_000))
    exact = TWO_MODES.network(process)
    rest = np.asarray(targets.target - exact(targets.input, targets.time))
    spread = np.asarray(targets.target).std()
    for feature in (
        1.0,
        targets.input,
        targets.input**2 - 1,
        jnp.sin(2 * targets.input),
        targets.time[:, None] * targets.input,
    ):
        np.testing.assert_allclose(np.mean(rest * np.asarray(feature)) / spread, 0.0, atol=0.025)
    best = losses(exact, targets).mean()
    for other in (lambda x, time: 0.9 * exact(x, time), lambda x, time: exact(x, time) + 0.1):
        assert losses(other, targets).mean() > best


@pytest.mark.parametrize("process", PROCESSES, ids=["edm", "ddpm", "vp", "flow"])
def test_targets_and_samples_have_the_items_shape(process):
    """Whole chunks ``[B, H, D]``; each item has a time of its own, and its sample depends on no other item."""
    x = noise_of(0, 6, 3, 2)
    targets = draw_targets(process, jax.random.key(0), x)
    assert targets.input.shape == targets.target.shape == x.shape
    assert targets.time.shape == targets.weight.shape == (6,)
    assert len(np.unique(targets.time)) > 1
    # A network is told times of the order of one.
    assert np.abs(targets.time).max() < 2.0

    def network(x, time):
        assert x.shape[:1] == time.shape
        return 0.1 * jnp.sin(x) + 0.1 * time[:, None, None]

    assert losses(network, targets).shape == (6,)
    draw = jax.jit(lambda noise: process.sample(network, noise, 3))
    whole = draw(x)
    np.testing.assert_allclose(draw(x[2:4]), whole[2:4], rtol=1e-5)
    np.testing.assert_array_equal(draw(x), whole)


def test_numbers_of_a_process_may_be_swept():
    """One program for several noise levels."""

    def draw(top):
        process = EDM(sigma_max=top)
        return process.sample(TWO_MODES.network(process), noise_of(0, 4, 2), 3)

    swept = jax.vmap(draw)(jnp.asarray([1.0, 10.0]))
    for row, top in zip(swept, (1.0, 10.0), strict=True):
        np.testing.assert_allclose(row, draw(top), rtol=2e-3, atol=1e-4)


def test_guidance():
    """``u + weight (c - u)``: the condition is left out, followed, and exaggerated."""

    def conditional(x, time):
        return 3.0 * x

    def unconditional(x, time):
        return x + time[:, None]

    x, time = jnp.asarray([[1.0, 2.0]]), jnp.asarray([0.5])
    for weight, expected in ((0.0, [[1.5, 2.5]]), (1.0, [[3.0, 6.0]]), (2.0, [[4.5, 9.5]])):
        np.testing.assert_allclose(guided(conditional, unconditional, weight)(x, time), expected)
    each = guided(conditional, unconditional, jnp.asarray([[0.0], [1.0]]))(jnp.repeat(x, 2, 0), jnp.repeat(time, 2))
    np.testing.assert_allclose(each, [[1.5, 2.5], [3.0, 6.0]])


def test_guidance_of_gaussians():
    """Following one of two Gaussians of the same width ``w`` times draws, in the limit of small steps, from ``p (c / p)^w`` tilted so.

    Both networks are exact and linear; guided, they are those of a third Gaussian, with the mean ``u + w (c - u)``.
    """
    process = Flow()

    def of(mean):
        return lambda x, time: (
            mean + ((time * 0.09 - (1 - time)) / (time**2 * 0.09 + (1 - time) ** 2))[:, None] * (x - time[:, None] * mean)
        )

    noise = noise_of(0, 256, 1)
    x = process.sample(guided(of(0.5), of(0.0), 2.0), noise, 100)
    np.testing.assert_allclose(x, process.sample(of(1.0), noise, 100), atol=1e-4)
    np.testing.assert_allclose(x, 1.0 + 0.3 * noise, atol=0.03)
