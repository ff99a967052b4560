"""The transformer for whole rollouts: that of any rollout, in fewer operations."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_jax.errors import RLJaxError
from rl_jax.networks import Transformer

RNG = np.random.default_rng(0)
T, N, FEATURES, SEEDS = 7, 3, 5, 2
FIRST = jnp.zeros((T, N), bool).at[0].set(True)


def random(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


@partial(jax.jit, static_argnums=0)
def passed(net, variables, x, first):
    """All steps in one pass."""
    return net.apply(variables, net.initial_carry(x.shape[1]), x, first)[1]


@partial(jax.jit, static_argnums=0)
def stepped(net, variables, x, first):
    """The same, one step at a time."""

    def step(carry, row):
        carry, out = net.apply(variables, carry, row[0][None], row[1][None])
        return carry, out[0]

    return jax.lax.scan(step, net.initial_carry(x.shape[1]), (x, first))[1]


@pytest.fixture(scope="module", params=["none", "kv"])
def case(request):
    """Both kinds, the same shaken parameters, and features."""
    plain, aligned = (Transformer(8, length=T, layers=2, heads=2, sink=request.param, aligned=x) for x in (False, True))
    variables = plain.init(jax.random.key(0), plain.initial_carry(N), random(T, N, FEATURES), FIRST)
    fresh = aligned.init(jax.random.key(0), aligned.initial_carry(N), random(T, N, FEATURES), FIRST)
    jax.tree.map(np.testing.assert_array_equal, variables, fresh)
    return plain, aligned, jax.tree.map(lambda p: p + 0.3 * random(*p.shape), variables), random(T, N, FEATURES)


def close(a, b, size=1e-5):
    np.testing.assert_allclose(a, b, rtol=size, atol=size)


@pytest.mark.slow
def test_as_plain(case):
    """In one pass and step by step, with the same parameters."""
    plain, aligned, variables, x = case
    expected = passed(plain, variables, x, FIRST)
    close(passed(aligned, variables, x, FIRST), expected)
    close(stepped(aligned, variables, x, FIRST), expected)


@pytest.mark.slow
def test_gradient(case):
    """For the parameters and for what comes in."""
    plain, aligned, variables, x = case
    weight = random(T, N, 8)

    def slopes(net):
        return jax.jit(jax.grad(lambda v, x: jnp.sum(weight * passed(net, v, x, FIRST)), (0, 1)))(variables, x)

    jax.tree.map(partial(close, size=1e-4), slopes(aligned), slopes(plain))


def test_columns_are_apart(case):
    """What a column is does not depend on which others there are."""
    _, aligned, variables, x = case
    for run in (passed, stepped):
        close(run(aligned, variables, x[:, 1:2], FIRST[:, 1:2]), run(aligned, variables, x, FIRST)[:, 1:2])


@pytest.mark.slow
def test_seeds_side_by_side(case):
    """Parameters and features of each seed, and one ``first`` for all or one for each."""
    _, aligned, variables, x = case
    many = jax.tree.map(lambda p: jnp.stack([p, p + 0.1]), variables)
    xs = jnp.stack([x, -x])
    for run in (passed, stepped):
        alone = jnp.stack([run(aligned, jax.tree.map(lambda p: p[i], many), xs[i], FIRST) for i in range(SEEDS)])  # noqa: B023
        close(jax.vmap(partial(run, aligned), (0, 0, None))(many, xs, FIRST), alone)
        close(jax.vmap(partial(run, aligned))(many, xs, jnp.stack([FIRST] * SEEDS)), alone)


@pytest.mark.slow
def test_a_rollout_begins_with_nothing(case):
    """Neither a step nor a pass sees what an earlier rollout has left."""
    _, aligned, variables, x = case
    carry, _ = aligned.apply(variables, aligned.initial_carry(N), random(3, N, FEATURES), FIRST[:3])
    _, one = aligned.apply(variables, carry, x[:1], FIRST[:1])
    close(one[0], passed(aligned, variables, x, FIRST)[0])
    close(aligned.apply(variables, carry, x, FIRST)[1], passed(aligned, variables, x, FIRST))


@pytest.mark.slow
def test_acting_after_a_pass(case):
    """The memory after a pass is that of as many steps."""
    _, aligned, variables, x = case
    carry, _ = aligned.apply(variables, aligned.initial_carry(N), x[:4], FIRST[:4])
    _, out = aligned.apply(variables, carry, x[4:5], FIRST[4:5])
    close(out[0], passed(aligned, variables, x, FIRST)[4])


def test_what_is_no_whole_rollout(case):
    """An episode that begins later, and one that had begun before, are not numbers; their neighbours are."""
    _, aligned, variables, x = case
    wrong = FIRST.at[3, 1].set(True).at[0, 2].set(False)
    bad = np.isnan(np.asarray(passed(aligned, variables, x, wrong))).all(axis=(0, 2))
    assert bad.tolist() == [False, True, True]


def test_longer_than_its_memory():
    net = Transformer(8, length=T - 1, aligned=True)
    with pytest.raises(RLJaxError, match=f"length={T}"):
        net.init(jax.random.key(0), net.initial_carry(N), random(T, N, FEATURES), FIRST)
