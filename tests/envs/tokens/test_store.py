"""The store of ten cells: against a slow model, and what its demonstrator writes."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from test_token_world import demonstrator, player

from rl_jax.envs import check_env
from rl_jax.envs.tokens import TokenWorld
from rl_jax.envs.tokens.store import Orders, Store
from rl_jax.envs.tokens.task import EQUALS, NOTHING, WRONG, Problem

WORLD = TokenWorld(Store(slip=0.0))
READ, WRITE = 26, 27


def slow(cells, orders, calls):
    """What is written after the prompt, and what is paid, of four pairs of tokens."""
    first, value, read, written = list(cells), 0, set(), []
    cells = list(cells)
    for verb, cell in calls:
        reply = WRONG
        if verb in (READ, WRITE) and cell < 10:
            if verb == READ:
                value, reply = cells[cell], cells[cell]
                read.add(cell)
            else:
                cells[cell], reply = value, NOTHING
        written += [verb, cell, reply]
    sources, targets = orders[::2], orders[1::2]
    met = [s in read for s in sources] + [cells[t] == first[s] for s, t in zip(sources, targets, strict=True)]
    return written[:-1], sum(met) / 4


tokens = st.sampled_from([0, 1, 2, 3, 4, READ, READ, WRITE, WRITE, 11])


@settings(max_examples=40, deadline=None)
@given(
    st.permutations(range(5)), st.lists(st.integers(0, 9), min_size=10, max_size=10), st.lists(tokens, min_size=8, max_size=8)
)
def test_calls_are_those_of_the_slow_model(names, cells, proposals):
    orders = names[:4]
    calls = list(zip(proposals[::2], proposals[1::2], strict=True))
    expected, paid = slow(cells, orders, calls)
    problem = Problem(
        jnp.asarray([*orders, EQUALS], jnp.int32),
        Orders(jnp.asarray(cells), jnp.asarray(orders[::2]), jnp.asarray(orders[1::2])),
    )
    actions = [0, 0, 0, 0, *[token for call in calls for token in (*call, 9)][:-1]]
    out = player(WORLD)(WORLD.blank(problem, WORLD.default_params), jnp.asarray(actions, jnp.int32))
    assert np.asarray(out.state.tokens[-1]).tolist() == [*orders, EQUALS, *expected]
    assert np.asarray(out.info["own"]).tolist() == [False] * 4 + [True, True, False] * 3 + [True, True]
    np.testing.assert_allclose(out.reward, [0.0] * 14 + [paid])
    assert np.asarray(out.terminated).tolist() == [False] * 14 + [True]
    assert bool(out.info["correct"][-1]) == (paid == 1.0)
    assert np.asarray(out.info["turn"])[[4, 7, 10, 13]].tolist() == [0, 1, 2, 3]


def test_a_demonstrator_without_faults_copies_both_and_faults_cost_what_they_say():
    problem, tape, own = demonstrator(WORLD, 400)()
    paid = jax.jit(
        jax.vmap(lambda problem, actions: player(WORLD)(WORLD.blank(problem, WORLD.default_params), actions).reward[-1])
    )
    assert float(paid(problem, tape[:, 1:]).min()) == 1.0 and int(own[0].sum()) == 8
    problem, tape, _ = demonstrator(WORLD, 400)(WORLD.default_params.replace(misconception=np.float32(1)))
    reward = np.asarray(paid(problem, tape[:, 1:]))  # the first destination is overwritten, but for equal values
    assert 0.45 < reward.mean() < 0.62 and (reward >= 0.5).all()


def test_it_is_an_environment():
    check_env(WORLD)
