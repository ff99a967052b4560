"""gymnax's and brax's environments keep the protocol, and none returns an observation from after a reset."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_jax import envs
from rl_jax.envs import Discrete, MultiDiscrete, check_env, make
from rl_jax.spaces import leaves
from rl_jax.types import Environment

GYMNAX = [name for name in envs.names() if "/" not in name and not name.startswith("MNIST")]
# Where the first state is fixed, two resets do not differ. DeepSea draws its actions' meaning once per object.
FIXED_START = {
    "Asterix-MinAtar",
    "DeepSea-bsuite",
    "DiscountingChain-bsuite",
    "FourRooms-misc",
    "FrozenLake-misc",
    "Pong-misc",
    "Seaquest-MinAtar",
    "SpaceInvaders-MinAtar",
}


def random_action(space, key):
    """A uniform action of ``space`` in the environment's own coordinates."""
    if isinstance(space, Discrete):
        return jax.random.randint(key, (), 0, space.n, jnp.int32)
    if isinstance(space, MultiDiscrete):
        return jax.random.randint(key, space.shape, 0, jnp.array(space.nvec), jnp.int32)
    low, high = (np.asarray(x, np.float32).reshape(space.shape) for x in (space.low, space.high))
    return jax.random.uniform(key, space.shape, jnp.float32, low, high)


def rollout(env, steps, num_envs=1, reset=True):
    """``(key, params[N]) -> Step[steps, N]`` of random actions; a fresh episode follows each end, as in the loop."""
    space = env.action_space(env.default_params)

    def move(key, state, params):
        act, step_key, again = jax.random.split(key, 3)
        step = env.step(step_key, state, random_action(space, act), params)
        if not reset:
            return step.state, step
        done = step.terminated | step.truncated
        fresh = env.reset(again, params)[0]
        return jax.tree.map(lambda a, b: jnp.where(done, a, b), fresh, step.state), step

    def run(key, params=None):
        axis = None if params is None else 0
        params = env.default_params if params is None else params
        start, key = jax.random.split(key)
        state, _ = jax.vmap(env.reset, in_axes=(0, axis))(jax.random.split(start, num_envs), params)

        def body(state, keys):
            return jax.vmap(move, in_axes=(0, 0, axis))(keys, state, params)

        return jax.lax.scan(body, state, jax.random.split(key, (steps, num_envs)))[1]

    return run


def stack(*tasks):
    """Parameters of several tasks as one batch."""
    return jax.tree.map(lambda *x: jnp.stack([jnp.asarray(leaf) for leaf in x]), *tasks)


def differ(a, b):
    return any(not np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", GYMNAX + sorted(envs.PROBES))
def test_every_environment_keeps_the_protocol(name):
    env = make(name)
    assert isinstance(env, Environment)
    check_env(env)
    assert env.name == name and hash(env) == hash(make(name)) and env == make(name)


# Left to check_env alone: those whose programs take XLA longest.
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*GYMNAX, *envs.PROBES} - {"Asterix-MinAtar", "Freeway-MinAtar", "Seaquest-MinAtar"}))
def test_t06_random_rollouts_run_batched_and_flags_are_exclusive(name):
    env = make(name)
    steps = jax.jit(rollout(env, 16, num_envs=3, reset=False))(jax.random.key(0))
    space = env.observation_space(env.default_params)
    for _, part, obs in leaves(space, steps.obs):
        assert obs.shape == (16, 3, *part.shape) and obs.dtype == part.dtype
    assert steps.reward.shape == (16, 3) and steps.reward.dtype == jnp.float32
    assert steps.terminated.dtype == steps.truncated.dtype == jnp.bool_
    assert not jnp.any(steps.terminated & steps.truncated)
    assert jnp.all(jnp.isfinite(steps.reward))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(GYMNAX) - FIXED_START))
def test_t05_two_resets_differ(name):
    env = make(name)
    keys = jax.random.split(jax.random.key(0), 16)
    leaves = jax.tree.leaves(jax.vmap(env.reset, in_axes=(0, None))(keys, env.default_params))
    assert any(len(np.unique(leaf, axis=0)) > 1 for leaf in leaves)


@pytest.mark.parametrize(
    ("name", "limit"), [("CartPole-v1", 30), ("Pendulum-v1", 7), ("Catch-bsuite", 5), ("FrozenLake-misc", 6)]
)
def test_t02_t06_steps_are_those_of_gymnax_and_never_show_a_reset(name, limit):
    """Replay gymnax's own resetting ``step``: ours, from the same state and key, shows its final observation."""
    env = make(name)
    inner = env.env
    params = env.default_params.replace(max_steps_in_episode=np.int32(limit))
    space = env.action_space(env.default_params)

    def body(carry, key):
        state, time = carry
        act, move = jax.random.split(key)
        action = random_action(space, act)
        theirs = inner.step(move, state, action, params)
        # gymnax splits the key of its step once, for the transition and for the reset.
        ours = env.step(jax.random.split(move)[0], state, action, params)
        ended = ours.terminated | ours.truncated
        return (theirs[1], jnp.where(ended, 0, time + 1)), (ours, theirs[3], theirs[4], theirs[5], theirs[0], time)

    def run(key):
        _, state = inner.reset(key, params)
        return jax.lax.scan(body, (state, jnp.int32(0)), jax.random.split(key, 400))[1]

    with jax.debug_key_reuse(False):  # both steps are given the same key on purpose
        ours, terminated, truncated, info, after, time = jax.jit(run)(jax.random.key(1))
    done = np.asarray(terminated | truncated)
    assert done.sum() > 5
    np.testing.assert_array_equal(ours.obs, info["final_observation"])
    np.testing.assert_array_equal(ours.terminated, terminated)
    np.testing.assert_array_equal(ours.truncated, truncated & ~terminated)
    assert differ(np.asarray(after)[done], np.asarray(ours.obs)[done]), "gymnax's own obs is from after the reset"
    # One transition per step: an episode that hits the limit has exactly ``limit`` of them.
    cut = np.asarray(ours.truncated)
    assert np.all(np.asarray(time)[cut] == limit - 1)
    if name in ("Pendulum-v1", "Catch-bsuite", "CartPole-v1"):
        assert cut.any()


def test_t01_an_end_by_both_is_terminated():
    """DeepSea's limit is its number of rows: the last step is an end of the task."""
    env = make("DeepSea-bsuite")
    steps = jax.jit(rollout(env, 16))(jax.random.key(0))
    np.testing.assert_array_equal(np.flatnonzero(steps.terminated), [7, 15])
    assert not steps.truncated.any()


def test_only_truncated_where_there_is_only_a_limit():
    env = make("Pendulum-v1")
    params = env.default_params.replace(max_steps_in_episode=5)
    steps = jax.jit(rollout(env, 20))(jax.random.key(0), stack(params))
    np.testing.assert_array_equal(np.flatnonzero(steps.truncated), [4, 9, 14, 19])
    assert not steps.terminated.any()


@pytest.mark.parametrize(
    ("name", "field", "values"),
    [
        ("Pendulum-v1", "g", (10.0, 3.0)),
        ("MemoryChain-bsuite", "memory_length", (3, 6)),
    ],
)
def test_a_batch_of_tasks_is_a_vmapped_params(name, field, values):
    env = make(name)
    tasks = [env.default_params.replace(**{field: value}) for value in values]
    run = jax.jit(rollout(env, 12, num_envs=4))
    mixed, same = (run(jax.random.key(0), stack(*four)) for four in ([*tasks, *tasks], [tasks[0]] * 4))
    np.testing.assert_array_equal(mixed.obs[:, ::2], same.obs[:, ::2])
    assert differ(mixed.obs[:, 1::2], same.obs[:, 1::2])


@pytest.mark.slow
def test_defaults_stack_for_all_environments():
    for name in GYMNAX:
        env = make(name)
        params = jax.tree.map(lambda x: jnp.stack([x, x]), env.default_params)
        keys = jax.random.split(jax.random.key(0), 2)
        state, _ = jax.eval_shape(jax.vmap(env.reset), keys, params)
        space = env.action_space(env.default_params)
        action = jax.ShapeDtypeStruct((2, *space.shape), space.dtype)
        step = jax.eval_shape(jax.vmap(env.step), keys, state, action, params)
        assert step.reward.shape == (2,), name


# Among them all whose own code cannot be traced under x64.
WIDTH_SENSITIVE = """
import jax, jax.numpy as jnp
from rl_jax.envs import PROBES, check_env, make
gymnax = "CartPole-v1 Pendulum-v1 Freeway-MinAtar SpaceInvaders-MinAtar Catch-bsuite UmbrellaChain-bsuite"
gymnax += " DeepSea-bsuite DiscountingChain-bsuite FourRooms-misc MetaMaze-misc BernoulliBandit-misc "
gymnax += "GaussianBandit-misc FrozenLake-misc"
for name in gymnax.split() + sorted(PROBES) + ["brax/inverted_pendulum"]:
    env = make(name)
    check_env(env)
    params, key = env.default_params, jax.random.key(0)
    space = env.action_space(params)
    def run(key, params=params, env=env, space=space):
        start, key = jax.random.split(key)
        def body(state, key):
            step = env.step(key, state, jnp.zeros(space.shape, space.dtype), params)
            return step.state, step
        first = env.reset(start, params)
        return first, jax.lax.scan(body, first[0], jax.random.split(key, 2))
    for path, leaf in jax.tree_util.tree_leaves_with_path([jax.eval_shape(run, key), jax.eval_shape(run, key, params)]):
        assert leaf.dtype.itemsize <= 4 and not leaf.weak_type, (name, path, leaf)
    if name in ("CartPole-v1", "UmbrellaChain-bsuite"):
        print(name, jax.jit(run)(jax.random.key(7))[1][1].obs.tolist())
"""


@pytest.mark.slow
def test_t22_dtypes_are_strong_and_do_not_depend_on_x64(capsys):
    exec(compile(WIDTH_SENSITIVE, "width_sensitive", "exec"), {})
    here = capsys.readouterr().out
    env = {**os.environ, "JAX_ENABLE_X64": "1"}
    result = subprocess.run([sys.executable, "-c", WIDTH_SENSITIVE], capture_output=True, text=True, env=env, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout == here and "CartPole" in here


@pytest.mark.slow
def test_brax_runs_with_fixed_types_tasks_and_random_starts():
    env = make("brax/inverted_pendulum", time_limit=50)
    check_env(env)
    assert env.time_limit == 50 and make("brax/inverted_pendulum", time_limit=50) is env
    run = jax.jit(rollout(env, 8, num_envs=2, reset=False))
    usual, upward = (run(jax.random.key(0), {"gravity": jnp.array([[0.0, 0.0, g]] * 2)}) for g in (-9.81, 9.81))
    steps = usual
    assert jnp.all(jnp.isfinite(steps.obs)) and not steps.truncated.any()
    assert differ(usual.obs[-1], upward.obs[-1]), "gravity is part of the task"
    assert differ(usual.obs[:, 0], usual.obs[:, 1]), "starts are random"
    np.testing.assert_array_equal(steps.terminated, jnp.abs(steps.obs[..., 1]) > 0.2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ant", "fast", "reacher"])
def test_brax_states_have_fixed_types(name):
    env = make(f"brax/{name}")
    check_env(env)
    assert env.action_space({}).low[0] == -1.0


@pytest.mark.slow
def test_gymnax_is_imported_without_what_it_draws_with() -> None:
    """seaborn and matplotlib.pyplot take longer than all the rest; they still work when something asks for them."""
    code = (
        "import sys, rl_jax as rl; rl.make('CartPole-v1'); assert 'matplotlib.pyplot' not in sys.modules; "
        "assert 'seaborn' not in sys.modules; from gymnax.environments.misc import pong; "
        "assert callable(pong.plt.subplots); import matplotlib.pyplot as plt; assert pong.plt.subplots is plt.subplots"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
