"""Discriminators: losses, rewards and penalties against closed forms, and what counts in a batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import context, leaves_equal, rollout_of

from rl_jax.data import of_arrays
from rl_jax.errors import RLJaxError
from rl_jax.rewards import Discriminator, DiscriminatorNetwork, GradientPenalty, LeastSquares, Logistic
from rl_jax.rewards.divergences import REWARDS
from rl_jax.rewards.gradient_penalty import gradient_norm
from rl_jax.rewards.steps import steps_of
from rl_jax.spaces import Box, Discrete
from rl_jax.types import Spec

SPEC = Spec(Box.of(-np.inf, np.inf, (2,)), Box.of(-1.0, 1.0, (1,)), 1, 1)
LINEAR = DiscriminatorNetwork(hidden=())


def expert_of(obs, action=None, terminated=None, next_obs=None):
    """A data set of episodes of one step, or of one that ends where ``terminated`` says."""
    number = len(obs)
    ended = np.ones(number, bool) if terminated is None else terminated
    arrays = {"obs": obs, "next_obs": obs if next_obs is None else next_obs, "reward": np.zeros(number), "terminated": ended}
    arrays |= {"action": np.zeros((number, 1)) if action is None else action}
    return of_arrays(arrays, SPEC.obs_space, SPEC.action_space)


def batch_of(obs, **more):
    """Steps ``[1, B]`` with no actions to speak of."""
    batch = rollout_of(np.zeros(obs.shape[:2]), obs=jnp.asarray(obs, jnp.float32), **more)
    return batch.replace(action=jnp.zeros((*obs.shape[:2], 1)), start=None, last=None)


@jax.jit
def learned(model, state, batches, seed):
    """After one step on each of ``batches`` ``[steps, 1, B]``."""

    def step(state, given):
        batch, key = given
        return model.learn(state, batch, context().replace(key=key))[0], None

    number = jax.tree.leaves(batches)[0].shape[0]
    return jax.lax.scan(step, state, (batches, jax.random.split(jax.random.key(seed), number)))[0]


def repeated(batch, number):
    return jax.tree.map(lambda x: jnp.repeat(jnp.asarray(x)[None], number, axis=0), batch)


def keyed(seed):
    return context().replace(key=jax.random.key(seed))


def test_losses_and_rewards_are_those_of_the_papers():
    f = np.array([-3.0, -0.2, 0.0, 1.7], np.float32)
    d = 1 / (1 + np.exp(-f.astype(np.float64)))
    entropy = -d * np.log(d) - (1 - d) * np.log(1 - d)
    plain, smooth = Logistic(), Logistic((0.7, 1.2), 0.5)
    np.testing.assert_allclose(plain.expert(f, jax.random.key(0)), -np.log(d), rtol=1e-5)
    np.testing.assert_allclose(plain.learner(f), -np.log(1 - d), rtol=1e-5)
    np.testing.assert_allclose(smooth.learner(f), -np.log(1 - d) - 0.5 * entropy, rtol=1e-5)
    label = 0.7 + 0.5 * np.asarray(jax.random.uniform(jax.random.key(1), (4,)))
    expected = -label * np.log(d) - (1 - label) * np.log(1 - d) - 0.5 * entropy
    np.testing.assert_allclose(smooth.expert(f, jax.random.key(1)), expected, rtol=1e-5)
    np.testing.assert_allclose(LeastSquares().expert(f, jax.random.key(0)), (f - 1) ** 2, rtol=1e-5)
    np.testing.assert_allclose(LeastSquares().learner(f), (f + 1) ** 2, rtol=1e-5)
    rewards = {"gail": -np.log(1 - d), "airl": np.log(d) - np.log(1 - d), "probability": d}
    rewards["least-squares"] = np.array([0.0, 0.64, 0.75, 0.8775])
    for form, expected in rewards.items():
        np.testing.assert_allclose(REWARDS[form](f), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("one_sided", "target", "expected"), [(False, 1.0, 3.0 * 16), (False, 9.0, 3.0 * 16), (True, 9.0, 0.0)]
)
def test_the_penalty_of_a_linear_function_is_exact(one_sided, target, expected):
    draw, w = np.random.default_rng(0), jnp.array([3.0, 0.0, -4.0])
    penalty = GradientPenalty(3.0, target, one_sided)
    x = jnp.asarray(draw.normal(size=(2, 5, 3)), jnp.float32)
    assert float(penalty(lambda x: x @ w + 1.0, x[0], x[1], jax.random.key(0))) == pytest.approx(expected, rel=1e-5)


def test_the_penalty_is_of_points_between_the_pairs():
    """With ``f = |x|^2 / 2`` the gradient is the point itself; from 0 to 2, the mean square of a uniform number is 4/3."""
    expert, learner = jnp.zeros((4000, 1)), jnp.full((4000, 1), 2.0)
    found = GradientPenalty(1.0, 0.0)(lambda x: 0.5 * jnp.sum(x**2, -1), expert, learner, jax.random.key(0))
    assert float(found) == pytest.approx(4 / 3, abs=0.06)
    flat = jax.grad(lambda w: jnp.sum(gradient_norm(lambda x: w * x[:, 0], jnp.ones((2, 1)))))(0.0)
    assert np.isfinite(flat)


def test_a_linear_discriminator_finds_the_ratio_of_two_gaussians():
    """Of unit variance: ``log p/q = (m - n) x + (|n|^2 - |m|^2) / 2``; here ``m - n = (1, -0.5)``."""
    draw, m, n = np.random.default_rng(0), np.array([1.0, 0.0]), np.array([0.0, 0.5])
    model = Discriminator(expert_of(m + draw.normal(size=(20_000, 2))), 0.01, network=LINEAR, sees=("obs",))

    def step(state, key):
        keys = jax.random.split(key)
        obs = jnp.asarray(n) + jax.random.normal(keys[0], (1, 512, 2))
        return model.learn(state, batch_of(obs), context().replace(key=keys[1]))[0], None

    state = jax.jit(lambda key: jax.lax.scan(step, model.init(key, SPEC), jax.random.split(key, 1500))[0])(jax.random.key(0))
    kernel, bias = state.params["Dense_0"]["kernel"][:, 0], state.params["Dense_0"]["bias"]
    np.testing.assert_allclose(kernel, m - n, atol=0.1)
    np.testing.assert_allclose(bias, (0.25 - 1.0) / 2, atol=0.1)


def test_steps_of_a_data_set_have_the_observation_that_followed():
    obs = np.arange(6.0)[:, None] * np.ones((1, 2))
    data = expert_of(obs, terminated=np.array([False, False, True, False, False, True]), next_obs=obs + 1)
    steps = steps_of(data, jnp.array([5, 1, 2, 4]))
    np.testing.assert_array_equal(steps.obs[:, 0], [5, 1, 2, 4])
    np.testing.assert_array_equal(steps.next_obs[:, 0], [6, 2, 3, 5])
    np.testing.assert_array_equal(steps.terminated, [True, False, True, False])


def test_only_what_counts_is_learned_from():
    draw = np.random.default_rng(0)
    obs, other = draw.normal(size=(2, 1, 6, 2))
    other[:, :3] = obs[:, :3]
    expert = expert_of(draw.normal(size=(5, 2)))
    counts = np.array([[1.0, 2.0, 1.0, 0.0, 0.0, 0.0]])
    for weigh, name, some in (("share", "share", counts), (None, "mask", counts > 0)):
        model = Discriminator(expert, weigh=weigh, network=DiscriminatorNetwork((4,)))
        state = model.init(jax.random.key(0), SPEC)
        cases = ((obs, some), (other, some), (obs, np.ones_like(some)), (other, np.ones_like(some)))
        found = [learned(model, state, repeated(batch_of(x, **{name: given}), 1), 1) for x, given in cases]
        assert leaves_equal(found[0], found[1]) and not leaves_equal(found[2], found[3])
        assert not leaves_equal(found[0], found[2])


def test_absorbing_states_are_paid_where_the_task_ended_alone():
    draw = np.random.default_rng(0)
    obs = draw.normal(size=(1, 4, 2))
    terminated, truncated = np.array([[True, False, False, False]]), np.array([[False, True, False, False]])
    model = Discriminator(expert_of(draw.normal(size=(5, 2))), absorbing=0.9, form="airl", network=DiscriminatorNetwork((4,)))
    state = model.init(jax.random.key(0), SPEC)
    state = learned(model, state, repeated(batch_of(obs, terminated=terminated), 3), 1)
    x = np.concatenate([obs[0], np.zeros((4, 2))], axis=-1).astype(np.float32)
    own, after = model.output(state, x), model.output(state, np.array([[0.0, 0.0, 0.0, 1.0]], np.float32))
    found = model.reward(state, batch_of(obs, terminated=terminated, truncated=truncated), keyed(0))[0]
    np.testing.assert_allclose(found, own + 9.0 * after * terminated[0], rtol=1e-5)


def test_an_absorbing_state_that_the_expert_never_meets_is_worth_less():
    """The expert goes on for ever, the learner ends at every second step: the reward for ever is that of a learner's step."""
    obs = np.random.default_rng(0).normal(size=(1, 64, 2))
    data = of_arrays(
        {
            "obs": obs[0],
            "next_obs": obs[0],
            "action": np.zeros((64, 1)),
            "reward": np.zeros(64),
            "terminated": np.zeros(64, bool),
        }
        | {"truncated": np.ones(64, bool)},
        SPEC.obs_space,
        SPEC.action_space,
    )
    model = Discriminator(data, 0.05, absorbing=0.9, form="airl", network=LINEAR)
    batch = batch_of(obs, terminated=np.arange(64)[None] % 2 == 0)
    state = model.init(jax.random.key(0), SPEC)
    state = learned(model, state, repeated(batch, 200), 1)
    assert float(model.output(state, jnp.array([[0.0, 0.0, 0.0, 1.0]]))[0]) < -2.0


def test_spectral_normalisation_makes_the_largest_singular_value_one():
    draw = np.random.default_rng(0)
    model = Discriminator(expert_of(draw.normal(size=(5, 2))), 0.01, network=DiscriminatorNetwork((8, 6), "relu", True))
    state = model.init(jax.random.key(0), SPEC)
    batches = batch_of(draw.normal(size=(1, 4, 2)))
    state = learned(model, state, repeated(batches, 200), 1)
    # The kernels stand still, and the iteration goes on: at first all of their singular values are alike.
    state = learned(model.replace(learning_rate=0.0), state, repeated(batches, 200), 2)
    for name, size in (("SpectralDense_0", (3, 8)), ("SpectralDense_1", (8, 6))):
        kernel, kept = np.asarray(state.params[name]["kernel"]), state.singular[name]
        assert kernel.shape == size
        found = np.asarray(kept["left"]) @ kernel @ np.asarray(kept["right"])
        assert found == pytest.approx(np.linalg.svd(kernel)[1][0], rel=0.02)


def test_mistakes_are_named():
    expert = expert_of(np.zeros((3, 2)))
    with pytest.raises(RLJaxError, match="give a data set"):
        Discriminator(None).init(jax.random.key(0), SPEC)
    with pytest.raises(RLJaxError, match="use the environment of the data"):
        Discriminator(expert).init(jax.random.key(0), Spec(SPEC.obs_space, Discrete(2), 1, 1))
    with pytest.raises(RLJaxError, match="sees some of"):
        Discriminator(expert, sees=("reward",)).init(jax.random.key(0), SPEC)
    with pytest.raises(RLJaxError, match="form of the reward"):
        Discriminator(expert, form="log").init(jax.random.key(0), SPEC)
    with pytest.raises(RLJaxError, match=r"0\.999999"):
        Discriminator(expert, absorbing=1.0).init(jax.random.key(0), SPEC)
