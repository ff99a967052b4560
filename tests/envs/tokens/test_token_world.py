"""The token world and its chains: against a slow model of texts, demonstrations, given beginnings, and what must stay hidden."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tapes_reference import CHARACTERS, play

from rl_jax import make
from rl_jax.envs import check_env, names
from rl_jax.envs.limits import longest_episode
from rl_jax.envs.tokens.chain_problems import problem_of
from rl_jax.envs.tokens.task import read, show
from rl_jax.envs.tokens.world import FACTS
from rl_jax.errors import RLJaxError
from rl_jax.types import Environment

WORLDS = {
    "full": ("tokens/chain", {"operands": 3}),
    "tiers": ("tokens/chain", {"operands": 4, "fewest": 2, "spare": 2}),
    "answer": ("tokens/chain-answer", {"operands": 3, "spare": 1}),
}


def world_of(name):
    name, options = WORLDS[name]
    return make(name, **options)


@functools.cache
def player(env):
    """Compiled: from a tape and proposals ``[S]`` to steps, and the states after them, ``[S, ...]``."""

    def run(tape, proposals):
        def step(tape, action):
            out = env.step(jax.random.key(1), tape, action, env.default_params)
            return out.state, out

        return jax.lax.scan(step, tape, proposals)[1]

    return jax.jit(run)


@functools.cache
def beginner(env):
    return jax.jit(env.begin)


@functools.cache
def demonstrator(env, count=4000):
    """Compiled: problems, tokens and own of ``count`` demonstrations, under ``params``."""

    def one(key, params):
        key_problem, key_tape = jax.random.split(key)
        problem = env.task.draw(key_problem, params)
        return problem, *env.task.demonstrate(key_tape, problem, params)

    run = jax.jit(jax.vmap(one, (0, None)))
    return lambda params=env.default_params: run(jax.random.split(jax.random.key(5), count), params)


def questions(fewest, most):
    """Texts such as ``7+3x2`` of so many operands."""
    term = st.tuples(st.sampled_from("+-x"), st.sampled_from("0123456789")).map("".join)
    return st.lists(term, min_size=fewest - 1, max_size=most - 1).flatmap(
        lambda terms: st.sampled_from("0123456789").map(lambda digit: digit + "".join(terms))
    )


def problem_from(env, question):
    """The problem of a text such as ``7+3x2``."""
    most = getattr(env.task, "task", env.task).operands
    digits, signs = [int(digit) for digit in question[::2]], ["+-x".index(sign) for sign in question[1::2]]
    fill = most - len(digits)
    arrays = jnp.array(digits + [9] * fill, jnp.int32), jnp.array(signs + [2] * fill, jnp.int32)
    return problem_of(*arrays, len(signs))


def compare(out, expected):
    for name in ("own", "correct", "turn", "step", "step_end", "step_ok", "place"):
        np.testing.assert_array_equal(out.info[name], [step[name] for step in expected], err_msg=name)
    for name in ("reward", "terminated"):
        np.testing.assert_array_equal(getattr(out, name), [step[name] for step in expected], err_msg=name)
    np.testing.assert_array_equal(out.info["gold"], out.info["correct"])
    np.testing.assert_array_equal(out.info["proxy"], out.reward)
    assert show(out.info["right"]) == "".join(step["right"] for step in expected)
    assert show(out.obs) == "".join(step["obs"] for step in expected)
    assert [show(tokens) for tokens in out.state.tokens] == [step["tape"] for step in expected]
    assert not out.truncated.any()


@pytest.mark.parametrize("name", WORLDS)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_episodes_are_those_of_the_slow_model(name, data):
    env = world_of(name)
    task = env.task
    question = data.draw(questions(task.fewest or task.operands, task.operands))
    proposals = data.draw(st.text("0123456789EE.+=_", min_size=env.own_limit + 2, max_size=env.own_limit + 2))
    room = env.own_limit - task.prompt_length
    prefix = data.draw(st.text("0123456789.", max_size=room))
    padded = read(prefix.ljust(room, "3"))
    tape = beginner(env)(problem_from(env, question), padded, len(prefix))
    expected = play(question, proposals, task.prompt_length, room + 1, task.answer_only, prefix)
    compare(player(env)(tape, jnp.asarray(read(proposals))), expected)


@pytest.mark.parametrize("name", WORLDS)
def test_each_world_keeps_the_protocol(name):
    env = world_of(name)
    assert isinstance(env, Environment) and env.name in names()
    assert env.time_limit is None and longest_episode(env) == env.task.length
    check_env(env, steps=60)
    again = make(WORLDS[name][0], **dict(reversed(WORLDS[name][1].items())))
    assert env == again and hash(env) == hash(again)


def test_types_do_not_depend_on_x64():
    env = world_of("tiers")

    def run(key):
        keys = jax.random.split(key, 3)
        state, obs = env.reset(keys[0], env.default_params)
        tape = env.task.demonstrate(keys[1], state.problem, env.default_params)
        return obs, env.step(keys[2], state, obs, env.default_params), tape

    with jax.enable_x64(True):
        wide = jax.eval_shape(run, jax.random.key(3))
    for path, leaf in jax.tree_util.tree_leaves_with_path(wide):
        assert leaf.dtype.itemsize <= 4 and not leaf.weak_type, (path, leaf)
    jax.tree.map(
        lambda a, b: (a.dtype, a.shape) == (b.dtype, b.shape) or pytest.fail(), wide, jax.eval_shape(run, jax.random.key(3))
    )


def test_a_beginning_is_the_same_as_having_played_it():
    env = world_of("tiers")
    problem = problem_from(env, "7+3x2-4")
    proposals = jnp.asarray(read("0000000" + ".0.06E666"))
    whole = player(env)(env.begin(problem, jnp.zeros((1,), jnp.int32), 0), proposals)
    for size in (1, 2, 4):
        tape = env.begin(problem, proposals[7:12], size)
        assert not tape.own.any() and tape.time == 0
        rest = player(env)(tape, proposals)
        np.testing.assert_array_equal(rest.info["own"], whole.info["own"] & (np.arange(len(proposals)) >= 7 + size))
        for field in ("obs", "reward", "terminated"):
            np.testing.assert_array_equal(getattr(rest, field), getattr(whole, field))
        for new, old in zip(rest.state.memo, whole.state.memo, strict=True):
            np.testing.assert_array_equal(new[6 + size :], old[6 + size :])
    ended = env.begin(problem, jnp.asarray(read("0E345")), 5)
    assert show(ended.tokens).endswith("=0_____") and not ended.over, "a beginning leaves the answer open"


def test_what_is_hidden_reaches_no_observation():
    env = world_of("tiers")
    problem = problem_from(env, "7+3x2-4")
    other = problem_from(env, "1x1x1x1")._replace(prompt=problem.prompt)
    proposals = jnp.asarray(read("0000000.7.13E"))
    prefix = jnp.zeros((1,), jnp.int32)
    seen, also = (player(env)(env.begin(p, prefix, 0), proposals) for p in (problem, other))
    np.testing.assert_array_equal(seen.obs, also.obs)
    assert (seen.info["right"] != also.info["right"]).any()
    assert env.observation_space(env.default_params).n == env.action_space(env.default_params).n == env.task.vocabulary


def test_after_the_end_nothing_changes():
    env = world_of("tiers")
    out = player(env)(
        env.begin(problem_from(env, "1+1"), jnp.zeros((1,), jnp.int32), 0), jnp.asarray(read("0000000" + "2E3456789"))
    )
    assert out.terminated.tolist() == [step == 8 for step in range(16)] and out.reward.sum() == 1
    for leaf in jax.tree.leaves(jax.tree.map(np.asarray, (out.state, out.obs))):
        assert (leaf[8:] == leaf[8]).all()
    for name, nothing in FACTS.items():
        assert (out.info[name][9:] == nothing).all(), name


@pytest.mark.parametrize("name", WORLDS)
def test_demonstrations_without_faults_are_right(name):
    env = world_of(name)
    params = env.default_params.replace(slip=np.float32(0), padding=np.float32(0.5))
    problems, tokens, own = jax.tree.map(np.asarray, demonstrator(env, 200)(params))
    blank = jax.jit(jax.vmap(lambda problem: env.begin(problem, jnp.zeros((1,), jnp.int32), 0)))(problems)
    out = jax.jit(jax.vmap(player(env)))(blank, tokens[:, 1:])
    assert (out.reward.sum(axis=1) == 1).all() and (out.terminated.sum(axis=1) == 1).all()
    np.testing.assert_array_equal(out.info["own"], own[:, 1:])
    np.testing.assert_array_equal(out.state.tokens[:, -1], tokens)
    assert (out.info["step_ok"] == out.info["step_end"]).all()
    idle = (tokens == CHARACTERS.index(".")).sum(axis=1)
    assert set(idle) == set(range(env.task.spare + 1))
    if env.task.fewest:
        assert {show(row).strip("_").index("=") for row in tokens} == {3, 5, 7}


def test_idle_steps_may_count():
    worlds = [make("tokens/chain", operands=3, spare=2, idle_steps=counts) for counts in (False, True)]
    tape = worlds[0].begin(problem_from(worlds[0], "7+3x2"), jnp.zeros((1,), jnp.int32), 0)
    without, counted = (player(env)(tape, jnp.asarray(read("7+3x2=.0+.0E"))[1:]) for env in worlds)
    for name in ("step_end", "step_ok"):
        assert np.flatnonzero(without.info[name] != counted.info[name]).tolist() == [5, 8]
    jax.tree.map(np.testing.assert_array_equal, (without.state, without.reward), (counted.state, counted.reward))


def answers(tokens):
    """The digit before ``E``."""
    return np.array([int(show(row).partition("E")[0][-1]) for row in tokens])


def test_slips_set_the_pass_rate():
    """``p_k = p_{k-1} (1 - 0.9 e) + (1 - p_{k-1}) 0.1 e`` without products, which make wrong results right again."""
    env, slip = make("tokens/chain", operands=4, operators="+-"), 0.3
    assert float(env.default_params.slip) == np.float32(slip)
    expected = 1.0
    for _ in range(3):
        expected = expected * (1 - 0.9 * slip) + (1 - expected) * 0.1 * slip
    for world in (env, make("tokens/chain-answer", operands=4, operators="+-")):
        problems, tokens, _ = jax.tree.map(np.asarray, demonstrator(world)())
        passed = (answers(tokens) == problems.hidden.answer).mean()
        assert abs(passed - expected) < 4 * np.sqrt(expected * (1 - expected) / len(tokens))


def test_a_misconception_is_of_products_alone():
    env = make("tokens/chain", operands=2, slip=0.0, misconception=0.7)
    problems, tokens, _ = jax.tree.map(np.asarray, demonstrator(env)())
    product = problems.hidden.operators[:, 0] == 2
    off = (answers(tokens) - problems.hidden.answer) % 10
    assert not off[~product].any() and set(off[product]) == {0, 1}
    assert abs(off[product].mean() - 0.7) < 4 * np.sqrt(0.21 / product.sum())
    assert abs(product.mean() - 1 / 3) < 4 * np.sqrt(2 / 9 / len(product))


def test_tapes_are_shown_and_read():
    text = "__7+3x2=0.0E?!RHJTCBabcdefghij;-1456_89"
    assert show(read(text)) == text
    assert show(read("7+3=0E_"), [0, 0, 0, 0, 1, 1, 0]) == "7+3=<0E>_"
    assert show(read("0E!1E"), [1, 1, 0, 1, 1]) == "<0E>!<1E>" and show(read("<0E>!<1E>")) == "0E!1E"
    with pytest.raises(RLJaxError, match="no tokens"):
        read("7 + z")


@pytest.mark.parametrize(
    ("options", "message"), [({"operands": 9}, "from 2 to 6"), ({"operators": "/"}, "some of"), ({"fewest": 5}, "from 2 to 4")]
)
def test_chains_that_cannot_be(options, message):
    with pytest.raises(RLJaxError, match=message):
        make("tokens/chain", **options)
