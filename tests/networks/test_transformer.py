"""The transformer memory: attention and its sink by hand, acting as learning, episodes apart, and a cache that is kept once."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rl_jax as rl
from rl_jax.envs import Bandit, Trial
from rl_jax.errors import RLJaxError
from rl_jax.networks import Transformer, actor_critic
from rl_jax.networks.memory.attention import attend, rotate

RNG = np.random.default_rng(0)
T, N, FEATURES = 9, 3, 5


def random(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


@cache
def small(length=12, sink="kv", layers=2):
    """A transformer, its shaken parameters, and features."""
    net = Transformer(width=8, length=length, layers=layers, heads=2, sink=sink)
    x = random(T, N, FEATURES)
    variables = net.init(jax.random.key(0), net.initial_carry(N), x, jnp.zeros((T, N), bool))
    return net, jax.tree.map(lambda p: p + 0.3 * random(*p.shape), variables), x


@partial(jax.jit, static_argnums=0)
def passed(net, variables, carry, x, first):
    """All steps in one pass."""
    return net.apply(variables, carry, x, first)


def stepped(net, variables, carry, x, first):
    """The same, one step at a time."""
    rows = []
    for t in range(len(x)):
        carry, one = passed(net, variables, carry, x[t : t + 1], first[t : t + 1])
        rows.append(one[0])
    return carry, jnp.stack(rows)


# ------------------------------------------------------------------------------------------------------- attention


def test_sink_by_hand():
    """One head of two dimensions, two keys: the equation with plain numbers."""
    query = jnp.array([[[[1.0, 2.0]]]])
    keys, values = jnp.array([[[[0.5, 0.0], [0.0, -0.25]]]]), jnp.array([[[[1.0, 0.0], [0.0, 3.0]]]])
    visible = jnp.ones((1, 1, 2), bool)
    a, b = np.exp(0.5 / np.sqrt(2)), np.exp(-0.5 / np.sqrt(2))
    got = attend(query, (keys,), (values,), visible)[0, 0, 0]
    np.testing.assert_allclose(got, [a / (a + b), 3 * b / (a + b)], rtol=1e-6)
    zero = (jnp.zeros((1, 2)), jnp.zeros((1, 2)))  # as at first: one more item of weight exp(0) that says nothing
    got = attend(query, (keys,), (values,), visible, zero)[0, 0, 0]
    np.testing.assert_allclose(got, [a / (1 + a + b), 3 * b / (1 + a + b)], rtol=1e-6)
    sink = (jnp.array([[1.0, 0.5]]), jnp.array([[-2.0, 4.0]]))
    c = np.exp(2.0 / np.sqrt(2))
    got = attend(query, (keys,), (values,), visible, sink)[0, 0, 0]
    np.testing.assert_allclose(got, [(a - 2 * c) / (a + b + c), (3 * b + 4 * c) / (a + b + c)], rtol=1e-6)


@pytest.mark.parametrize("sink", [False, True])
def test_attention_is_a_softmax_over_what_is_visible(sink):
    """In pieces as in one; huge scores do not overflow; what is not visible has no weight and no gradient."""
    query, keys, values = 40.0 * random(2, 3, 4, 6), random(2, 3, 7, 6), random(2, 3, 7, 6)
    visible = jnp.asarray(RNG.uniform(size=(2, 4, 7)) < 0.5).at[:, :, 0].set(True)
    own = (random(3, 6), random(3, 6)) if sink else None
    pieces = [(x[:, :, :2], x[:, :, 2:]) for x in (keys, values)]
    got = attend(query, *pieces, visible, own)
    for n in range(2):
        for h in range(3):
            for t in range(4):
                rows = [s for s in range(7) if visible[n, t, s]]
                k, v = np.asarray(keys)[n, h, rows], np.asarray(values)[n, h, rows]
                if own is not None:
                    k, v = np.vstack([own[0][h], k]), np.vstack([own[1][h], v])
                score = k.astype(np.float64) @ np.asarray(query, np.float64)[n, h, t] / np.sqrt(6)
                weight = np.exp(score - score.max())
                np.testing.assert_allclose(got[n, h, t], weight @ v / weight.sum(), rtol=2e-4, atol=2e-5)
    slope = jax.grad(lambda v: attend(query, (keys,), (v,), visible, own).sum())(values)
    assert not np.asarray(slope)[~np.asarray(visible).any(1)[:, None].repeat(3, 1)].any()


def test_rotation_knows_distances_only():
    query, key = random(1, 2, 1, 6), random(1, 2, 1, 6)

    def product(a, b):
        return jnp.sum(rotate(query, jnp.array([[a]])) * rotate(key, jnp.array([[b]])), -1)

    np.testing.assert_allclose(product(3, 1), product(40, 38), rtol=1e-4, atol=1e-5)
    assert np.abs(product(3, 1) - product(3, 2)).max() > 1e-2
    np.testing.assert_array_equal(rotate(query, jnp.array([[0]])), query)


# --------------------------------------------------------------------------------------------- one pass, many steps


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([(1, "kv"), (4, "none"), (4, "kv"), (12, "kv")]))
def test_one_pass_is_many_steps(seed, sizes):
    """With a cache that already holds something, with beginnings anywhere, with rings shorter and longer than the pass."""
    rng = np.random.default_rng(seed)
    net, variables, x = small(*sizes)
    first = jnp.asarray(rng.random((T, N)) < 0.2)
    carry, _ = stepped(net, variables, net.initial_carry(N), random(5, N, FEATURES), jnp.asarray(rng.random((5, N)) < 0.3))
    after, one_pass = passed(net, variables, carry, x, first)
    then, steps = stepped(net, variables, carry, x, first)
    np.testing.assert_allclose(one_pass, steps, rtol=2e-4, atol=2e-5)
    np.testing.assert_array_equal(after.time, then.time)
    more = random(3, N, FEATURES), jnp.zeros((3, N), bool)  # the caches say the same to whom continues from them
    np.testing.assert_allclose(
        passed(net, variables, after, *more)[1], passed(net, variables, then, *more)[1], rtol=2e-4, atol=2e-5
    )


@pytest.mark.slow
def test_a_ring_shows_the_last_steps():
    """One layer of length 4: output 8 depends on inputs 5 to 8, and on no other."""
    net, variables, x = small(4, layers=1)
    first = jnp.zeros((T, N), bool)

    def last(x):
        return net.apply(variables, net.initial_carry(N), x, first)[1][-1].sum()

    felt = np.abs(np.asarray(jax.grad(last)(x))).sum((1, 2)) > 0
    assert felt.tolist() == [False] * 5 + [True] * 4


@pytest.mark.slow
def test_episodes_are_apart():
    """What came before ``first`` is not seen after it, in that environment only; nothing later is seen."""
    net, variables, x = small()
    first = jnp.zeros((T, N), bool).at[4, 1].set(True)
    carry, _ = stepped(net, variables, net.initial_carry(N), random(3, N, FEATURES), jnp.zeros((3, N), bool))
    _, a = passed(net, variables, carry, x, first)
    other = carry._replace(keys=carry.keys + 1.0, values=carry.values + 1.0)
    _, b = passed(net, variables, other, x.at[:4].add(1.0), first)
    np.testing.assert_array_equal(a[4:, 1], b[4:, 1])
    assert np.abs(a[4:, 0] - b[4:, 0]).min(axis=-1).max() > 1e-5
    _, fresh = passed(net, variables, net.initial_carry(N), x[4:], jnp.ones((T - 4, N), bool).at[1:].set(False))
    np.testing.assert_allclose(a[4:, 1], fresh[:, 1], rtol=1e-4, atol=1e-5)
    _, c = passed(net, variables, carry, x.at[6:].add(1.0), first)
    np.testing.assert_array_equal(a[:6], c[:6])


# ------------------------------------------------------------------------------------------------------ in an agent


@pytest.mark.parametrize(
    "wrong", [dict(width=6, heads=2), dict(length=0), dict(layers=0), dict(sink="token")], ids=lambda wrong: next(iter(wrong))
)
def test_sizes_that_cannot_be(wrong):
    with pytest.raises(RLJaxError):
        Transformer(**wrong).initial_carry(1)


def trainer(length=12, rollout_length=8, **more):
    memory = Transformer(width=8, length=length, layers=1, heads=2, sink="kv")
    agent = rl.agents.ppo(network=lambda spec: actor_critic(spec, (8,), memory=memory), minibatches=2, epochs=1, **more)
    env = Trial(Bandit(3), episodes=12)
    return rl.Trainer.create(env, agent, rl.experience.gae(), num_envs=4, rollout_length=rollout_length)


def test_by_name():
    spec = trainer().spec()
    net = actor_critic(spec, (8, 8), memory="transformer", memory_width=16)
    assert isinstance(net.memory, Transformer) and net.memory.width == 16
    config = rl.agents.configs.PPOConfig(memory="transformer", memory_width=8, num_envs=4, minibatches=2).trainer(
        Trial(Bandit(3), episodes=4)
    )
    assert config.agent.recurrent


@pytest.mark.slow
def test_ratio_is_one():
    """Learning sees what acting saw: before any step of the optimiser no probability has changed, in a trial's middle too."""
    made = trainer(learning_rate=0.0)
    state = made.init(jax.random.key(0), 1000)
    for _ in range(3):
        state, metrics = jax.jit(made.train_step)(state)
        assert abs(float(metrics["policy/kl"])) < 1e-6


@pytest.mark.slow
def test_the_cache_is_kept_once():
    """The program's memory does not grow by a cache per step."""
    length = 4096
    cache = 4 * 2 * length * 8 * 4  # environments, keys and values, steps, width, bytes

    def memory(steps):
        made = trainer(length, steps)
        state = jax.eval_shape(lambda key: made.init(key, 1000), jax.random.key(0))
        program = jax.jit(made.train_step).lower(state).compile({"xla_cpu_use_fusion_emitters": True})  # as users get it
        return program.memory_analysis().temp_size_in_bytes

    slow = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    try:
        assert memory(24) - memory(8) < 4 * cache
    finally:
        jax.config.update("jax_disable_most_optimizations", slow)
