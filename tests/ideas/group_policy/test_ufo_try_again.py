"""Rewards of several attempts against loops over the tapes of episodes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import context, rollout_of
from whole_columns import update

from rl_jax.envs.tokens.attempts import attempted_answers, right_attempts
from rl_jax.envs.tokens.task import CHARACTERS
from rl_jax.ideas.group_policy.ufo_try_again import attempt_reward, distinct_answers

TURNS = 3
#: What the policy wrote in each attempt, and whether the last one was right.
EPISODES = [
    (["7E"], True),
    (["3E", "3E", "4E"], True),
    (["5E", "5E", "5E"], False),
    ([".E", "25", "5E"], False),
    ([".E", "..", "E"], False),
]


def episodes():
    """The rollout: a prompt row, then the attempts with a row of feedback between them."""
    length, columns = 1 + TURNS * 2 + TURNS - 1, len(EPISODES)
    own, correct, ended = (np.zeros((length, columns), bool) for _ in range(3))
    turn, action, reward = (
        np.zeros((length, columns), np.int32),
        np.full((length, columns), 9, np.int32),
        np.zeros((length, columns)),
    )
    for column, (attempts, right) in enumerate(EPISODES):
        row = 1
        for number, text in enumerate(attempts):
            for character in text:
                own[row, column], turn[row, column] = True, number
                action[row, column] = CHARACTERS.index(character)
                row += 1
            last, row = row - 1, row + 1
        correct[last, column], ended[last, column], reward[last, column] = right, True, float(right)
    rollout = rollout_of(reward, jnp.asarray(ended), own=jnp.asarray(own))
    return rollout.replace(action=jnp.asarray(action), info={"turn": jnp.asarray(turn), "correct": jnp.asarray(correct)})


def expected(gamma, penalty):
    """Of each episode, as the published environment adds it up."""
    found = []
    for attempts, right in EPISODES:
        answers = [[c for c in text if c.isdigit()][-1] for text in attempts if any(c.isdigit() for c in text)]
        cost = penalty * (1 - len(set(answers)) / len(answers)) if answers else 0.0
        found.append(gamma ** (len(attempts) - 1) * right - cost)
    return found


@pytest.mark.parametrize(("gamma", "penalty"), [(1.0, 0.0), (0.5, 0.5), (0.0, 0.0), (0.9, 0.3)])
def test_rewards_are_those_of_a_loop(gamma, penalty):
    _, rollout, _ = update(attempt_reward(TURNS, gamma, penalty), (), episodes(), context())
    np.testing.assert_allclose(jnp.sum(rollout.reward, axis=0), expected(gamma, penalty), rtol=1e-6)
    paid = np.asarray(rollout.reward) != 0
    assert not (paid & ~np.asarray(rollout.terminated)).any(), "all of it is paid where the episode ends"


def test_answers_of_attempts():
    rollout = episodes()
    answers = jax.jit(attempted_answers, static_argnums=1)(rollout, TURNS)
    np.testing.assert_array_equal(answers.T, [[7, -1, -1], [3, 3, 4], [5, 5, 5], [-1, 5, 5], [-1, -1, -1]])
    np.testing.assert_array_equal(jax.jit(distinct_answers)(answers), [[1, 3, 3, 2, 0], [1, 2, 1, 1, 0]])
    right = jax.jit(right_attempts, static_argnums=1)(rollout, TURNS)
    np.testing.assert_array_equal(right.T, [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
