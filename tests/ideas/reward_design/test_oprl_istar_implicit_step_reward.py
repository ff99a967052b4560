"""iStar: its preference loss and step advantages against loops, and that it finds the step that decides."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import Clock, context, rollout_of

import rl_jax as rl
from rl_jax.experience.advantage.group import group_advantage
from rl_jax.ideas.reward_design.oprl_istar_implicit_step_reward import implicit_step_reward, preference_loss, step_advantage
from rl_jax.losses.clipped import ClippedTokens
from rl_jax.networks import actor_critic


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([2, 4]))
def test_the_loss_is_over_all_pairs_of_a_group_that_differ(seed, size):
    random = np.random.default_rng(seed)
    score, outcome = random.normal(size=8), random.integers(0, 2, 8).astype(float)
    losses, right = [], []
    for i in range(8):
        for j in range(8):
            if i // size == j // size and outcome[i] > outcome[j]:
                losses.append(-np.log(1 / (1 + np.exp(score[j] - score[i]))))
                right.append(score[i] > score[j])
    loss, share = preference_loss(jnp.asarray(score), jnp.asarray(outcome), size)
    np.testing.assert_allclose(loss, np.mean(losses) if losses else 0.0, atol=1e-5)
    np.testing.assert_allclose(share, np.mean(right) if right else 0.0, atol=1e-6)


def test_step_advantages_leave_the_step_itself_out():
    random = np.random.default_rng(1)
    own = np.arange(4)[:, None] < np.array([1, 4, 3, 2])
    reward = random.normal(size=(4, 4)) * own
    rollout = rollout_of(jnp.zeros((4, 4)), own=own, step_reward=jnp.asarray(reward), advantage=jnp.full((4, 4), 2.0))
    found = np.asarray(step_advantage(2, 0.5).update((), rollout, context())[1].extras["advantage"])
    for first in (0, 2):
        steps = [(t, i) for i in (first, first + 1) for t in range(4) if own[t, i]]
        for t in range(4):
            for i in (first, first + 1):
                others = [reward[at] for at in steps if at != (t, i)]
                expected = 2.0 + (0.5 * (reward[t, i] - np.mean(others)) if own[t, i] else 0.0)
                np.testing.assert_allclose(found[t, i], expected, atol=1e-5)


@pytest.mark.slow
def test_the_decisive_step_earns_most():
    """Of four steps only the action of the second decides the outcome: fitted to outcomes alone, its step reward tells which."""
    agent = rl.agents.PolicyGradient(
        terms={"policy": ClippedTokens()},
        weights={"policy": 1.0},
        learning_rate=0.0,
        max_grad_norm=1.0,
        network=lambda spec: actor_critic(spec, hidden=(8,)),
        epochs=1,
        minibatches=1,
        anneal=False,
    )
    transform = implicit_step_reward(agent.network, 4, learning_rate=0.02, passes=3)
    chain = rl.chain(group_advantage(4), transform)
    trainer = rl.Trainer.create(Clock(4), agent, chain, num_envs=32, rollout_length=4, whole=True, time_limit=4)
    spec = trainer.spec()
    state, learner = transform.init(jax.random.key(1), spec), trainer.init(jax.random.key(0), 10).agent
    time = jnp.broadcast_to(jnp.arange(4.0)[:, None], (4, 32))
    obs = jnp.stack([(time == 1).astype(jnp.float32), time / 4], -1)

    @jax.jit
    def train_step(state, key, number):
        policy = trainer.agent.outputs(learner.params, rollout_of(jnp.zeros((4, 32)), obs=obs)).policy
        action = policy.sample(key)
        reward = jnp.zeros((4, 32)).at[3].set((action[1] == 1).astype(jnp.float32))
        rollout = rollout_of(reward, obs=obs, own=jnp.ones((4, 32), bool), log_prob=policy.log_prob(action))
        asked = context(trainer.agent, learner).replace(update=number)
        state, rollout, metrics = transform.update(state, rollout.replace(action=action), asked)
        return state, rollout.extras["step_reward"], action, metrics["istar/pairs_right"]

    for number in range(60):
        state, reward, action, right = train_step(state, jax.random.key(number + 5), jnp.int32(number))
        if number == 0:
            assert not np.asarray(reward).any()  # it begins as the policy
    apart = [float(reward[t][action[t] == 1].mean() - reward[t][action[t] == 0].mean()) for t in range(4)]
    assert apart[1] > 0.5 and max(abs(apart[t]) for t in (0, 2, 3)) < 0.5 * apart[1]
    assert float(jnp.abs(reward).max()) <= 1.0 and float(right) > 0.9
