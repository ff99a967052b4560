"""Environments of libraries that are extras keep the protocol; each is tested where its library is installed."""

import importlib.util
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

import rl_jax as rl
from rl_jax.envs import adapt, check_env, make
from rl_jax.envs.suites import extras, playground
from rl_jax.envs.suites.foreign import ForeignEnv, planes, refuse_wrapped
from rl_jax.errors import MissingExtra, ProtocolError, RLJaxError, UnsupportedSpace
from rl_jax.spaces import Box, Dict, Discrete, MultiDiscrete, leaves, mask_space
from rl_jax.types import Step

NUM, STEPS = 8, 200


def needs(extra):
    package = extras.EXTRAS[extra].package
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"needs the extra '{extra}': pip install 'rl_jax[{extra}]'")


def sample(space, key, lead):
    if isinstance(space, Discrete):
        return jax.random.randint(key, lead, 0, space.n)
    if isinstance(space, MultiDiscrete):
        return jax.random.randint(key, (*lead, len(space.nvec)), 0, jnp.asarray(space.nvec))
    return jax.random.uniform(key, (*lead, *space.shape), minval=-1.0, maxval=1.0)


def random_steps(env, steps=STEPS, num=NUM, seed=0):
    """``num`` environments, each stepped at random and begun anew at its ends: the steps' observations, rewards and flags."""
    params = env.default_params
    keys = jax.random.split(jax.random.key(seed), 3)
    actions = sample(env.action_space(params), keys[0], (steps, num))

    def one(carry, given):
        state, key = carry
        action, count = given
        key_step, key_reset = jax.random.split(jax.random.fold_in(key, count))
        out = env.step(key_step, state, action, params)
        fresh, _ = env.reset(key_reset, params)
        over = out.terminated | out.truncated
        after = jax.tree.map(lambda new, old: jnp.where(over, new, old), fresh, out.state)
        return (after, key), (out.obs, out.reward, out.terminated, out.truncated)

    def run(key, own):
        state, obs = env.reset(key, params)
        return obs, jax.lax.scan(one, (state, key), (own, jnp.arange(steps)))[1]

    first, found = jax.jit(jax.vmap(run, (0, 1)))(jax.random.split(keys[1], num), actions)
    return jax.tree.map(np.asarray, (first, *found))


def check(name, steps=STEPS, **options):
    """The conformance check, and random steps that stay within the space; returns the steps."""
    env = make(name, **options)
    assert env.name == name and env is make(name, **options)
    check_env(env)
    first, obs, reward, terminated, truncated = random_steps(env, steps)
    space = env.observation_space(env.default_params)
    for _, part, seen in (*leaves(space, first), *leaves(space, obs)):
        low, high = np.asarray(part.low).reshape(part.shape), np.asarray(part.high).reshape(part.shape)
        assert np.all(seen >= low - 1e-5) and np.all(seen <= high + 1e-5)
    assert np.isfinite(reward).all() and not np.any(terminated & truncated)
    library = extras.EXTRAS[name.partition("/")[0]].adapter
    assert set(library.NAMES) == set(library.known())
    return env, SimpleNamespace(obs=obs, reward=reward, terminated=terminated, truncated=truncated)


def spaces(env):
    return env.observation_space(env.default_params), env.action_space(env.default_params)


# What needs no library.


@pytest.mark.parametrize("extra", sorted(extras.EXTRAS))
def test_a_missing_library_is_answered_with_its_extra(extra, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda package: None)
    monkeypatch.setitem(sys.modules, extras.EXTRAS[extra].package, None)
    name = f"{extra}/{extras.EXTRAS[extra].adapter.NAMES[0]}-never-made"
    with pytest.raises(MissingExtra, match=rf"{extra}/.* needs the extra '{extra}': pip install 'rl_jax\[{extra}\]'"):
        make(name)
    assert not [known for known in extras.names() if known.startswith(f"{extra}/")]


def test_the_project_declares_the_extras_and_installs_none_by_default():
    import re
    from pathlib import Path

    text = (Path(rl.__file__).parents[1] / "pyproject.toml").read_text()
    dependencies = text.partition("dependencies = [")[2].partition("]")[0]
    development = re.search(r"^dev = .*$", text, re.M).group()
    for extra in extras.EXTRAS:
        assert re.search(rf'^{extra} = \["{extra}>=[\d.]+,<[\d.]+"\]', text, re.M)
        assert extra not in dependencies and extra not in development


def test_foreign_ends_are_apart_and_types_are_fixed():
    ends = jnp.array([[False, False], [True, False], [False, True], [True, True]])

    def advance(key, state, action, params):
        return Step(state + 1, state * 2.0, 1, ends[state][0], ends[state][1], {"count": 3})

    env = ForeignEnv(None, "mine", (), Box.of(0, 9, ()), Discrete(2), lambda key, params: (0, jnp.float32(0)), advance)
    check_env(env)
    found = [env.step(jax.random.key(0), jnp.int32(state), jnp.int32(0), ()) for state in range(4)]
    assert [bool(step.terminated) for step in found] == [False, True, False, True]
    assert [bool(step.truncated) for step in found] == [False, False, True, False]
    assert found[0].reward.dtype == jnp.float32 and found[0].info["count"].dtype == jnp.int32
    broken = ForeignEnv(None, "mine", (), Box.of(0, 9, ()), Discrete(2), lambda key, params: (0, {"a": 0.0}), advance)
    with pytest.raises(UnsupportedSpace, match="mine: the observation is a dict"):
        broken.reset(jax.random.key(0), ())


def test_codes_become_planes():
    codes = jnp.array([[[0, 2], [3, 1]]], jnp.uint8)
    assert planes(codes, (3, 3)).astype(int).tolist() == [[[1, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 0]]]  # 3 is no kind of three


def test_wrappers_that_reset_are_refused():
    class AutoResetWrapper:
        def __init__(self, env):
            self._env = env

    class Plain(AutoResetWrapper):
        pass

    refuse_wrapped("mine", Plain(object()))
    with pytest.raises(ProtocolError, match="mine: it is wrapped in AutoResetWrapper"):
        refuse_wrapped("mine", Plain(AutoResetWrapper(object())))


# What does.


@needs("craftax")
def test_craftax():
    env, found = check("craftax/Craftax-Classic-Symbolic-v1", max_timesteps=20)
    assert spaces(env) == (Box.of(0, 1, (1345,)), Discrete(17))
    # In 20 steps nobody starves: every end is the limit's.
    assert found.truncated.sum(axis=1).tolist() == [10] * NUM and not found.terminated.any()
    state, _ = jax.jit(env.reset)(jax.random.key(0), env.default_params)
    step = jax.jit(env.step)
    dead = state.replace(player_health=jnp.int32(0), timestep=jnp.int32(19))
    both = step(jax.random.key(1), dead, jnp.int32(0), env.default_params)
    assert both.terminated and not both.truncated
    assert {"score", "Achievements/collect_wood"} <= set(both.info) and "discount" not in both.info
    with pytest.raises(RLJaxError, match="did you mean craftax/Craftax-Classic-Symbolic-v1"):
        make("craftax/Craftax-Classic-Symbolic-v2")


@needs("craftax")
def test_craftax_full_game_is_traced():
    check_env(make("craftax/Craftax-Symbolic-v1"))


@needs("xminigrid")
def test_xminigrid():
    env, found = check("xminigrid/MiniGrid-EmptyRandom-5x5", max_steps=30)
    assert spaces(env) == (Box.of(0, 1, (7, 7, 25), jnp.bool_), Discrete(6))
    assert np.all(found.obs.sum(axis=-1) == 2)  # a tile and a colour
    assert np.all((found.reward > 0) == found.terminated) and found.terminated.any() and found.truncated.any()
    coded = make("xminigrid/MiniGrid-EmptyRandom-5x5", max_steps=30, one_hot=False)
    check_env(coded)
    assert spaces(coded)[0].dtype == jnp.int32
    from xminigrid.wrappers import DirectionObservationWrapper, GymAutoResetWrapper

    with pytest.raises(UnsupportedSpace, match="dictionary of img, direction"):
        adapt(DirectionObservationWrapper(env.env), env.default_params)
    with pytest.raises(ProtocolError, match="wrapped in GymAutoResetWrapper"):
        adapt(GymAutoResetWrapper(env.env), env.default_params)


@needs("xminigrid")
def test_xminigrid_rulesets_are_tasks():
    from xminigrid.core.constants import Colors, Tiles
    from xminigrid.core.goals import AgentHoldGoal

    env = make("xminigrid/XLand-MiniGrid-R1-9x9")
    ball, key = (jnp.array((tile, Colors.RED), jnp.uint8) for tile in (Tiles.BALL, Tiles.KEY))
    rules = env.default_params.ruleset
    tasks = [
        rules.replace(goal=jnp.pad(AgentHoldGoal(tile).encode(), (0, 5))[:5], init_tiles=jnp.stack([ball, key]))
        for tile in (ball, key)
    ]
    params = env.default_params.replace(ruleset=jax.tree.map(lambda *leaves: jnp.stack(leaves), *tasks))
    state, obs = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 2), params)
    out = jax.vmap(env.step)(jax.random.split(jax.random.key(1), 2), state, jnp.zeros(2, jnp.int32), params)
    assert obs.shape == out.obs.shape == (2, 5, 5, 25)
    assert out.state.state.goal_encoding[0].tolist() != out.state.state.goal_encoding[1].tolist()


@needs("navix")
def test_navix():
    env, found = check("navix/Navix-Empty-Random-5x5-v0", max_steps=30)
    assert spaces(env) == (Box.of(0, 1, (5, 5, 21), jnp.bool_), Discrete(7))
    assert np.all(found.obs.sum(axis=-1) == 3)  # an object, a colour, a state
    assert np.all((found.reward > 0) == found.terminated) and found.terminated.any() and found.truncated.any()
    state, _ = jax.eval_shape(env.reset, jax.random.key(0), ())
    assert sum(leaf.size for leaf in jax.tree.leaves(state)) < 500  # without the picture of the empty grid
    for observation, shape, dtype in (
        ("symbolic_first_person", (7, 7, 21), jnp.bool_),
        ("categorical", (5, 5), jnp.int32),
        ("rgb", (40, 40, 3), jnp.uint8),
    ):
        other = make("navix/Navix-Empty-5x5-v0", observation=observation)
        check_env(other)
        assert spaces(other)[0].shape == shape and spaces(other)[0].dtype == dtype
    with pytest.raises(RLJaxError, match="no observation 'smell'; choose one of symbolic"):
        make("navix/Navix-Empty-5x5-v0", observation="smell")


@needs("jumanji")
def test_jumanji():
    env, found = check("jumanji/Snake-v1")
    parts = Dict({"grid": Box.of(0, 1, (12, 12, 5)), "step_count": Box.of(0, 3999, ()), "action_mask": mask_space(Discrete(4))})
    assert spaces(env) == (parts, Discrete(4))
    assert spaces(make("jumanji/Snake-v1", observe="grid")) == (parts["grid"], Discrete(4))
    assert found.terminated.any() and not found.truncated.any()
    both = make("jumanji/Snake-v1", observe="grid,step_count", time_limit=50)
    check_env(both)
    assert spaces(both)[0].shape == (721,) and both.time_limit == 50
    with pytest.raises(RLJaxError, match="choose from grid, step_count, action_mask"):
        make("jumanji/Snake-v1", observe="picture")


@needs("jumanji")
@pytest.mark.parametrize(
    ("name", "observation", "action"),
    [
        ("Game2048-v1", "board", Discrete(4)),
        ("JobShop-v0", "ops_mask", MultiDiscrete((21,) * 10)),
        ("Sudoku-very-easy-v0", "board", Discrete(729)),
        ("Maze-v0", "walls", Discrete(4)),
    ],
)
def test_jumanji_spaces(name, observation, action):
    env = make(f"jumanji/{name}")
    check_env(env)
    assert spaces(env)[1] == action and observation in spaces(env)[0]
    assert spaces(env)[0]["action_mask"] == mask_space(action)


@needs("jumanji")
def test_jumanji_agents_are_paid_as_a_team_or_refused():
    with pytest.raises(UnsupportedSpace, match=r"pays 10 agents apart.*team=True"):
        make("jumanji/Connector-v3")
    env = make("jumanji/Connector-v3", team=True)
    check_env(env)
    found = random_steps(env, steps=60, num=2)
    assert found[4].any()  # it truncates at its limit of 50 steps


@struct.dataclass
class PlaygroundState:
    obs: dict
    reward: jax.Array
    done: jax.Array
    info: dict
    metrics: dict


class Playground:
    """What the adapter reads of an environment whose observation has two parts."""

    _config, action_size = SimpleNamespace(episode_length=7), 2

    def reset(self, key):
        obs = {"state": jnp.zeros((3,)), "privileged_state": jnp.ones((5,))}
        return PlaygroundState(obs, jnp.zeros(()), jnp.zeros(()), {}, {})

    def step(self, state, action):
        return state.replace(reward=jnp.ones(()))


def test_playgrounds_privileged_state_is_for_critics():
    env = playground.wrap(Playground(), "playground/toy")
    check_env(env)
    assert jax.tree.map(jnp.shape, env.reset(jax.random.key(0), {})[1]) == {"state": (3,), "privileged": (5,)}
    assert spaces(playground.wrap(Playground(), "playground/toy", observe="privileged_state"))[0].shape == (5,)
    with pytest.raises(UnsupportedSpace, match="no part 'smell'; give observe one of privileged_state, state"):
        playground.wrap(Playground(), "playground/toy", observe="smell")


@needs("playground")
def test_playground():
    env, found = check("playground/CartpoleBalance")
    assert spaces(env) == (Box.of(-jnp.inf, jnp.inf, (5,)), Box.of(-1, 1, (1,))) and env.time_limit == 1000
    assert np.all((found.reward >= 0) & (found.reward <= 1)) and not found.terminated.any() and not found.truncated.any()
    state, _ = env.reset(jax.random.key(0), {})
    heavy = {"body_mass": env.env.mjx_model.body_mass * 10}
    step = jax.jit(env.step)
    light, slow = (step(jax.random.key(1), state, jnp.ones(1), params) for params in ({}, heavy))
    assert abs(float(slow.obs[3])) < abs(float(light.obs[3])) and "reward/upright" in light.info
    with pytest.raises(RLJaxError, match=r"fields of the environment's mjx\.Model"):
        jax.eval_shape(env.reset, jax.random.key(0), {"colour": jnp.zeros(3)})
    with pytest.raises(ProtocolError, match="wrapped in EpisodeWrapper"):
        from brax.envs.wrappers.training import EpisodeWrapper
        from mujoco_playground import wrapper

        adapt(wrapper.Wrapper(EpisodeWrapper(env.env, 100, 1)))


@needs("jumanji")
def test_an_agent_trains_on_an_extra():
    from rl_jax.agents.configs import PPOConfig

    trainer = PPOConfig(num_envs=4, rollout_length=8).trainer(make("jumanji/Snake-v1"))
    _, metrics = jax.jit(lambda key: trainer.train(key, 64, num_rows=1))(jax.random.key(0))
    assert np.isfinite(metrics["loss/total"] if "loss/total" in metrics else metrics["steps"]).all()
