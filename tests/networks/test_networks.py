"""Networks and distributions against closed forms, Monte Carlo and NumPy."""

import itertools
import math
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_jax.networks import (
    CNN,
    GRU,
    MLP,
    Categorical,
    Conv,
    DiagonalGaussian,
    MultiCategorical,
    actor_critic,
    orthogonal,
    to_float,
    to_vector,
)
from rl_jax.networks.memory import recurrent
from rl_jax.spaces import Box, Discrete, MultiDiscrete
from rl_jax.types import Spec

RNG = np.random.default_rng(0)
DRAWS = 40_000


def random(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


# --------------------------------------------------------------------------------------------------- distributions


def test_categorical():
    """Probabilities sum to one, samples follow them, and entropy and KL are the sums that define them."""
    p, q = Categorical(random(5)), Categorical(random(5))
    log_p = np.array([float(p.log_prob(jnp.int32(a))) for a in range(5)])
    log_q = np.array([float(q.log_prob(jnp.int32(a))) for a in range(5)])
    probs = np.exp(log_p)
    np.testing.assert_allclose(probs.sum(), 1.0, rtol=1e-5)
    np.testing.assert_allclose(probs, np.exp(p.logits) / np.exp(p.logits).sum(), rtol=1e-5)
    np.testing.assert_allclose(p.entropy(), -(probs * log_p).sum(), rtol=1e-5)
    np.testing.assert_allclose(p.kl(q), (probs * (log_p - log_q)).sum(), rtol=1e-4)
    np.testing.assert_allclose(p.kl(p), 0.0, atol=1e-6)
    assert int(p.mode()) == int(np.argmax(log_p))
    samples = Categorical(jnp.broadcast_to(p.logits, (DRAWS, 5))).sample(jax.random.key(0))
    assert samples.dtype == jnp.int32
    np.testing.assert_allclose(np.bincount(samples, minlength=5) / DRAWS, probs, atol=0.01)


@pytest.mark.slow
def test_multi_categorical_is_a_product():
    """Every joint probability is the product of its parts'; nothing leaks between the parts."""
    nvec = (3, 2, 4)
    logits, other = random(9), random(9)
    joint, joint_other = MultiCategorical(logits, nvec), MultiCategorical(other, nvec)
    cuts = [0, 3, 5, 9]
    parts = [Categorical(logits[a:b]) for a, b in itertools.pairwise(cuts)]
    others = [Categorical(other[a:b]) for a, b in itertools.pairwise(cuts)]
    actions = np.array(list(itertools.product(*map(range, nvec))), np.int32)
    log_probs = MultiCategorical(jnp.broadcast_to(logits, (len(actions), 9)), nvec).log_prob(jnp.asarray(actions))
    expected = sum(np.asarray(jax.nn.log_softmax(part.logits))[actions[:, i]] for i, part in enumerate(parts))
    np.testing.assert_allclose(log_probs, expected, rtol=1e-5)
    np.testing.assert_allclose(np.exp(log_probs).sum(), 1.0, rtol=1e-5)
    np.testing.assert_allclose(joint.entropy(), sum(p.entropy() for p in parts), rtol=1e-5)
    np.testing.assert_allclose(joint.kl(joint_other), sum(p.kl(q) for p, q in zip(parts, others, strict=True)), rtol=1e-4)
    np.testing.assert_array_equal(joint.mode(), [int(p.mode()) for p in parts])
    samples = np.asarray(MultiCategorical(jnp.broadcast_to(logits, (DRAWS, 9)), nvec).sample(jax.random.key(0)))
    frequencies = np.array([(samples == action).all(axis=1).mean() for action in actions])
    np.testing.assert_allclose(frequencies, np.exp(log_probs), atol=0.01)


def test_diagonal_gaussian():
    """The density integrates to one, entropy and KL are expectations of it, samples have its moments."""
    p = DiagonalGaussian(jnp.asarray([0.5, -1.0]), jnp.log(jnp.asarray([0.5, 2.0])))
    q = DiagonalGaussian(jnp.asarray([0.0, 1.0]), jnp.log(jnp.asarray([1.0, 1.5])))
    grid = jnp.linspace(-12, 12, 401)
    points = jnp.stack(jnp.meshgrid(grid, grid), axis=-1)

    def density(d):
        return np.asarray(
            DiagonalGaussian(jnp.broadcast_to(d.mean, points.shape), jnp.broadcast_to(d.log_std, points.shape)).log_prob(points)
        )

    log_p, log_q, cell = density(p), density(q), float(grid[1] - grid[0]) ** 2
    np.testing.assert_allclose(np.exp(log_p).sum() * cell, 1.0, rtol=1e-3)
    np.testing.assert_allclose(p.entropy(), -(np.exp(log_p) * log_p).sum() * cell, rtol=1e-3)
    np.testing.assert_allclose(p.kl(q), (np.exp(log_p) * (log_p - log_q)).sum() * cell, rtol=1e-3)
    np.testing.assert_allclose(p.log_prob(p.mean), -2 * 0.5 * math.log(2 * math.pi) - math.log(0.5 * 2.0), rtol=1e-5)
    np.testing.assert_array_equal(p.mode(), p.mean)
    wide = DiagonalGaussian(jnp.broadcast_to(p.mean, (DRAWS, 2)), jnp.broadcast_to(p.log_std, (DRAWS, 2)))
    samples = np.asarray(wide.sample(jax.random.key(0)))
    np.testing.assert_allclose(samples.mean(0), p.mean, atol=0.04)
    np.testing.assert_allclose(samples.std(0), [0.5, 2.0], rtol=0.02)
    assert abs(np.corrcoef(samples.T)[0, 1]) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["categorical", "multi", "gaussian"])
def test_distributions_in_batches(kind):
    """Leading axes ``[T, N]`` are kept, and each element is what it would be alone."""
    make = {
        "categorical": Categorical,
        "multi": lambda x: MultiCategorical(x, (3, 2)),
        "gaussian": lambda x: DiagonalGaussian(x, 0.1 * x),
    }[kind]
    x, y = random(4, 2, 5), random(4, 2, 5)
    batch, other = make(x), make(y)
    action = batch.sample(jax.random.key(1))
    for got, function in (
        (batch.log_prob(action), lambda x, y, a: make(x).log_prob(a)),
        (batch.entropy(), lambda x, y, a: make(x).entropy()),
        (batch.kl(other), lambda x, y, a: make(x).kl(make(y))),
    ):
        assert got.shape == (4, 2)
        alone = jax.jit(function)
        expected = [[alone(x[t, n], y[t, n], action[t, n]) for n in range(2)] for t in range(4)]
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------------------------------------------------- torsos


@pytest.mark.slow
@pytest.mark.parametrize(("size", "stride", "height", "width"), [(3, 1, 10, 10), (3, 2, 9, 8), (2, 2, 7, 6), (1, 1, 3, 4)])
def test_conv_is_a_convolution(size, stride, height, width):
    """The patches are cut and ordered as the kernel expects them, for odd sizes and strides too; and so are gradients."""
    conv = Conv(5, size, stride)
    x = random(2, 3, height, width, 4)
    variables = conv.init(jax.random.key(0), x)
    variables = jax.tree.map(lambda p: p + random(*p.shape), variables)

    def expected(variables, x):
        kernel = variables["params"]["Dense_0"]["kernel"].reshape(size, size, 4, 5)
        numbers = ("NHWC", "HWIO", "NHWC")
        x = x.reshape(6, height, width, 4)
        y = jax.lax.conv_general_dilated(x, kernel, (stride, stride), "VALID", dimension_numbers=numbers)
        return y.reshape(2, 3, *y.shape[1:]) + variables["params"]["Dense_0"]["bias"]

    np.testing.assert_allclose(conv.apply(variables, x), expected(variables, x), rtol=1e-3, atol=1e-4)
    ours, theirs = (jax.grad(lambda v, x, f=f: jnp.sum(jnp.sin(f(v, x))), (0, 1))(variables, x) for f in (conv.apply, expected))
    chex.assert_trees_all_close(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_cnn_shapes():
    """Any leading axes; each image is seen alone."""
    net = CNN(Box.of(0, 1, (6, 5, 2)), filters=(3,), width=7)
    x = random(4, 2, 6, 5, 2)
    variables = net.init(jax.random.key(0), x)
    out = net.apply(variables, x)
    assert out.shape == (4, 2, 7)
    np.testing.assert_allclose(out[2, 1], net.apply(variables, x[2, 1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(), (2,), (2, 3)])
def test_gaussian_reduces_over_the_action_only(shape):
    """A scalar or a matrix action has one log-probability too; batch axes must not be summed away."""
    batch = DiagonalGaussian(random(4, 2, *shape), 0.1 * random(4, 2, *shape), len(shape))
    flat = DiagonalGaussian(batch.mean.reshape(4, 2, -1), batch.log_std.reshape(4, 2, -1))
    action = random(4, 2, *shape)
    np.testing.assert_allclose(batch.log_prob(action), flat.log_prob(action.reshape(4, 2, -1)), rtol=1e-5)
    np.testing.assert_allclose(batch.entropy(), flat.entropy(), rtol=1e-5)
    np.testing.assert_allclose(
        batch.kl(batch.replace(mean=action)), flat.kl(flat.replace(mean=action.reshape(4, 2, -1))), rtol=1e-4
    )


def test_mlp_by_hand():
    """Each layer is affine, then the activation; an empty one is the identity."""
    x = random(3, 4)
    net = MLP((5, 2))
    variables = jax.tree.map(lambda p: p + 0.1, net.init(jax.random.key(0), x))
    h = np.asarray(x)
    for i in range(2):
        layer = variables["params"][f"Dense_{i}"]
        h = np.tanh(h @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"]))
    np.testing.assert_allclose(net.apply(variables, x), h, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(MLP(()).apply({}, x), x)


def test_observations_as_floats():
    """Names become one-hot, bytes fractions, vectors stay; unknown leading axes survive flattening."""
    np.testing.assert_array_equal(to_float(jnp.asarray([[2]]), Discrete(3)), [[[0, 0, 1]]])
    np.testing.assert_array_equal(to_float(jnp.asarray([[1, 0]]), MultiDiscrete((2, 3))), [[0, 1, 1, 0, 0]])
    np.testing.assert_allclose(to_float(jnp.asarray([0, 255], jnp.uint8), Box.of(0, 255, (2,), jnp.uint8)), [0.0, 1.0])
    assert to_vector(jnp.zeros((4, 3, 2, 2)), Box.of(0, 1, (2, 2))).shape == (4, 3, 4)
    assert to_vector(jnp.zeros((4, 3), jnp.int32), Discrete(6)).shape == (4, 3, 6)
    assert to_vector(jnp.zeros((4, 3)), Box.of(0, 1, ())).shape == (4, 3, 1)


# ------------------------------------------------------------------------------------------------------------- GRU

T, N, WIDTH, FEATURES = 6, 3, 4, 2


@pytest.fixture(scope="module")
def gru():
    net = GRU(WIDTH)
    x, first, carry = random(T, N, FEATURES), jnp.asarray(RNG.uniform(size=(T, N)) < 0.3).at[0, 0].set(True), random(N, WIDTH)
    variables = net.init(jax.random.key(0), carry, x, first)
    return net, jax.tree.map(lambda p: p + 0.3 * random(*p.shape), variables), x, first, carry


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def test_gru_is_its_equations(gru):
    """Reset gate after the recurrent product, update gate keeps the old; zeroed before a step that begins an episode."""
    net, variables, x, first, carry = gru
    p = jax.tree.map(np.asarray, variables["params"])
    h, hidden = np.asarray(carry), []
    for t in range(T):
        h = np.where(np.asarray(first)[t][:, None], 0.0, h)
        xr, xz, xn = np.split(np.asarray(x)[t] @ p["input"]["kernel"] + p["input"]["bias"], 3, axis=-1)
        hr, hz, hn = np.split(h @ p["recurrent"], 3, axis=-1)
        z = sigmoid(xz + hz)
        h = (1 - z) * np.tanh(xn + sigmoid(xr + hr) * (hn + p["candidate_bias"])) + z * h
        hidden.append(h)
    after, got = net.apply(variables, carry, x, first)
    np.testing.assert_allclose(got, hidden, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(after, hidden[-1], rtol=1e-4, atol=1e-5)


def test_gru_unrolled_is_stepped(gru):
    """Learning unrolls what acting did step by step; a difference would be a probability ratio that is not one."""
    net, variables, x, first, carry = gru
    after, hidden = net.apply(variables, carry, x, first)
    for t in range(T):
        carry, one = net.apply(variables, carry, x[t : t + 1], first[t : t + 1])
        np.testing.assert_allclose(one[0], hidden[t], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(carry, after, rtol=1e-5, atol=1e-6)


def test_gru_forgets_at_the_beginning_of_an_episode(gru):
    """What came before ``first`` must not be seen after it, in that environment only."""
    net, variables, x, _, carry = gru
    first = jnp.zeros((T, N), bool).at[2, 1].set(True)
    _, a = net.apply(variables, carry, x, first)
    _, b = net.apply(variables, carry + 1.0, x.at[:2].add(1.0), first)
    np.testing.assert_array_equal(a[2:, 1], b[2:, 1])
    assert np.abs(a[2:, 0] - b[2:, 0]).min() > 1e-5
    assert np.abs(a[1, 1] - b[1, 1]).min() > 1e-5


@pytest.mark.slow
def test_gru_derivatives_are_those_of_its_steps():
    """In every mode and to the second order, against JAX's own derivative of the scan; also for a batch of networks."""
    rng = np.random.default_rng(1)
    shapes = (WIDTH, 3 * WIDTH), (WIDTH,), (3, WIDTH), (7, 3, 3 * WIDTH)
    primals = tuple(jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)
    tangents = tuple(jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)
    first = jnp.asarray(rng.random((7, 3)) < 0.3)

    def ours(*args):
        return recurrent.gru(*args, first)

    def plainly(*args):
        last, (memories, _) = recurrent._steps(*args, first)
        return last, memories

    def loss(f, *args):
        last, memories = f(*args)
        return jnp.sum(jnp.sin(last)) + jnp.sum(memories**2)

    def derivatives(f):
        grad = jax.grad(partial(loss, f), argnums=range(4))
        many = jax.tree.map(lambda x: jnp.stack([x, -x]), primals)
        return jax.jvp(f, primals, tangents), grad(*primals), jax.jvp(grad, primals, tangents), jax.vmap(grad)(*many)

    chex.assert_trees_all_close(derivatives(ours), derivatives(plainly), rtol=2e-5, atol=2e-5)


def test_gru_recurrent_blocks_are_orthogonal():
    """Each gate's own block, not the three together."""
    variables = GRU(WIDTH).init(jax.random.key(0), jnp.zeros((1, WIDTH)), jnp.zeros((1, 1, 2)), jnp.ones((1, 1), bool))
    blocks = np.split(np.asarray(variables["params"]["recurrent"]), 3, axis=-1)
    for block in blocks:
        np.testing.assert_allclose(block @ block.T, np.eye(WIDTH), atol=1e-5)
    assert np.abs(blocks[0] - blocks[1]).max() > 0.1


# ---------------------------------------------------------------------------------------------------- actor-critic

OBS_SPACES = {
    "vector": Box.of(-1, 1, (3,)),
    "scalar": Box.of(-1, 1, ()),
    "image": Box.of(0, 1, (5, 5, 2)),
    "bytes": Box.of(0, 255, (5, 5, 2), jnp.uint8),
    "matrix": Box.of(-1, 1, (2, 3)),
    "name": Discrete(4),
    "names": MultiDiscrete((3, 2)),
}
ACTION_SPACES = {
    "discrete": Discrete(3),
    "multi": MultiDiscrete((3, 2)),
    "box": Box.of(-2, 2, (2,)),
    "matrix": Box.of(-2, 2, (2, 2)),
    "scalar": Box.of(-2, 2, ()),
}


@pytest.mark.parametrize("memory", ["none", "gru"])
@pytest.mark.parametrize(
    ("obs_kind", "action_kind"),
    [(obs, "discrete") for obs in OBS_SPACES] + [("vector", action) for action in ACTION_SPACES if action != "discrete"],
)
def test_actor_critic_serves_every_space(obs_kind, action_kind, memory):
    """Shapes and dtypes of actions, log-probabilities and values are right for each, with and without memory."""
    obs_space, action_space = OBS_SPACES[obs_kind], ACTION_SPACES[action_kind]
    net = actor_critic(Spec(obs_space, action_space, 2, 4), hidden=(8,), memory=memory, memory_width=6)

    def run(key):
        keys = jax.random.split(key)
        obs = jnp.ones((4, 2, *obs_space.shape), obs_space.dtype)
        first = jnp.zeros((4, 2), bool)
        carry = net.initial_carry(2)
        variables = net.init(keys[0], carry, obs, first)
        after, out = net.apply(variables, carry, obs, first)
        action = out.policy.sample(keys[1])
        return carry, after, action, out.policy.log_prob(action), out.policy.mode(), out.value, out.hidden

    carry, after, action, log_prob, mode, value, hidden = jax.eval_shape(run, jax.random.key(0))
    assert action.shape == mode.shape == (4, 2, *action_space.shape)
    assert action.dtype == mode.dtype == action_space.dtype
    assert log_prob.shape == value.shape == hidden.shape[:2] == (4, 2)
    assert value.dtype == jnp.float32
    assert jax.tree.map(lambda c: (c.shape, c.dtype), carry) == jax.tree.map(lambda c: (c.shape, c.dtype), after)
    assert bool(jax.tree.leaves(carry)) == (memory == "gru")


def test_the_first_policy_is_nearly_uniform():
    """Whatever the observation, the first actions must explore."""
    net = actor_critic(Spec(OBS_SPACES["vector"], Discrete(3), 2, 4), hidden=(8,))
    obs, first = 5.0 * random(4, 2, 3), jnp.zeros((4, 2), bool)
    _, out = net.apply(net.init(jax.random.key(0), (), obs, first), (), obs, first)
    np.testing.assert_allclose(out.policy.entropy(), math.log(3), atol=1e-3)


@pytest.mark.parametrize("shape", [(4, 64), (64, 64), (1024, 128), (64, 1), (1, 3)])
def test_orthogonal_rows_or_columns(shape):
    """The shorter side is orthonormal to float32 precision, and as long as asked."""
    found = np.asarray(orthogonal(1.5)(jax.random.key(0), shape), np.float64)
    product = found @ found.T if shape[0] <= shape[1] else found.T @ found
    np.testing.assert_allclose(product, 1.5**2 * np.eye(min(shape)), atol=3e-6)


def test_orthogonal_is_uniform():
    """Every entry of a Haar matrix has mean 0 and variance 1/n; the signs of the diagonal are fair."""
    draws = np.asarray(jax.vmap(lambda key: orthogonal()(key, (4, 4)))(jax.random.split(jax.random.key(1), 4000)))
    np.testing.assert_allclose(draws.mean(axis=0), 0, atol=0.04)
    np.testing.assert_allclose(draws.var(axis=0), 0.25, atol=0.02)
    np.testing.assert_allclose(np.mean(np.linalg.det(draws) > 0), 0.5, atol=0.03)


def test_no_factorisation_in_a_batch_of_networks():
    """A batched QR of jaxlib can wait for itself for ever on two cores: no program of ours may hold one."""
    net = actor_critic(Spec(Box.of(-1, 1, (3,)), Discrete(2), 1, 1), memory="gru")
    arguments = net.initial_carry(1), jnp.zeros((1, 1, 3)), jnp.ones((1, 1), bool)
    program = jax.make_jaxpr(jax.vmap(lambda key: net.init(key, *arguments)))(jax.random.split(jax.random.key(0), 4))
    assert not any(name in str(program) for name in ("householder", "geqrf", "qr["))
