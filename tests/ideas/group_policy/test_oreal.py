"""OREAL's loss and token weights against slow models, and a scorer that finds the token that decides."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from answers import GROUPS, LENGTH, PROMPT, SIZE, answers, log_probs, loss_of
from toy import context, rollout_of

from rl_jax.ideas.group_policy._token_reward import TokenReward, running_mean, token_weights
from rl_jax.ideas.group_policy.oreal import OutcomeReward, oreal_experience
from rl_jax.networks import GRU, ActorCritic
from rl_jax.networks.scorer import Scorer, scorer_like, with_backbone
from rl_jax.networks.torsos import MLP, Identity
from rl_jax.spaces import Discrete
from rl_jax.types import Spec

TOKENS = Discrete(3)


def spec(columns, length):
    return Spec(TOKENS, TOKENS, columns, length, whole=True)


def network():
    return ActorCritic(Identity(TOKENS), GRU(12), MLP(()), MLP(()), TOKENS)


def test_loss_step_by_step():
    """Right answers cloned by ``1 - p``, wrong ones pushed down by ``p / 2``; with and without the weights of tokens."""
    logits, rollout = answers(shift=0.5)
    rng = np.random.default_rng(1)
    outcome, own, rate = (np.asarray(rollout.extras[name]) for name in ("outcome", "own", "pass_rate"))
    others = (rate * SIZE - outcome) / (SIZE - 1)
    importance = rng.uniform(size=own.shape).astype(np.float32)
    rollout = rollout.with_extras(advantage=(outcome - others).astype(np.float32), importance=importance)
    log_p = log_probs(logits, rollout.action)
    for weighted in (True, False):
        slow = np.where(outcome > 0.5, -(1 - others) * log_p, 0.5 * others * log_p) * (importance if weighted else 1.0)
        found, _ = loss_of(OutcomeReward(weighted=weighted), logits, rollout)
        np.testing.assert_allclose(found, slow[own].mean(), rtol=1e-4)
    slow = np.where(outcome > 0.5, -(1 - others) * log_p, 0.0)
    np.testing.assert_allclose(loss_of(OutcomeReward(0.0, weighted=False), logits, rollout)[0], slow[own].mean(), rtol=1e-4)


def test_token_weights_by_hand():
    """``w = log 3`` is a probability of 3/4: weight 1/2 in a right answer, none in a wrong one; ``-log 3`` the other way round."""
    score = jnp.asarray([[np.log(3.0), np.log(3.0)], [-np.log(3.0), -np.log(3.0)], [0.0, 0.0]])
    outcome = jnp.asarray([[1.0, 0.0]] * 3)
    np.testing.assert_allclose(token_weights(score, outcome), [[0.5, 0.0], [0.0, 0.5], [0.0, 0.0]], atol=1e-6)
    own = jnp.asarray([[False], [True], [True]])
    np.testing.assert_allclose(running_mean(jnp.asarray([[9.0], [1.0], [3.0]]), own)[:, 0], [0.0, 1.0, 2.0])


@pytest.mark.slow
def test_experience_is_one_right_and_one_wrong_answer_of_each_mixed_group():
    _, rollout = answers()
    chain = oreal_experience(SIZE, repeats=())
    state = chain.init(jax.random.key(0), Spec(TOKENS, TOKENS, SIZE * GROUPS, LENGTH, rollout, whole=True))
    _, rollout, _ = chain.update(state, rollout, context())
    chosen = np.asarray(rollout.extras["weight"]).max(0).reshape(GROUPS, SIZE) > 0
    right = np.asarray(rollout.extras["outcome"])[0].reshape(GROUPS, SIZE) > 0.5
    np.testing.assert_array_equal((chosen & right).sum(1), [0, 1, 1, 1, 0])
    np.testing.assert_array_equal((chosen & ~right).sum(1), [0, 1, 1, 1, 0])
    np.testing.assert_allclose(np.asarray(rollout.extras["weight"]).mean(), 1.0, rtol=1e-5)
    rate = right.mean(1, keepdims=True)
    expected = right - (rate * SIZE - right) / (SIZE - 1)
    np.testing.assert_allclose(np.asarray(rollout.extras["advantage"])[PROMPT].reshape(GROUPS, SIZE), expected, atol=1e-6)


def tapes(key, columns=64, length=6):
    """Answers of zeros and ones after a prompt of one; wrong is an answer with a 2 in it, at a random place."""
    key_tokens, key_where, key_wrong = jax.random.split(key, 3)
    tokens = jax.random.randint(key_tokens, (length + 1, columns), 0, 2)
    where = jax.random.randint(key_where, (columns,), 1, length + 1)
    wrong = jax.random.bernoulli(key_wrong, 0.5, (columns,))
    tokens = jnp.where((jnp.arange(length + 1)[:, None] == where) & wrong, 2, tokens)
    outcome = jnp.broadcast_to(1.0 - wrong.astype(jnp.float32), (length, columns))
    own = jnp.ones((length, columns), bool)
    rollout = rollout_of(np.zeros((length, columns)), obs=tokens[:-1], next_obs=tokens[1:])
    return rollout.with_extras(own=own, outcome=outcome, weight=jnp.ones((length, columns))), where, wrong


@pytest.mark.slow
def test_the_model_learns_which_token_is_to_blame():
    """From outcomes alone: the wrong token is scored below all that stand before it, and has a large weight."""
    transform = TokenReward(scorer_like(network()), 1e-2, minibatches=8)
    state = transform.init(jax.random.key(0), spec(64, 6))
    update = jax.jit(transform.update)
    for number in range(100):
        rollout, where, wrong = tapes(jax.random.key(number))
        state, rollout, metrics = update(state, rollout, context(seed=number))
    assert metrics["scorer/accuracy"] > 0.95
    score = np.asarray(rollout.extras["score"])
    row = np.arange(6)[:, None]
    wrong, at = np.asarray(wrong), np.asarray(where) - 1
    assert score[(row == at) & wrong].max() < score[(row < at) & wrong].min()
    importance = np.asarray(rollout.extras["importance"])
    assert importance[(row == at) & wrong].min() > 0.5


@pytest.mark.slow
def test_at_first_the_model_learns_alone():
    transform = TokenReward(scorer_like(network()), freeze=1)
    update = jax.jit(transform.update)
    state = transform.init(jax.random.key(0), spec(64, 6))
    rollout, _, _ = tapes(jax.random.key(0))
    later = context().replace(update=jnp.int32(1))
    moved, first, _ = update(state, rollout, context())
    _, second, _ = update(state, rollout, later)
    assert not first.extras["weight"].any() and second.extras["weight"].all()
    assert jax.tree.reduce(max, jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), moved.params, state.params)) > 0


@pytest.mark.slow
def test_a_scorer_is_causal_and_may_begin_as_the_policy():
    policy = network()
    scorer = scorer_like(policy)
    assert isinstance(scorer, Scorer)
    obs, first = jax.random.randint(jax.random.key(0), (5, 3), 0, 3), jnp.zeros((5, 3), bool).at[0].set(True)
    own = policy.init(jax.random.key(1), policy.initial_carry(3), obs, first)
    params = with_backbone(scorer.init(jax.random.key(2), obs, first), own)
    head = params["params"]["score"]
    hidden = policy.apply(own, policy.initial_carry(3), obs, first)[1].hidden
    score = jax.jit(scorer.apply)
    found, changed = score(params, obs, first), score(params, obs.at[3].set((obs[3] + 1) % 3), first)
    np.testing.assert_allclose(found, hidden @ head["kernel"] + head["bias"], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(changed[:3], found[:3])
    assert (changed[3] != found[3]).all()
