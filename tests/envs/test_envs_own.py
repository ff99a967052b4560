"""Environments of one's own: adapted where they follow gymnax, and told what is wrong where they do not."""

import types
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

from rl_jax.envs import Box, Discrete, TupleEnv, adapt, check_env
from rl_jax.errors import ProtocolError, UnsupportedSpace
from rl_jax.types import Step


class Line:
    """Gymnax's functions without gymnax: walk to 3; ``kind`` is what step returns."""

    def __init__(self, kind="five", start=0, broken=""):
        self.kind, self.start, self.broken = kind, start, broken

    def reset(self, key, params):
        state = {"x": self.start, "time": 0}
        if self.broken == "reset":
            return state
        return jnp.float32(self.start) + jnp.zeros(1), state

    def step(self, key, state, action, params):
        x, time = state["x"] + action, state["time"] + 1
        goal, limit = x >= 3, time >= 5
        obs = jnp.asarray(x, jnp.float32)[None]
        end = goal | limit
        again = {"x": jnp.where(end, 0, x), "time": jnp.where(end, 0, time)}
        if self.broken == "float":
            again["x"] = again["x"] + 0.5
        if self.broken == "keys":
            again["extra"] = time
        if self.broken == "if" and goal:
            return None
        shown = jnp.where(end, jnp.zeros(1), obs)
        if self.kind == "four":
            return shown, again, 1.0, end
        if self.kind == "five":
            return shown, again, 1, end, {}
        info = {} if self.broken == "final" else {"final_observation": obs}
        return shown, again, jnp.float32(1.0), goal, limit, info

    def observation_space(self, params):
        return Box.of(0, 10, (2,) if self.broken == "shape" else (1,))

    def action_space(self, params):
        return Discrete(2)


class OldLine(Line):
    """As gymnax 0.0.9: ``step_env`` does not reset and its ``done`` includes the limit."""

    def reset_env(self, key, params):
        return Line.reset(self, key, params)

    def step_env(self, key, state, action, params):
        x, time = state["x"] + action, state["time"] + 1
        return jnp.asarray(x, jnp.float32)[None], {"x": x, "time": time}, 1.0, (x >= 3) | (time >= 5), {}


class _From:
    """A discrete space that begins elsewhere than at 0, as gymnasium has them."""

    def __init__(self, n, start):
        self.n, self.start, self.shape, self.dtype = n, start, (), jnp.int32


class _SignedLine(OldLine):
    """Moves by -1, 0 or 1, and shows the sum of the moves, -5 to 5, as one of eleven."""

    def reset_env(self, key, params):
        return jnp.int32(0), {"x": jnp.int32(0), "time": jnp.int32(0)}

    def step_env(self, key, state, action, params):
        x, time = state["x"] + action, state["time"] + 1
        return x, {"x": x, "time": time}, jnp.float32(action), time >= 5, {}

    def is_truncated(self, state, params):
        return jnp.zeros((), bool)

    name, default_params = "signed line", ()

    def observation_space(self, params):
        return _From(11, -5)

    def action_space(self, params):
        return _From(3, -1)


@pytest.mark.parametrize("kind", ["gymnax", "tuple"])
def test_discrete_spaces_keep_where_they_begin(kind):
    """Ours begin at 0; what the environment is given and what it shows are its own numbers."""
    env = adapt(_SignedLine()) if kind == "gymnax" else TupleEnv(_SignedLine())
    assert env.action_space(()) == Discrete(3) and env.observation_space(()) == Discrete(11)
    state, obs = env.reset(jax.random.key(0), ())
    assert obs == 5
    for action, move, shown in ((0, -1, 4), (1, 0, 4), (2, 1, 5), (2, 1, 6)):
        state, obs, reward, *_ = env.step(jax.random.key(0), state, jnp.int32(action), ())
        assert (int(reward), int(obs)) == (move, shown)


def walk(env, action):
    state, _ = env.reset(jax.random.key(0), env.default_params)
    for _ in range(10):
        step = env.step(jax.random.key(0), state, jnp.int32(action), env.default_params)
        if step.terminated or step.truncated:
            return step
        state = step.state
    raise AssertionError("the episode did not end")


def test_six_tuples_keep_the_final_observation():
    env = adapt(Line("six"))
    check_env(env)
    ended, cut = walk(env, 1), walk(env, 0)
    assert ended.terminated and not ended.truncated and ended.obs[0] == 3
    assert cut.truncated and not cut.terminated
    assert "final_observation" not in ended.info


def test_five_tuples_end_as_terminated():
    env = adapt(Line("five"))
    check_env(env)
    assert walk(env, 1).terminated and walk(env, 0).terminated
    with pytest.raises(ProtocolError, match="give it reset_env and step_env"):
        adapt(Line("five"), truncated=lambda state, params: state["time"] >= 5)


def test_old_gymnax_environments_can_say_what_was_a_limit():
    env = adapt(OldLine(), truncated=lambda state, params: state["time"] >= 5)
    check_env(env)
    assert walk(env, 1).terminated and walk(env, 1).obs[0] == 3
    cut = walk(env, 0)
    assert cut.truncated and not cut.terminated
    assert walk(adapt(OldLine()), 0).terminated


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (Line(broken="reset"), r"reset must return \(obs, state\), but returned a dict"),
        (Line("four"), r"step must return .* but returned a tuple of 4"),
        (Line(broken="float"), r"state\['x'\] is int32 after reset and float32 after step.*make it a float in reset"),
        (Line(broken="keys"), "state of another structure"),
        (Line("six", broken="final"), r"no info\['final_observation'\]"),
        (Line(broken="shape"), r"obs after reset is float32\[1\], expected float32\[2\].*observation_space"),
        (Line(broken="if"), "step cannot be traced, it raised TracerBoolConversionError.*jnp.where"),
    ],
)
def test_broken_environments_are_told_what_is_wrong(env, message):
    with pytest.raises(ProtocolError, match=message) as caught:
        check_env(adapt(env, name="Line"))
    assert all(line.startswith("Line: ") for line in str(caught.value).splitlines())


class State(NamedTuple):
    x: jax.Array


class Native:
    """Our protocol; ``wrong`` replaces fields of the step."""

    name, default_params, time_limit = "Native", (), None

    def __init__(self, swap=False, raw=False, **wrong):
        self.swap, self.raw, self.wrong = swap, raw, wrong

    def reset(self, key, params):
        pair = State(jnp.zeros((), jnp.int32)), jnp.zeros(1, jnp.float32)
        return pair[::-1] if self.swap else pair

    def step(self, key, state, action, params):
        no = jnp.zeros((), bool)
        step = Step(state, jnp.zeros(1, jnp.float32), jnp.float32(0), no, no, {})._replace(**self.wrong)
        return tuple(step) if self.raw else step

    def observation_space(self, params):
        return self.wrong.get("space", Box.of(-1, 1, (1,)))

    def action_space(self, params):
        return Discrete(2)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (Native(reward=jnp.zeros(3)), r"Native: reward is float32\[3\], expected float32\[\]; reshape it"),
        (Native(terminated=jnp.float32(0)), r"terminated is float32\[\], expected bool\[\]; cast it"),
        (Native(truncated=jnp.zeros(2, bool)), r"truncated is bool\[2\]"),
        (Native(obs=jnp.zeros(2)), r"obs after step is float32\[2\], expected float32\[1\]"),
        (Native(info=3), "info is a int, expected a dict"),
        (Native(state=State(jnp.float32(0))), r"state\.x is float32\[\] after step, expected int32\[\]"),
        (Native(state=()), "state after step has the structure"),
        (Native(raw=True), "step returned a tuple, expected a rl_jax.types.Step"),
        (Native(space="line"), "observation_space is 'line', expected a Discrete"),
        (object(), "an environment needs name, default_params"),
    ],
)
def test_check_env_names_each_violation(env, message):
    check_env(Native())
    with pytest.raises(ProtocolError, match=message):
        check_env(env)


def test_adapt_passes_ours_and_refuses_what_it_does_not_know():
    env = Native()
    assert adapt(env) is env
    assert adapt(env, {"length": 2}).default_params == {"length": 2}
    assert adapt(env, time_limit=7).time_limit == 7
    with pytest.raises(ProtocolError, match=r"object is no environment: it lacks name, default_params, .*reset, step"):
        adapt(object())
    with pytest.raises(ProtocolError, match=r"pass an object of it: Native\(\)"):
        adapt(Native)
    with pytest.raises(UnsupportedSpace, match="not one array"):
        line = Line()
        line.action_space = lambda params: types.SimpleNamespace(spaces={})
        check_env(adapt(line))
