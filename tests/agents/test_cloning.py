"""Cloning of demonstrated tapes."""

import functools

import jax
import numpy as np
import pytest

import rl_jax as rl
from rl_jax import make
from rl_jax.agents.policy_gradient.cloning import cloning_loss, demonstrations, warm_up
from rl_jax.losses.likelihood import NegativeLogLikelihood
from rl_jax.networks.memory.transformer import Transformer
from rl_jax.types import Spec


@pytest.mark.slow
def test_warm_up_lowers_the_negative_log_likelihood():
    """On new tapes, for every seed of a batch."""
    env = make("tokens/chain", operands=2, operators="+", slip=0.0)
    params = env.default_params
    spec = Spec(env.observation_space(params), env.action_space(params), 8, env.own_limit)
    network = functools.partial(rl.networks.actor_critic, hidden=(), memory=Transformer(8, env.own_limit, 1, 2))
    agent = rl.agents.ppo(network, minibatches=2).bind(spec)
    keys = jax.random.split(jax.random.key(0), 2)

    def losses(key):
        key_fresh, key_clone, key_tapes = jax.random.split(key, 3)
        tapes = demonstrations(env, key_tapes, 128, params)
        fresh, cloned = agent.init(key_fresh, spec).params, warm_up(agent, env, key_clone, 40, 16, learning_rate=2e-2)
        assert jax.tree.structure(fresh) == jax.tree.structure(cloned)
        return cloning_loss(fresh, agent.network, *tapes), cloning_loss(cloned, agent.network, *tapes)

    with jax.debug_key_reuse(False):  # the checker takes the transposed keys of a scan under vmap for used ones
        before, after = jax.tree.map(np.asarray, jax.jit(jax.vmap(losses))(keys))
    np.testing.assert_allclose(before, np.log(18), atol=0.1, err_msg="a fresh policy is uniform over 18 tokens")
    # That a digit and then ``E`` is written is soon known: half of log(10) is left, as long as sums are not.
    assert (after < 1.6).all() and after[0] != after[1]


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
