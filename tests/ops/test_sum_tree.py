"""The sum tree beside NumPy: its sums, its draws, the zeros it never draws, and that it works in place."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_jax.ops import SumTree
from rl_jax.ops.sum_tree import FAN_OUT, pick, sums_before

of = jax.jit(SumTree.of)
put = jax.jit(SumTree.set)
put_range = jax.jit(SumTree.set_range)
sample = jax.jit(SumTree.sample, static_argnums=2)


def fits(draws, weights, least=5.0):
    """Whether draws follow the weights: the p-value of a chi-squared test, rare items together."""
    expected = weights / weights.sum() * len(draws)
    counts = np.bincount(draws, minlength=len(weights)).astype(float)
    assert counts[weights == 0].sum() == 0
    rare = expected < least
    expected = np.append(expected[~rare], expected[rare].sum())
    counts = np.append(counts[~rare], counts[rare].sum())
    if expected[-1] < least:
        expected, counts = expected[:-1] + expected[-1] / (len(expected) - 1), counts[:-1] + counts[-1] / (len(counts) - 1)
    return scipy.stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue


def check(tree, values):
    """Every parent is the sum of its children, to the last bit of a sum of eight."""
    np.testing.assert_array_equal(tree.leaves[: len(values)], values)
    assert not np.any(tree.leaves[len(values) :])
    for below, above in zip(tree.levels, tree.levels[1:], strict=False):
        rows = np.asarray(below).reshape(-1, FAN_OUT)
        np.testing.assert_allclose(above[: len(rows)], rows.sum(1, dtype=np.float64), rtol=5e-7)
        assert not np.any(above[len(rows) :])
    np.testing.assert_allclose(tree.total, values.sum(dtype=np.float64), rtol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 63, 64, 65, 700, 5000])
def test_sums_of_any_size(size):
    """A size that is no power of eight is padded with zeros, which are never drawn."""
    values = np.random.default_rng(size).uniform(size=size).astype(np.float32)
    tree = of(values)
    check(tree, values)
    draws = np.asarray(sample(tree, jax.random.key(size), 20_000))
    assert draws.dtype == np.int32
    if size > 1:
        assert fits(draws, values.astype(np.float64)) > 1e-4


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_set_is_assignment(data):
    """Any sequence of writes leaves the values written last and their sums; of several at one place the largest counts."""
    size = 70
    number = st.integers(0, 2**10).map(lambda x: np.float32(x / 8))
    values = np.zeros(size, np.float32)
    tree = of(values)
    for _ in range(data.draw(st.integers(1, 4))):
        indices = data.draw(st.lists(st.integers(0, size - 1), min_size=5, max_size=5))
        new = data.draw(st.lists(number, min_size=5, max_size=5))
        tree = put(tree, jnp.asarray(indices, jnp.int32), jnp.asarray(new))
        values[indices] = 0
        np.maximum.at(values, indices, new)
        check(tree, values)  # before the other way of writing makes these sums anew
        start = data.draw(st.integers(0, size - 11))
        block = np.asarray(data.draw(st.lists(number, min_size=11, max_size=11)))
        tree = put_range(tree, start, jnp.asarray(block))
        values[start : start + 11] = block
        check(tree, values)
        np.testing.assert_array_equal(tree.get(jnp.asarray(indices)), values[indices])
        np.testing.assert_array_equal(tree.get_range(start, 11), block)


def test_nothing_drifts():
    """Parents that were updated with differences would be off after a thousand rounds of large and small values."""
    values = np.random.default_rng(0).uniform(size=500).astype(np.float32)

    def rounds(tree, key):
        def body(i, tree):
            where = jax.random.randint(jax.random.fold_in(key, i), (32,), 0, 500)
            return tree.set(where, jnp.full((32,), 1e6)).set(where, jnp.asarray(values)[where])

        return jax.lax.fori_loop(0, 1000, body, tree)

    check(jax.jit(rounds)(of(values), jax.random.key(0)), values)


@pytest.mark.slow
def test_t16_zero_is_never_drawn():
    """A float32 sum tree that subtracts on its way down lands on zeros: flashbax's README warns of it."""
    rng = np.random.default_rng(1)
    size = 4000
    values = 10.0 ** rng.uniform(-12, 12, size)
    values[rng.uniform(size=size) < 0.7] = 0
    values[-300:] = 0
    tree = of(values.astype(np.float32))
    draws = np.asarray(jax.jit(lambda tree, keys: jax.vmap(lambda key: tree.sample(key, 100_000))(keys))(
        tree, jax.random.split(jax.random.key(0), 12)
    ))  # fmt: skip
    assert draws.size > 10**6
    assert np.all(values[draws] > 0)


def test_t16_a_target_on_the_border_is_never_a_zero():
    """Rounding may move a target up to the sum itself, or onto the border before a zero."""
    values = jnp.asarray([[0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 3.0, 0.0]]).T
    before = sums_before(values)
    targets = jnp.asarray([0.0, 0.999, 1.0, 2.999, 3.0, 5.999, 6.0, 7.0])
    picked = [int(pick(values, before, target[None])[0]) for target in targets]
    assert picked == [1, 1, 4, 4, 6, 6, 6, 6]


@pytest.mark.slow
def test_draws_among_a_million():
    """24 bits of a float32 must not have to tell 2^20 leaves apart: every leaf and every group of leaves gets its share."""
    size, rounds = 2**20, 16
    rng = np.random.default_rng(2)
    values = (rng.uniform(size=size) * 10.0 ** rng.integers(-3, 1, size)).astype(np.float32)
    values[rng.uniform(size=size) < 0.2] = 0
    tree = of(values)

    def counts(tree, key):
        def body(i, counts):
            return counts.at[tree.sample(jax.random.fold_in(key, i), 2**18)].add(1)

        return jax.lax.fori_loop(0, rounds, body, jnp.zeros((size,), jnp.int32))

    counts = np.asarray(jax.jit(counts)(tree, jax.random.key(3)))
    expected = values.astype(np.float64) / values.sum(dtype=np.float64) * rounds * 2**18
    assert counts[values == 0].sum() == 0
    for blocks in (8, 64, 4096):
        group = counts.reshape(blocks, -1).sum(1), expected.reshape(blocks, -1).sum(1)
        assert scipy.stats.chisquare(*group).pvalue > 1e-4
    # By place among siblings, at every level of the tree.
    for width in 8 ** np.arange(7):
        place = (np.arange(size) // width) % 8
        group = np.bincount(place, counts), np.bincount(place, expected)
        assert scipy.stats.chisquare(*group).pvalue > 1e-4
    # Neighbours in the last bits of the leaf number: with one float32 for the whole way down, odd leaves would be missing.
    big = expected > 8
    spread = ((counts - expected)[big] ** 2 / expected[big]).mean()
    assert abs(spread - 1) < 6 * np.sqrt(2 / big.sum())


def test_small_groups_beside_a_large_one():
    """A million small values that together weigh as much as one large one are drawn half of the time."""
    values = np.full(2**17, 1e-6, np.float32)
    values[77_777] = values.sum(dtype=np.float64) - 1e-6
    draws = np.asarray(sample(of(values), jax.random.key(4), 40_000))
    assert abs((draws == 77_777).mean() - 0.5) < 0.0125
    others = draws[draws != 77_777]
    assert fits(others // 2**13, np.full(16, 1.0)) > 1e-4
    assert len(np.unique(others)) > 0.9 * len(others)


@pytest.mark.slow
def test_runs_of_a_vmapped_batch_are_runs_alone():
    """Under vmap every run draws from its own tree with its own key, and writes into its own."""
    values = np.random.default_rng(5).uniform(size=(3, 100)).astype(np.float32)
    keys = jax.random.key_data(jax.random.split(jax.random.key(6), 3))
    where = jnp.asarray([[1, 5, 5], [0, 99, 98], [7, 8, 9]])

    def run(values, key, where):
        tree = SumTree.of(values)
        return tree.sample(jax.random.wrap_key_data(key), 50), tree.set(where, jnp.ones(3)).set_range(where[1], jnp.ones(4))

    draws, trees = jax.jit(jax.vmap(run))(values, keys, where)
    for i in range(3):
        alone = jax.jit(run)(values[i], keys[i], where[i])
        np.testing.assert_array_equal(draws[i], alone[0])
        for batched, single in zip(trees.levels, alone[1].levels, strict=True):
            np.testing.assert_array_equal(batched[i], single)
    assert len(np.unique(np.asarray(draws), axis=0)) == 3


@pytest.mark.slow
def test_all_zeros_give_an_index_that_exists():
    """Whoever did not ask for the total still gets a place that can be read."""
    assert np.all(np.asarray(sample(SumTree.zeros(100), jax.random.key(0), 10)) == 0)


def step(tree, key):
    """What a train step does: write rows, draw, look, write back what depends on what was read."""
    ones = jnp.ones((64,))
    tree = tree.set_range(jax.random.randint(key, (), 0, 4000), ones).set_range(128, ones)
    where = tree.sample(jax.random.fold_in(key, 1), 16)
    return tree.set(where, 0.5 * tree.get(where))


@pytest.mark.slow
@pytest.mark.parametrize("runs", [None, 2])
def test_t31_no_copies(runs):
    """Drawing and writing in a loop must not copy the leaves: that would cost more than everything else."""
    tree, key = SumTree.zeros(4096), jax.random.key(0)
    body = step
    if runs is not None:
        tree, key = jax.tree.map(lambda x: jnp.stack([x] * runs), tree), jax.random.split(key, runs)
        body = jax.vmap(step)

    def loop(tree, key):
        return jax.lax.fori_loop(0, 10, lambda i, tree: body(tree, key), tree)

    def copies(**options):
        text = jax.jit(loop, **options).lower(tree, key).compile().as_text()
        return re.findall(r"f32\[(?:\d+,)?4096\]\S* copy\(", text)

    with jax.debug_key_reuse(False):
        assert not copies(donate_argnums=0)
        assert copies()  # so a copy would be seen
