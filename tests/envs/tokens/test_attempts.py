"""Several attempts: against the slow model, and what the demonstrator writes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tapes_reference import play
from test_token_world import compare, demonstrator, player, problem_from, questions

from rl_jax import make
from rl_jax.envs import check_env
from rl_jax.envs.tokens import Attempts, Chain, TokenWorld
from rl_jax.envs.tokens.task import read, show
from rl_jax.errors import RLJaxError


def world_of(feedback):
    return make("tokens/attempts", operands=3, spare=1, turns=3, feedback=feedback)


@pytest.mark.slow
@pytest.mark.parametrize("feedback", ["none", "position", "token", "revise"])
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_attempts_are_those_of_the_slow_model(feedback, data):
    env = world_of(feedback)
    question = data.draw(questions(3, 3))
    size = env.own_limit + 2
    # Right tokens are proposed often, so that all turns come to pass.
    proposals = data.draw(st.text("0123456789EEEE.", min_size=size, max_size=size))
    tape = env.blank(problem_from(env, question), env.default_params)
    expected = play(question, proposals, 6, 4, turns=3, feedback=feedback)
    for step in range(size):
        if expected[step]["own"] and data.draw(st.booleans()):
            proposals = proposals[:step] + expected[step]["right"] + proposals[step + 1 :]
            expected = play(question, proposals, 6, 4, turns=3, feedback=feedback)
    compare(player(env)(tape, jnp.asarray(read(proposals))), expected)


@pytest.mark.parametrize(
    ("feedback", "proposals", "tape"),
    [
        ("none", "01E" + "02E", "<01E02E>_"),
        ("token", "01E" + "000" + "02E", "<01E>H12<02E>_"),
        ("token", "13E" + "000" + "0.7." + "000" + "02E", "<13E>H00<0.7.>H12<02E>"),
        ("position", "0E" + "00" + "1...", "<0E>!1<1...>!0"),
        ("revise", "02E" + "0" + "02E" + "0" + "1E", "<02E>?<02E>?<1E>"),
        ("unary", "...." + "0" + "02E", "<....>!<02E>"),
    ],
)
def test_feedback_by_example(feedback, proposals, tape):
    env = world_of(feedback)
    proposals = ("0" * 5 + proposals).ljust(env.own_limit, "9")
    out = player(env)(env.blank(problem_from(env, "7+3+2"), env.default_params), jnp.asarray(read(proposals)))
    assert show(out.state.tokens[-1], out.state.own[-1]).startswith("7+3+2=" + tape)


@pytest.mark.slow
@pytest.mark.parametrize("feedback", ["token", "revise"])
def test_demonstrated_attempts_are_episodes(feedback):
    env = world_of(feedback)
    check_env(env, steps=60)
    base = env.default_params
    params = base.replace(task=base.task.replace(slip=np.float32(1)), later=base.later.replace(slip=np.float32(0)))
    problems, tokens, own = jax.tree.map(np.asarray, demonstrator(env, 200)(params))
    start = jax.jit(jax.vmap(lambda problem: env.blank(problem, env.default_params)))(problems)
    out = jax.tree.map(np.asarray, jax.jit(jax.vmap(player(env)))(start, tokens[:, 1:]))
    np.testing.assert_array_equal(out.state.tokens[:, -1], tokens)
    np.testing.assert_array_equal(out.state.own[:, -1], own)
    assert (out.reward.sum(axis=1) == 1).all(), "later attempts are faultless"
    turns = out.info["turn"].max(axis=1)
    assert set(turns) == ({2} if feedback == "revise" else {0, 1})
    assert (turns > 0).mean() > 0.8, "random digits are rarely right"


def test_a_beginning_holds_the_feedback_that_was_written():
    env = world_of("token")
    problem = problem_from(env, "7+3+2")
    tape = jax.jit(env.begin)(problem, jnp.asarray(read("01EH12")), 6)
    assert show(tape.tokens).startswith("7+3+2=01EH12__") and tape.pending == 11 and tape.memo.turn == 1
    out = player(env)(tape, jnp.asarray(read("0" * 11 + "02E")))
    assert out.reward[-1] == 1 and out.terminated[-1] and out.info["turn"][-1] == 1 and out.info["own"].sum() == 3
    written = env.begin(problem, jnp.asarray(read("01E")), 3)
    assert show(written.tokens).startswith("7+3+2=01EH12__"), "the reply to the last token of a beginning is written too"


class Silent(Chain):
    """A chain that says nothing of steps."""

    def reply(self, key, tape, token, params):
        reply = super().reply(key, tape, token, params)
        return reply._replace(facts={"correct": reply.facts["correct"]})


def test_feedback_that_a_task_cannot_give():
    env = TokenWorld(Attempts(Silent(), 2, "position"))
    with pytest.raises(RLJaxError, match="needs the facts"):
        check_env(env)
    check_env(TokenWorld(Attempts(Silent(), 2, "unary")))
    with pytest.raises(RLJaxError, match="from 2 to 5"):
        make("tokens/attempts", turns=1)
    with pytest.raises(RLJaxError, match="'none'"):
        make("tokens/attempts", feedback="loud")


def test_without_slips_no_attempt_has_any():
    env = world_of("revise")
    clean = env.task.without_slips(env.default_params)
    assert (clean.task.slip, clean.later.slip) == (0, 0) and clean.task.misconception == env.default_params.task.misconception
