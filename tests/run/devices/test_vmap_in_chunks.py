"""Runs in groups are the runs side by side."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_jax.run.devices.vmap_in_chunks import chunk_size, vmap_in_chunks

STATE = {"x": np.arange(66, dtype=np.float32).reshape(11, 2, 3), "n": np.arange(11, dtype=np.int32)}


def step(scale, state, key, rounds):
    """A state that is changed, and something that is said about it; every argument matters."""
    x = state["x"] * scale + jax.random.uniform(key) + rounds
    return {"x": x, "n": state["n"] + rounds}, {"sum": jnp.sum(x), "key": key}


@pytest.mark.slow
@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("scales", [0, None], ids=["a scale for each", "one scale"])
@pytest.mark.parametrize("runs", [1, 2, 3, 4, 7, 8, 9, 11])
def test_groups_are_the_whole_batch(runs, scales, in_place):
    axes = (scales, 0, 0, None)
    scale = jnp.arange(1.0, runs + 1) if scales == 0 else jnp.float32(3.0)
    state, keys = jax.tree.map(lambda x: jnp.asarray(x[:runs]), STATE), jax.random.split(jax.random.key(0), runs)
    arguments = scale, state, keys, jnp.int32(2)
    with jax.debug_key_reuse(False):
        got = jax.jit(vmap_in_chunks(step, axes, runs, in_place))(*arguments)
        want = jax.vmap(step, in_axes=axes)(*arguments)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(
            *(jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x for x in (a, b))
        )


@pytest.mark.parametrize("runs", [*range(1, 17), 64, 256])
def test_groups_are_small_and_whole(runs):
    chunk = chunk_size(runs)
    assert runs % chunk == 0
    assert chunk <= 8


def test_a_run_alone_is_no_batch():
    """Its products have no batch axis, which XLA would make slow ones of."""
    program = jax.make_jaxpr(vmap_in_chunks(lambda w, x: (x @ w, x), (None, 0), 1, False))(
        jnp.ones((3, 3)), jnp.ones((1, 2, 3))
    )
    shapes = [eqn.outvars[0].aval.shape for eqn in program.eqns if eqn.primitive.name == "dot_general"]
    assert shapes == [(2, 3)]
