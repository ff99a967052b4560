"""Which attempts are cloned, against loops; and where a second round begins, in the loop."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import context, rollout_of
from whole_columns import update

import rl_jax as rl
from rl_jax.agents import PolicyGradient
from rl_jax.curricula.prompts import Prompts
from rl_jax.envs.tokens import Attempts, Chain, TokenWorld
from rl_jax.errors import RLJaxError
from rl_jax.ideas.meta_rl.rise_introspection import BestAttempts, ImprovedAttempts, improved_attempt
from rl_jax.loop.check_trainer import check_trainer
from rl_jax.losses.likelihood import NegativeLogLikelihood
from rl_jax.networks.sequence import sequence_actor_critic

TURNS, SIZE, GROUPS = 3, 3, 4
WORLD = TokenWorld(Attempts(Chain(operands=2), TURNS, "revise"))


def episodes(seed, attempt):
    """Two rounds of four groups of three columns, three attempts of two tokens each; those of round two begin at ``attempt``."""
    columns = 2 * GROUPS * SIZE
    random = np.random.default_rng(seed)
    right = random.random((TURNS, columns)) < 0.35
    turn = np.repeat(np.arange(TURNS, dtype=np.int32), 2)[:, None] * np.ones((1, columns), np.int32)
    own = np.ones((2 * TURNS, columns), bool)
    own[: 2 * attempt, columns // 2 :] = False
    correct = np.zeros((2 * TURNS, columns), bool)
    correct[1::2] = right
    rollout = rollout_of(np.zeros(own.shape), own=own)
    return right, rollout.replace(info={"turn": jnp.asarray(turn), "correct": jnp.asarray(correct)})


def slow(right, attempt, tau, failures):
    """The weights of attempts ``[TURNS, columns]``, as the published code keeps them."""
    columns = right.shape[1] // 2
    weight = np.zeros(right.shape)

    def kept(number, column):
        weight[number, column] = np.exp(1 / tau) if right[number, column] else failures

    for first in range(0, columns, SIZE):
        solved = False
        for number in range(attempt):
            if not solved:
                kept(number, first)
                solved = right[number, first]
        if not solved:
            drawn = right[attempt, columns + first : columns + first + SIZE]
            kept(attempt, columns + first + int(np.argmax(drawn)))
    return weight


@pytest.mark.parametrize(("attempt", "failures"), [(0, 1.0), (1, 1.0), (2, 0.0), (2, 1.0)])
def test_the_attempts_that_are_cloned_are_those_of_a_loop(attempt, failures):
    for seed in range(3):
        right, rollout = episodes(seed, attempt)
        part = BestAttempts(SIZE, TURNS, attempt, attempt, 0.4, failures)
        _, rollout, _ = update(part, (), rollout, context(progress=jnp.float32(0.3)))
        expected = np.repeat(slow(right, attempt, 0.4, failures), 2, axis=0)
        np.testing.assert_allclose(rollout.extras["weight"], expected / expected.mean(), rtol=1e-5)


def test_one_attempt_more_in_each_part_of_training():
    found = improved_attempt(jnp.asarray([0.0, 0.3, 0.4, 0.6, 0.7, 1.0]), 1, 3)
    assert found.tolist() == [1, 1, 2, 2, 3, 3]


def trainer(attempt, **parts):
    agent = PolicyGradient(
        terms={"policy": NegativeLogLikelihood()},
        weights={"policy": 1.0},
        learning_rate=1e-3,
        max_grad_norm=1.0,
        network=partial(sequence_actor_critic, memory_width=8, layers=1),
        epochs=1,
        minibatches=1,
        anneal=False,
    )
    curriculum = ImprovedAttempts(Prompts(WORLD, SIZE), TURNS, attempt, attempt)
    options = {"whole": True, "rounds": 2, "curriculum": curriculum} | parts
    return rl.Trainer.create(
        WORLD,
        agent,
        BestAttempts(SIZE, TURNS, attempt, attempt),
        num_envs=GROUPS * SIZE,
        rollout_length=WORLD.own_limit,
        **options,
    )


def test_the_second_round_begins_where_the_first_column_had_failed():
    made = trainer(1)
    check_trainer(made)
    state = made.init(jax.random.key(0))
    curriculum = made.curriculum
    prompts = curriculum.start(state.curriculum, jax.random.key(0), jnp.int32(0)).env_state
    prompt = WORLD.task.prompt_length
    given = state.curriculum._replace(
        given=state.curriculum.given.at[:, :3].set(jnp.array([16, 18, 0])), size=jnp.array([2, 0, 0, 0])
    )
    begin = jax.vmap(lambda index: curriculum.start(given, jax.random.key(0), index).env_state)(jnp.arange(2 * GROUPS * SIZE))
    second = slice(GROUPS * SIZE, GROUPS * SIZE + SIZE)
    np.testing.assert_array_equal(begin.tokens[0], prompts.tokens)
    assert (np.asarray(begin.tokens[second, prompt : prompt + 2]) == [16, 18]).all() and (begin.memo.turn[second] == 1).all()
    assert (np.asarray(begin.memo.turn)[GROUPS * SIZE + SIZE :] == 0).all() and not np.asarray(
        begin.memo.turn[: GROUPS * SIZE]
    ).any()


def test_one_round_is_refused():
    with pytest.raises(RLJaxError, match="rounds=2"):
        trainer(1, rounds=1)
