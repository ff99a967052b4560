"""Array functions: permutations, discounted sums, branches that stay branches, the exact counter."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import places

from rl_jax.loop.counter import Counter
from rl_jax.ops import any_true, discounted_sum, permutation, random_index, unrolled_threefry
from rl_jax.ops.arrays.product import product

# ---------------------------------------------------------------------------------------------------- permutation


def bijection(key, n):
    rows = np.asarray(permutation(key, n))
    return rows.dtype == np.int32 and np.array_equal(np.sort(rows), np.arange(n))


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32, 33, 63, 64, 65, 100, 129, 257, 300])
def test_permutation_is_a_bijection(n):
    """Otherwise a minibatch holds a step twice and another never."""
    many = jax.vmap(lambda key: permutation(key, n))(jax.random.split(jax.random.key(n), 20))
    assert np.array_equal(np.sort(many, axis=1), np.tile(np.arange(n), (20, 1)))


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), n=st.sampled_from([6, 24, 96, 192]))
def test_permutation_is_a_bijection_for_every_key(seed, n):
    """A key whose words make a round non-invertible would drop items."""
    assert bijection(jax.random.key(seed), n)


def test_permutations_of_different_keys_differ():
    """Every epoch must be dealt anew."""
    rows = jax.vmap(lambda key: permutation(key, 64))(jax.random.split(jax.random.key(0), 500))
    assert len(np.unique(rows, axis=0)) == 500


@pytest.mark.parametrize("n", [4, 8, 16, 64, 96])
def test_permutation_deals_evenly(n):
    """Positions and values are uniform, neighbours are not kept together, and halves are dealt evenly."""
    count = 20_000
    rows = np.asarray(jax.jit(jax.vmap(lambda key: permutation(key, n)))(jax.random.split(jax.random.key(1), count)))

    def chi_squared(table, cells):
        """Per degree of freedom: 1 for uniform draws."""
        expected = table.sum() / table.size
        return ((table - expected) ** 2 / expected).sum() / cells

    marginals = np.stack([np.bincount(rows[:, i], minlength=n) for i in range(n)])
    assert chi_squared(marginals, (n - 1) ** 2) < 2.0
    steps = (rows[:, 1:] - rows[:, :-1]) % n
    gaps = np.stack([np.bincount(steps[:, i], minlength=n)[1:] for i in range(n - 1)])
    assert chi_squared(gaps, (n - 2) * (n - 1)) < 2.0
    assert chi_squared(gaps.sum(0), n - 2) < 4.0
    half = np.argsort(rows, axis=1) < n // 2
    together = np.array([(half[:, 0] == half[:, j]).mean() for j in range(1, n)])
    assert np.abs(together - (n // 2 - 1) / (n - 1)).max() < 0.025


# -------------------------------------------------------------------------------------------------- discounted sum


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), length=st.sampled_from([1, 2, 7, 17]))
def test_discounted_sum_is_the_loop(seed, length):
    """The recursion runs backwards with each step's own decay, and with nothing after the last row."""
    rng = np.random.default_rng(seed)
    delta, decay = rng.normal(size=(length, 3)), rng.uniform(size=(length, 3))
    expected, after = np.zeros((length, 3)), np.zeros(3)
    for t in reversed(range(length)):
        after = expected[t] = delta[t] + decay[t] * after
    got = discounted_sum(jnp.asarray(delta, jnp.float32), jnp.asarray(decay, jnp.float32))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


# -------------------------------------------------------------------------------------------------------- branches


def branch(flags):
    """lgamma only if any flag is set."""
    return jax.lax.cond(any_true(flags), lambda x: jnp.where(x, jax.lax.lgamma(jnp.float32(3.0)), 0.0), jnp.zeros_like, flags)


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 3)])
def test_any_true_keeps_a_branch_a_branch(shape):
    """lax.cond with a batched predicate becomes a select that always pays for both sides."""
    function = lambda x: jnp.asarray(branch(x.astype(jnp.float32)), jnp.float32)  # noqa: E731
    for _ in shape[1:]:
        function = jax.vmap(function)
    program = jax.make_jaxpr(function)(jnp.zeros(shape, bool))
    assert places(program, "lgamma") == [True]


@settings(max_examples=20, deadline=None)
@given(flags=st.lists(st.booleans(), min_size=12, max_size=12))
def test_any_true_is_any(flags):
    """Its value is that of jnp.any over the batch too, also where only another element is flagged."""
    flags = jnp.asarray(flags).reshape(2, 2, 3)
    assert bool(any_true(flags)) == bool(jnp.any(flags))
    np.testing.assert_array_equal(jax.vmap(any_true)(flags), [bool(jnp.any(flags))] * 2)
    np.testing.assert_array_equal(jax.vmap(jax.vmap(any_true))(flags), np.full((2, 2), bool(jnp.any(flags))))


# --------------------------------------------------------------------------------------------------------- counter


@pytest.mark.parametrize("start", [0, 2**31 - 1, 2**32 - 2, 2**33 - 1])
def test_counter_is_exact_over_the_word_border(start):
    """int32 counts overflow at 2.1e9, and uint32 ones at 4.3e9."""
    counter = Counter(jnp.uint32(start >> 32), jnp.uint32(start & 0xFFFFFFFF))
    for i in range(4):
        assert counter.to_int() == start + i
        np.testing.assert_allclose(counter.as_float(), float(start + i), rtol=1e-6)
        counter = counter.next()


def test_counter_keys_differ_across_the_border():
    """Count 0 and count 2^32 share their low word; they must not share their randomness."""
    counts = [0, 1, 2**32 - 1, 2**32, 2**32 + 1, 2**33]
    counters = [Counter(jnp.uint32(c >> 32), jnp.uint32(c & 0xFFFFFFFF)) for c in counts]
    words = {tuple(jax.random.key_data(c.key(jax.random.key(0))).tolist()) for c in counters}
    assert len(words) == len(counts)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 2**31 - 1))
def test_random_index_is_the_upper_word_of_the_product(seed, count):
    words = np.asarray(jax.random.bits(jax.random.key(seed), (64,), jnp.uint32), np.uint64)
    index = np.asarray(random_index(jax.random.key(seed), (64,), jnp.int32(count)))
    np.testing.assert_array_equal(index, (words * np.uint64(max(count, 1))) >> np.uint64(32))
    assert index.dtype == np.int32


def test_random_index_is_uniform():
    counts = np.bincount(np.asarray(random_index(jax.random.key(0), (70_000,), 7)), minlength=7)
    assert len(counts) == 7 and ((counts - 10_000) ** 2 / 10_000).sum() < 22.5  # chi-squared, 6 degrees of freedom, p = 0.001


# ------------------------------------------------------------------------------------------------------- threefry


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 7, 2**31 - 1])
def test_written_out_random_numbers_are_those_of_jax(seed):
    """Bit for bit, compiled and vmapped: a run does not depend on which of the two made its numbers."""

    def numbers(key, data):
        words = (jax.random.fold_in(key, data), jax.random.split(key, 5), jax.random.split(key, (2, 3)), jax.random.clone(key))
        draws = (jax.random.bits, jax.random.uniform, jax.random.normal)
        small = [jax.random.bits(key, (9,), dtype) for dtype in (jnp.uint8, jnp.uint16)]
        drawn = (draw(key, (3, 41)) for draw in draws)
        return (
            *map(jax.random.key_data, words),
            *drawn,
            *small,
            jax.random.permutation(key, 10),
            jax.random.randint(key, (4,), 0, 9),
        )

    def ours(seed, data):
        return numbers(unrolled_threefry(jax.random.key(seed)), data)

    def jaxs(seed, data):
        return numbers(jax.random.key(seed), data)

    with jax.debug_key_reuse(False):
        # JAX's own primitive is left in nothing but the making of a key from a seed.
        assert "while" not in jax.jit(ours).lower(seed, 1).as_text() and "while" in jax.jit(jaxs).lower(seed, 1).as_text()
        for data in (0, 1, 2**31 - 1):
            chex.assert_trees_all_equal(jax.jit(ours)(seed, data), jax.jit(jaxs)(seed, data))
        many = jnp.arange(4, dtype=jnp.uint32)
        chex.assert_trees_all_equal(jax.jit(jax.vmap(ours))(many, many), jax.jit(jax.vmap(jaxs))(many, many))
        with jax.enable_x64(True):
            wide = [
                jax.random.bits(key, (5,), jnp.uint64)
                for key in (unrolled_threefry(jax.random.key(seed)), jax.random.key(seed))
            ]
        np.testing.assert_array_equal(*wide)


def test_other_generators_are_left_to_jax():
    """Keys of other kinds keep their meaning, and the checker for reused keys sees what happens."""
    key = jax.random.key(3, impl="rbg")
    assert unrolled_threefry(key) is key
    once = unrolled_threefry(jax.random.key(3))
    assert jax.random.key_impl(unrolled_threefry(once)) == jax.random.key_impl(once)
    with jax.debug_key_reuse(True), pytest.raises(jax.errors.KeyReuseError):
        jax.jit(lambda key: jax.random.bits(key, (2,)) + jax.random.bits(key, (2,)))(unrolled_threefry(jax.random.key(0)))
    # More than the low word of a counter has numbers (not computed, 16 GiB): JAX's own loop.
    assert "while" in jax.jit(lambda key: jax.random.bits(key, (2**32 + 1,))).lower(once).as_text()


# ------------------------------------------------------------------------------------------------------- product


def same_everywhere(f, g, *args):
    """``f`` and ``g`` and their derivatives in every mode agree."""
    modes = {
        "value": lambda h: h,
        "reverse": lambda h: jax.grad(lambda *a: jnp.sum(jnp.sin(h(*a))), (0, 1)),
        "forward": lambda h: lambda x, w: jax.jvp(h, (x, w), (jnp.cos(x), jnp.sin(w)))[1],
        "twice": lambda h: (
            lambda x, w: jax.jvp(jax.grad(lambda *a: jnp.sum(jnp.sin(h(*a))), (0, 1)), (x, w), (jnp.cos(x), jnp.sin(w)))[1]
        ),
        "reverse of reverse": lambda h: jax.grad(
            lambda x, w: jnp.sum(jnp.sin(jax.grad(lambda w: jnp.mean(jnp.sin(h(x, w))))(w))), (0, 1)
        ),
    }
    for mode, make in modes.items():
        ours, theirs = jax.jit(make(f))(*args), jax.jit(make(g))(*args)
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            assert a.shape == b.shape and a.dtype == b.dtype, mode
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4 * float(jnp.max(jnp.abs(b))), err_msg=mode)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [3, 600])
@pytest.mark.parametrize(("features", "units"), [(5, 2), (2, 5), (16, 2)])
@pytest.mark.parametrize("batched", [(None, None), (0, 0), (1, None), (None, 2), "twice"])
def test_product_is_the_matrix_product(rows, features, units, batched):
    key_x, key_w = jax.random.split(jax.random.key(0))

    def many(function):
        if batched == (None, None):
            return function
        if batched == "twice":  # seeds of an ensemble on shared inputs
            return jax.vmap(jax.vmap(function, (None, 0)), (0, 0))
        return jax.vmap(function, batched)

    def shape(plain, axis):
        return plain if axis is None else (*plain[:axis], 3, *plain[axis:])

    if batched == "twice":
        x, w = (2, rows, features), (2, 3, features, units)
    else:
        x, w = shape((rows, features), batched[0]), shape((features, units), batched[1])
    same_everywhere(many(product), many(jnp.matmul), jax.random.normal(key_x, x), jax.random.normal(key_w, w))


def test_a_kernels_gradient_contracts_the_last_axis():
    """XLA's fast kernels for the CPU take no other left factor; this is what the operation exists for."""
    x, w = jnp.ones((1024, 64)), jnp.ones((64, 64))
    text = jax.jit(jax.grad(lambda w: jnp.sum(product(x, w) ** 2))).lower(w).as_text()
    assert "contracting_dims = [0] x [0]" not in text
    assert "contracting_dims = [1] x [0]" in text
