"""ReLIC: histories that memories are made of again, updates in the middle of a trial, and one over all of it."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from toy import equations, unchecked

import rl_jax as rl
from rl_jax.envs import Bandit, Trial
from rl_jax.errors import RLJaxError
from rl_jax.ideas.meta_rl.relic import ReLIC, relic
from rl_jax.networks import GRU, Transformer, WithHistory, actor_critic
from rl_jax.spaces import Box, Discrete
from rl_jax.types import Context, Spec

RNG = np.random.default_rng(0)
N, LENGTH, FEATURES = 3, 6, 4
MEMORIES = {"transformer": Transformer(8, 9, layers=2, sink="kv"), "gru": GRU(8)}


def random(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def network(memory, recall=False):
    spec = Spec(Box.of(-9, 9, (FEATURES,)), Discrete(3), N, 4)
    return WithHistory(
        actor_critic(spec, (8,), memory=MEMORIES[memory]), LENGTH, Box.of(-jnp.inf, jnp.inf, (FEATURES,)), recall
    )


def shaken(memory):
    net = network(memory)
    variables = net.init(jax.random.key(0), net.initial_carry(N), random(1, N, FEATURES), jnp.ones((1, N), bool))
    return net, jax.tree.map(lambda p: p + 0.3 * random(*p.shape), variables)


def applied(net):
    """The network's functions, each compiled once: loops that are called eagerly are compiled at every call."""
    return jax.jit(net.apply, static_argnames="method")


def segments(count=6, steps=3):
    """Observations and beginnings ``[steps, N, ...]``: trials of at most ``LENGTH + steps`` steps, out of step with one another."""
    first = jnp.zeros((count * steps, N), bool).at[0].set(True)
    for n, starts in enumerate(([9], [4, 12], [1, 2, 7, 15])):
        first = first.at[jnp.array(starts), n].set(True)
    obs = random(count * steps, N, FEATURES)
    return [(obs[i : i + steps], first[i : i + steps]) for i in range(0, count * steps, steps)]


# ---------------------------------------------------------------------------------------------------------- history


@pytest.mark.slow
@pytest.mark.parametrize("memory", MEMORIES)
def test_recalled_is_remembered(memory):
    """With the parameters that made the memory, making it again changes nothing: neither outputs nor what follows from it."""
    net, variables = shaken(memory)
    apply, recall = applied(net), applied(net.clone(recall=True))
    carry = net.initial_carry(N)
    for obs, first in segments():
        again = apply(variables, carry, method="recompute")
        after, out = apply(variables, carry, obs, first)
        for recalled in (recall(variables, carry, obs, first)[1], apply(variables, again, obs, first)[1]):
            chex.assert_trees_all_close(recalled, out, rtol=1e-4, atol=1e-5)
        carry = after


def test_the_history_is_what_was_shown():
    net, variables = shaken("gru")
    apply = applied(net)
    carry, shown = net.initial_carry(N), [[] for _ in range(N)]
    for obs, first in segments():
        carry, _ = apply(variables, carry, obs, first)
        for t in range(len(obs)):
            for n in range(N):
                shown[n] = [*([] if first[t, n] else shown[n]), obs[t, n]]
        for n in range(N):
            kept = shown[n][-LENGTH:]
            assert carry.steps[n] == len(kept)
            np.testing.assert_array_equal(carry.obs[n, LENGTH - len(kept) :], kept)


@pytest.mark.slow
@pytest.mark.parametrize("memory", MEMORIES)
def test_made_again_with_new_parameters(memory):
    """As if the new parameters had acted from the trial's beginning; the old memory is another."""
    net, old = shaken(memory)
    new = jax.tree.map(lambda p: p + 0.1, old)
    (obs_a, first_a), (obs_b, first_b), (obs_c, first_c) = segments(3, 2)
    first_b, first_c = jnp.zeros_like(first_b), jnp.zeros_like(first_c)
    apply = applied(net)
    carry = whole = net.initial_carry(N)
    for obs, first in ((obs_a, first_a), (obs_b, first_b)):
        carry, _ = apply(old, carry, obs, first)
        whole, _ = apply(new, whole, obs, first)
    _, expected = apply(new, whole, obs_c, first_c)
    _, got = apply(new, apply(new, carry, method="recompute"), obs_c, first_c)
    _, stale = apply(new, carry, obs_c, first_c)
    np.testing.assert_allclose(got.value, expected.value, rtol=1e-4, atol=1e-5)
    assert np.abs(stale.value - expected.value).max() > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("recall", [True, False])
def test_gradients_reach_the_past_if_it_is_recalled(recall):
    net, variables = shaken("transformer")
    (obs, first), (now, _), *_ = segments()
    carry, _ = net.apply(variables, net.initial_carry(N), obs, first)

    def value(past):
        out = net.clone(recall=recall).apply(variables, carry._replace(obs=past), now, jnp.zeros((3, N), bool))[1]
        return out.value.sum()

    felt = np.asarray(jax.grad(value)(carry.obs)).any(axis=-1)
    expected = np.arange(LENGTH)[None] >= LENGTH - np.asarray(carry.steps)[:, None]
    np.testing.assert_array_equal(felt, expected & recall)


# ------------------------------------------------------------------------------------------------------------ agent


@struct.dataclass
class Size:
    """Of the batch that a loss is computed on."""

    def __call__(self, params, batch, context):
        assert context.outputs.value.shape == batch.first.shape == batch.extras["advantage"].shape
        return jnp.zeros(()), {"size": jnp.float32(batch.first.size)}


def agent(pulls=6, count=3, layers=1, **more) -> ReLIC:
    memory = Transformer(8, pulls, layers=layers, sink="kv")
    options = {"learning_rate": 1e-2, "epochs": 1, "minibatches": 1, "warmup": 0.0} | more
    made = relic(lambda spec: actor_critic(spec, (8,), memory=memory), pulls, count, **options)
    learner = made.learner
    return made.replace(
        learner=learner.replace(terms={**learner.terms, "size": Size()}, weights={**learner.weights, "size": 0.0})
    )


def trainer(pulls=6, count=3, **more) -> rl.Trainer:
    made, chain = agent(pulls, count, **more), rl.experience.trial_gae(gamma_trial=0.0)
    return rl.Trainer.create(Trial(Bandit(3), episodes=pulls), made, chain, num_envs=4, rollout_length=pulls // count)


def rows(made, updates, seed=0):
    state, metrics = jax.jit(made.train, static_argnums=(1, 2))(jax.random.key(seed), updates * made.steps_per_update, updates)
    return state, metrics


@pytest.mark.slow
def test_a_trials_last_update_covers_all_of_it():
    """Two segments of 2 steps by themselves, then all 6 steps at once: in the context that acting had, so no ratio is off."""
    _, metrics = rows(trainer(learning_rate=0.0, final_learning_rate=0.0), 6)
    assert metrics["size"].tolist() == [8, 8, 24] * 2
    assert np.abs(metrics["policy/kl"]).max() < 1e-6


@pytest.mark.slow
def test_only_partial_updates():
    assert rows(trainer(full_update=False), 6)[1]["size"].tolist() == [8] * 6


@pytest.mark.slow
@pytest.mark.parametrize("refreshes", [True, False])
def test_refreshed_memories_are_those_of_the_present_parameters(refreshes):
    """The first look of an update is at the policy that acted. With stale keys and values it acted as no parameters do."""
    made = trainer(full_update=False, refreshes=refreshes, layers=2)  # of one layer, hardly anything is stale
    _, metrics = rows(made, 9)
    off = np.abs(np.asarray(metrics["policy/kl"]))
    middle = np.arange(9) % 3 > 0  # the first segment of a trial has no past
    assert off[~middle].max() < 1e-6
    assert (off[middle].max() < 1e-6) == refreshes


@pytest.mark.slow
def test_all_runs_of_a_batch_take_the_branch():
    """A vmapped run is the run by itself, and the whole update is not computed in other train steps."""
    made = trainer()
    keys = jax.random.split(jax.random.key(3), 2)
    with unchecked():
        many = jax.jit(jax.vmap(lambda key: made.train(key, 5 * made.steps_per_update, 5)))(keys)
    one = jax.jit(lambda key: made.train(key, 5 * made.steps_per_update, 5))(keys[1])
    chex.assert_trees_all_close(jax.tree.map(lambda x: x[1], many[0].agent.learner), one[0].agent.learner, rtol=1e-3, atol=1e-5)
    with unchecked():
        states = jax.eval_shape(jax.vmap(lambda key: made.init(key, 100)), keys)
        program = jax.make_jaxpr(jax.vmap(made.train_step))(states)

    def learns(branch):
        return any(inner.primitive.name == "scan" for inner, _ in equations(branch))

    branches = [equation.params["branches"] for equation, _ in equations(program) if equation.primitive.name == "cond"]
    assert any(all(map(learns, both)) for both in branches)


def test_learning_rate_rises_and_falls():
    made = ReLIC(rl.agents.ppo(learning_rate=1.0), final_learning_rate=0.2, warmup=0.1)

    def rate(progress):
        zero = jnp.zeros(())
        return float(
            made._scheduled_learner(
                Context(jax.random.key(0), None, None, zero, jnp.float32(progress), zero, zero)
            ).learning_rate
        )

    np.testing.assert_allclose([rate(p) for p in (0.0, 0.05, 0.5, 1.0)], [0.0, 0.5, 0.6, 0.2], rtol=1e-5)


@pytest.mark.slow
def test_it_learns_from_trials():
    """Of two arms one always pays: the second half of a trial pays more than the first, and more than chance."""
    env = Trial(Bandit(2, good=1.0), episodes=6)
    made = rl.Trainer.create(env, agent(epochs=4), rl.experience.trial_gae(gamma_trial=0.0), num_envs=32, rollout_length=2)
    state, _ = rows(made, 120)
    reward = rl.play(made, state, jax.random.key(1), 256, 6).reward.mean(axis=1)
    assert reward[0] < 0.65 and reward[1:].min() > 0.9


def test_what_cannot_be():
    with pytest.raises(RLJaxError, match="divisor"):
        relic(trial=10, segments=3)
    spec = Spec(Box.of(-1, 1, (2,)), Discrete(2), 4, 2)
    with pytest.raises(RLJaxError, match="memory"):
        relic(actor_critic, trial=4, segments=2).bind(spec)
    with pytest.raises(RLJaxError, match="at least one step"):
        relic(trial=4, segments=2, history=0).bind(spec)
