"""Resets cost what ends: gathered starts are those of all at once, to the bit, and only as many are made as episodes ended."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import Clock

from rl_jax.loop.resets import ALONE, DEAR, restart
from rl_jax.ops.cost import operations
from rl_jax.types import Start


def start_of(key):
    def start(index):
        own = jax.random.fold_in(key, index)
        return Start(index, {"x": jax.random.normal(own, (3,)), "key": own}, jax.random.uniform(own, (2,)))

    return start


def standing(number):
    state = {"x": jnp.full((number, 3), -1.0), "key": jax.random.split(jax.random.key(9), number)}
    return state, jnp.full((number, 2), -1.0), jnp.full((number,), -1, jnp.int32)


def words(tree):
    leaves = jax.tree.leaves(tree)
    return [
        np.asarray(jax.random.key_data(x)) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else np.asarray(x) for x in leaves
    ]


@pytest.mark.parametrize("cost", [DEAR, ALONE])
def test_gathered_starts_are_those_of_all(cost):
    """For every number of ends, in the order in which they come, alone and two runs side by side."""
    number = 40
    index = jnp.arange(number, dtype=jnp.int32)
    run = jax.jit(
        jax.vmap(lambda key, done: [restart(start_of(key), done, index, standing(number), c, 1.0) for c in (0.0, cost)])
    )
    rng = np.random.default_rng(0)
    with jax.debug_key_reuse(False):
        for ends in (0, 1, 2, 3, 20, number):
            done = np.zeros((2, number), bool)
            for row, count in zip(done, (ends, max(0, ends - 1)), strict=True):
                row[rng.choice(number, count, replace=False)] = True
            plain, gathered = run(jax.random.split(jax.random.key(ends), 2), jnp.asarray(done))
            for a, b in zip(words(plain), words(gathered), strict=True):
                np.testing.assert_array_equal(a, b)


def test_only_what_ended_is_started():
    """The loop over dear starts runs as often as episodes ended, and what it makes at a time is one start."""
    number, calls = 32, []
    index = jnp.arange(number, dtype=jnp.int32)

    def start(one):
        assert jnp.shape(one) == ()
        jax.debug.callback(lambda: calls.append(1))
        return Start(one, {"x": jnp.zeros(3), "key": jax.random.key(0)}, jnp.zeros(2))

    run = jax.jit(lambda done: restart(start, done, index, standing(number), ALONE, 1.0))
    for ends in (0, 1, 5):
        calls.clear()
        jax.block_until_ready(run(jnp.arange(number) < ends))
        jax.effects_barrier()
        assert len(calls) == ends


def test_costs_are_counted_without_computing():
    """A product of 10 numbers, 7 times in a loop, and the dearer side of a branch."""

    def work(x):
        x = jax.lax.fori_loop(0, 7, lambda i, x: x * 2.0, x)
        return jax.lax.cond(x[0] > 0, lambda x: jnp.sin(jnp.cos(x)), lambda x: x, x)

    cost = operations(work, jax.ShapeDtypeStruct((10,), jnp.float32))
    assert 70 + 20 <= cost <= 150
    clock = Clock()
    assert operations(lambda key: clock.reset(key, jnp.float32(1.0)), jax.eval_shape(lambda: jax.random.key(0))) < DEAR
