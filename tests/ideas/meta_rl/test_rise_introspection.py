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
from rl_jax.envs.tokens.task import PAD, read
from rl_jax.errors import RLJaxError
from rl_jax.ideas.meta_rl.rise_introspection import BestAttempts, ImprovedAttempts, improved_attempt
from rl_jax.loop.check_trainer import check_trainer
from rl_jax.losses.likelihood import NegativeLogLikelihood
from rl_jax.networks.sequence import sequence_actor_critic
from rl_jax.spaces import Discrete
from rl_jax.types import Spec

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


CURRICULUM = ImprovedAttempts(Prompts(WORLD, SIZE), TURNS, 1, 1)


def test_it_fits_into_the_loop():
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
    sizes = {"num_envs": GROUPS * SIZE, "rollout_length": WORLD.own_limit}
    part = BestAttempts(SIZE, TURNS, 1, 1)
    check_trainer(rl.Trainer.create(WORLD, agent, part, **sizes, whole=True, rounds=2, curriculum=CURRICULUM))


def spec(rounds):
    tokens = Discrete(WORLD.task.vocabulary)
    return Spec(tokens, tokens, rounds * GROUPS * SIZE, WORLD.own_limit, whole=True, rounds=rounds)


def test_the_second_round_begins_where_the_first_column_had_failed():
    """All write ``.E`` thrice; the first columns of two groups, and a second column of another, are called right."""
    state = CURRICULUM.init(jax.random.key(0), spec(2))
    columns, prompt = GROUPS * SIZE, WORLD.task.prompt_length
    own = np.zeros((WORLD.own_limit, columns), bool)
    turn, correct = np.zeros(own.shape, np.int32), np.zeros(own.shape, bool)
    for number in range(TURNS):
        rows = prompt - 1 + 3 * number + np.arange(2)
        own[rows], turn[rows] = True, number
        correct[rows[1], [1, SIZE, 3 * SIZE]] = number == 0
    text = jnp.asarray(read("......" + ".E?.E?.E")[-(WORLD.own_limit + 1) :])
    rollout = rollout_of(np.zeros(own.shape), own=own)
    rollout = rollout.replace(info={"turn": jnp.asarray(turn), "correct": jnp.asarray(correct)})
    tapes = jax.vmap(lambda index: CURRICULUM.start(state, jax.random.key(0), index).env_state)
    ended = jax.jit(tapes)(jnp.arange(columns))._replace(tokens=jnp.broadcast_to(text, (columns, len(text))))
    rollout = rollout.replace(last=rollout.last.replace(env_state=ended))
    between = CURRICULUM.between(state, rollout, context(progress=jnp.float32(0.0)))
    np.testing.assert_array_equal(between.size, [3, 0, 3, 0])
    begun = jax.jit(jax.vmap(lambda index: CURRICULUM.start(between, jax.random.key(0), index).env_state))(
        jnp.arange(2 * columns)
    )
    problems = np.asarray(begun.problem.prompt).reshape(2, GROUPS, SIZE, -1)
    assert (problems == problems[:1, :, :1]).all(), "both rounds ask the same"
    turns = np.asarray(begun.memo.turn).reshape(2, GROUPS, SIZE)
    np.testing.assert_array_equal(turns[0], 0)
    np.testing.assert_array_equal(turns[1], [[1] * SIZE, [0] * SIZE] * 2)
    written = np.asarray(begun.tokens).reshape(2, GROUPS, SIZE, -1)[1, ::2, :, prompt:]
    assert (written[..., :3] == read(".E?")).all() and (written[..., 3:] == PAD).all()


def test_one_round_is_refused():
    with pytest.raises(RLJaxError, match="rounds=2"):
        CURRICULUM.init(jax.random.key(0), spec(1))
