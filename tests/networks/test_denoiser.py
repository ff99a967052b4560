"""The denoiser network: what it reads, what it starts as, and what it learns."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from exact_denoisers import TWO_MODES, modes_of, noise_of

from rl_jax.errors import RLJaxError, UnsupportedSpace
from rl_jax.networks.denoiser import Denoiser, denoiser, fourier_frequencies, keep_condition, sinusoidal_frequencies
from rl_jax.ops.denoising import EDM, draw_targets, guided, losses
from rl_jax.spaces import Box, Dict, Discrete
from rl_jax.types import Spec

OBS = Dict({"place": Box.of(-1.0, 1.0, (3,)), "kind": Discrete(4), "privileged": Box.of(-1.0, 1.0, (2,))})
GOAL = Box.of(-1.0, 1.0, (2,))


def shaken(params):
    """Parameters with noise, so that the last layer is not zero."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: np.float32(x + 0.3 * rng.standard_normal(x.shape)), params)


def test_what_it_reads():
    """Chunks ``[B, H, D]``; dictionaries, without what is privileged; conditions where they are kept."""
    spec = Spec(OBS, Box.of(-1.0, 1.0, (5, 2)), num_envs=1, rollout_length=1)
    network = denoiser(spec, width=16, blocks=1, normalize=True, condition_space=GOAL)
    obs = {"place": noise_of(1, 4, 3), "kind": jnp.asarray([0, 1, 2, 3])}
    x, time, goal = noise_of(2, 4, 5, 2), jnp.linspace(-1.0, 1.0, 4), noise_of(3, 4, 2)
    params = jax.jit(network.init)(jax.random.key(0), x, time, obs, goal)
    apply, everywhere = jax.jit(network.apply), jnp.ones(4, bool)
    assert not np.any(apply(params, x, time, obs, goal, everywhere))  # it begins at zero
    params = shaken(params)

    def call(x=x, time=time, obs=obs, goal=goal, keep=everywhere):
        return apply(params, x, time, obs, goal, keep)

    whole = call()
    assert whole.shape == x.shape and whole.dtype == jnp.float32
    changed = [call(x=x + 1), call(time=time + 0.1), call(obs={**obs, "kind": 3 - obs["kind"]}), call(goal=goal + 1)]
    for other in changed:
        assert np.all(np.any(other != whole, axis=(1, 2)))
    keep = jnp.asarray([True, False, True, False])
    some = call(keep=keep)
    np.testing.assert_allclose(some[keep], whole[keep], rtol=1e-5)
    np.testing.assert_array_equal(some[~keep], call(goal=goal + 1, keep=keep)[~keep])
    np.testing.assert_allclose(some[~keep], call(keep=~everywhere)[~keep], rtol=1e-5)
    assert np.any(some[~keep] != call(goal=jnp.zeros_like(goal))[~keep])  # no goal is not the goal zero
    # What stands in its place is learned. (A constant would be taken out by the normalisation.)
    params = {"params": {**params["params"], "no_condition": np.arange(16, dtype=np.float32)}}
    np.testing.assert_array_equal(np.any(call(keep=keep) != some, axis=(1, 2)), ~keep)


def test_it_needs_no_observations():
    network = Denoiser((3,), width=8, blocks=1, time_features="sinusoidal", activation="silu")
    x, time = noise_of(0, 4, 3), jnp.ones(4)
    params = shaken(jax.jit(network.init)(jax.random.key(0), x, time))
    assert network.apply(params, x, time).shape == (4, 3)
    with pytest.raises(RLJaxError, match="there is no time features 'clock': use fourier, sinusoidal"):
        Denoiser((3,), time_features="clock").init(jax.random.key(0), x, time)
    with pytest.raises(UnsupportedSpace, match="a denoiser acts in Box action spaces"):
        denoiser(Spec(GOAL, Discrete(3), num_envs=1, rollout_length=1))


def test_frequencies():
    """Sizes of normal numbers, in their quantiles, and a geometric row."""
    many = fourier_frequencies(1000) / (2 * np.pi)
    np.testing.assert_allclose([many.mean(), (many**2).mean()], [np.sqrt(2 / np.pi), 1.0], rtol=0.01)
    np.testing.assert_allclose(sinusoidal_frequencies(5), [1000.0, 100.0, 10.0, 1.0, 0.1])


def test_conditions_are_left_out_at_random():
    keep = keep_condition(jax.random.key(0), 10_000, 0.1)
    assert keep.dtype == bool and abs(float(keep.mean()) - 0.9) < 0.01


def trained(process, network, steps):
    """Parameters after ``steps`` batches of the two modes; the condition is the side, left out one time in four."""
    example = jnp.zeros((1, 2)), jnp.zeros((1,)), None, jnp.zeros((1,), jnp.int32)
    params = network.init(jax.random.key(0), *example)
    adam = optax.adam(optax.cosine_decay_schedule(1e-2, steps))

    def step(carry, key):
        params, moments = carry
        key_x, key_targets, key_keep = jax.random.split(key, 3)
        x = TWO_MODES.draw(key_x, 128)
        targets = draw_targets(process, key_targets, x)
        side = (x[:, 0] > 0).astype(jnp.int32)
        keep = keep_condition(key_keep, 128, 0.25)

        def loss(params):
            return losses(lambda x, time: network.apply(params, x, time, None, side, keep), targets).mean()

        updates, moments = adam.update(jax.grad(loss)(params), moments)
        return (optax.apply_updates(params, updates), moments), None

    return jax.lax.scan(step, (params, adam.init(params)), jax.random.split(jax.random.key(1), steps))[0][0]


@pytest.mark.slow
def test_it_learns_two_modes():
    """Both without a condition, in their shares; one of them with it."""
    process, network = EDM(sigma_min=0.01, sigma_max=2.0), Denoiser((2,), None, Discrete(2), width=32)
    params = jax.jit(lambda: trained(process, network, 500))()
    noise, right = noise_of(4, 2048, 2), jnp.ones((2048,), jnp.int32)

    @jax.jit
    def draw(weight):
        def apply(keep):
            return lambda x, time: network.apply(params, x, time, None, right, keep)

        return process.sample(guided(apply(True), apply(False), weight), noise, 8)

    shares, means, stds = modes_of(np.asarray(draw(0.0)))
    np.testing.assert_allclose(shares, TWO_MODES.weights, atol=0.08)
    np.testing.assert_allclose(means, TWO_MODES.means, atol=0.1)
    assert np.all(stds < 0.3)
    x = np.asarray(draw(1.0))
    assert (x[:, 0] > 0).mean() > 0.98
    np.testing.assert_allclose(x.mean(axis=0), TWO_MODES.means[1], atol=0.08)
