"""Cloning of demonstrated tapes."""

import functools

import jax
import numpy as np

import rl_jax as rl
from rl_jax import make
from rl_jax.agents.policy_gradient.cloning import cloning_loss, demonstrations, warm_up
from rl_jax.losses.likelihood import NegativeLogLikelihood
from rl_jax.networks.memory.transformer import Transformer
from rl_jax.types import Spec


def test_warm_up_lowers_the_negative_log_likelihood():
    """On new tapes, to about the least possible of a chain of two operands with slips; each seed of a batch as if alone."""
    env = make("tokens/chain", operands=2, operators="+", slip=0.0)
    params = env.default_params
    spec = Spec(env.observation_space(params), env.action_space(params), 8, env.own_limit)
    network = functools.partial(rl.networks.actor_critic, hidden=(), memory=Transformer(8, env.own_limit, 1, 2))
    agent = rl.agents.ppo(network, minibatches=2).bind(spec)
    keys = jax.random.split(jax.random.key(0), 2)
    clone = jax.jit(jax.vmap(lambda key: warm_up(agent, env, key, 60, 32, learning_rate=1e-2)))
    cloned = clone(keys)
    tapes = demonstrations(env, jax.random.key(9), 256, params)
    fresh = agent.init(keys[0], spec).params
    assert jax.tree.structure(fresh) == jax.tree.structure(cloned)
    score = jax.jit(jax.vmap(lambda weights: cloning_loss(weights, agent.network, *tapes)))
    before = float(score(jax.tree.map(lambda x: x[None], fresh))[0])
    after = np.asarray(score(cloned))
    assert abs(before - np.log(18)) < 0.1, "a fresh policy is uniform over 18 tokens"
    # ``E`` is soon known, half of what is asked; of the sum at least that it is a digit.
    assert (after < 0.5 * np.log(10) + 0.1).all() and after[0] != after[1]


def test_negative_log_likelihood_is_that_of_each_action():
    logits = jax.random.normal(jax.random.key(0), (3, 2, 5))
    action = jax.random.randint(jax.random.key(1), (3, 2), 0, 5)

    class Batch:
        pass

    batch, context, outputs = Batch(), Batch(), Batch()
    batch.action, context.outputs, outputs.policy = action, outputs, rl.networks.distributions.Categorical(logits)
    loss, metrics = NegativeLogLikelihood()(None, batch, context)
    chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = [[-np.log(chances[t, n, action[t, n]]) for n in range(2)] for t in range(3)]
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert metrics == {}
