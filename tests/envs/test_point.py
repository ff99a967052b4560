"""Point worlds: the physics against a slow model, walls that hold, the oracle, goals and their relabelling, who can use them."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import SMALL
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_jax import make
from rl_jax.envs import check_env, names
from rl_jax.envs.point import POINTS, PointMaze
from rl_jax.envs.point.layouts import MEDIUM
from rl_jax.envs.point.motion import SKIN, accelerate, slide
from rl_jax.errors import RLJaxError
from rl_jax.types import Environment

# --------------------------------------------------------------------------------------------------------- physics


def moved(walls, radius, position, change):
    """In float64 and against every wall of the map: along rows, then along columns, each to the first contact."""
    place, stopped = np.array(position, np.float64), [False, False]
    for axis in (0, 1):
        sign, wanted, best = (1 if change[axis] > 0 else -1), abs(float(change[axis])), np.inf
        for cell in np.argwhere(walls):
            low, across = cell[1 - axis], place[1 - axis]
            aside = 0.0 if low <= across < low + 1 else min(abs(low - across), abs(low + 1 - across))
            if aside >= radius - SKIN:
                continue
            reach = radius if aside == 0 else math.sqrt((radius - SKIN) ** 2 - aside**2)
            face = cell[axis] - place[axis] if sign > 0 else place[axis] - cell[axis] - 1
            if face > -0.5:  # ahead
                best = min(best, max(face - reach, 0.0))
        place[axis] += sign * min(wanted, best)
        stopped[axis] = best < wanted
    return place, stopped


def clearance(walls, place):
    """How far the nearest wall is."""
    gaps = np.maximum(np.maximum(np.argwhere(walls) - place, place - np.argwhere(walls) - 1), 0)
    return np.linalg.norm(gaps, axis=1).min()


@jax.jit
def travelled(walls, radius, gain, friction, position, actions):
    """Positions and velocities ``[T + 1, 2]``, and what each step wanted ``[T, 2]``."""

    def body(state, action):
        position, velocity = state
        wanted = accelerate(velocity, action, gain, friction, radius)
        position, stopped = slide(walls, radius, position, wanted)
        state = position, jnp.where(stopped, 0.0, wanted)
        return state, (*state, wanted, stopped)

    start = position, jnp.zeros(2, jnp.float32)
    return jax.lax.scan(body, start, actions)[1]


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    radius=st.floats(0.02, 0.45),
    gain=st.floats(0.01, 1.0),
    friction=st.floats(0.01, 1.0),
    share=st.floats(0.0, 0.5),
)
def test_physics_is_that_of_the_slow_model_and_walls_hold(seed, radius, gain, friction, share):
    rng = np.random.default_rng(seed)
    walls = np.pad(rng.random((6, 6)) < share, 1, constant_values=True)
    walls[3, 3] = False
    # Long pushes into one direction find the walls; every other run changes its mind at each step.
    actions = np.repeat(rng.uniform(-1, 1, (20, 2)), 4, 0) if seed % 2 else rng.uniform(-1, 1, (80, 2))
    start = np.array([3.5, 3.5], np.float32)
    positions, velocities, wanted, stopped = (
        np.asarray(x)
        for x in travelled(walls, np.float32(radius), np.float32(gain), np.float32(friction), start, actions.astype(np.float32))
    )
    place, velocity, top = start, np.zeros(2), min(gain / friction, 0.99 - radius)
    for time in range(80):
        np.testing.assert_allclose(
            wanted[time], np.clip((1 - friction) * velocity + gain * actions[time], -top, top), rtol=1e-4, atol=1e-5
        )
        expected, stops = moved(walls, np.float32(radius), place, wanted[time])
        # At the edge of a contact, the square root magnifies a rounding.
        np.testing.assert_allclose(positions[time], expected, atol=2e-3)
        sure = np.abs(np.abs(expected - place) - np.abs(wanted[time])) > 2e-3
        assert (np.asarray(stops)[sure] == stopped[time][sure]).all()
        place, velocity = positions[time], velocities[time]
        assert (velocity == np.where(stopped[time], 0, wanted[time])).all()
        assert clearance(walls, place.astype(np.float64)) > radius - SKIN - 1e-4
        assert not walls[tuple(np.floor(place).astype(int))]


def test_what_a_wall_does():
    """It stops one axis and lets the other slide on; a corner lets past what is beside it."""
    walls = np.pad(np.zeros((3, 3), bool), 1, constant_values=True)
    walls[2, 2] = True

    def after(position, change):
        place, stopped = slide(walls, 0.25, jnp.asarray(position, jnp.float32), jnp.asarray(change, jnp.float32))
        return [round(float(x), 3) for x in place], stopped.tolist()

    assert after((1.5, 1.5), (0.3, 0.1)) == ([1.8, 1.6], [False, False])
    assert after((1.5, 1.5), (-0.5, 0.1)) == ([1.25, 1.6], [True, False])
    assert after((1.5, 2.5), (0.6, 0.6)) == ([1.75, 3.1], [True, False]), "it slides along the wall that stopped it"
    assert after((1.5, 1.7), (0.7, 0.0)) == ([2.2, 1.7], [False, False]), "beside the corner"
    # 0.15 beside the corner: the disc comes down to sqrt(0.249^2 - 0.15^2) above it.
    assert after((1.5, 1.85), (0.7, 0.0)) == ([round(2 - math.sqrt(0.249**2 - 0.15**2), 3), 1.85], [True, False])


# ------------------------------------------------------------------------------------------------------ environments


def played(env, params, key, num, steps, policy):
    """``(first states, steps [steps, num])`` of episodes that go on after their ends."""
    key_reset, key_steps = jax.random.split(key)
    state, obs = jax.vmap(env.reset, (0, None))(jax.random.split(key_reset, num), params)

    def body(state, key):
        key_policy, key_env = jax.random.split(key)
        action = policy(key_policy, state)
        out = jax.vmap(env.step, (0, 0, 0, None))(jax.random.split(key_env, num), state, action, params)
        return out.state, (out, action)

    return (state, obs), jax.lax.scan(body, state, jax.random.split(key_steps, steps))[1]


def uniform(key, state):
    return jax.random.uniform(key, state.position.shape, jnp.float32, -1, 1)


@pytest.mark.parametrize("name", sorted(POINTS))
def test_every_point_world_keeps_the_protocol(name):
    env = make(name)
    assert name in names() and isinstance(env, Environment) and env.name == name
    check_env(env)
    assert env == make(name) and hash(env) == hash(POINTS[name]())
    with pytest.raises(RLJaxError, match="wheels"):
        make(name, wheels=4)


@pytest.mark.slow
def test_observations_keep_to_their_space_and_types_do_not_depend_on_x64():
    env = make("point/medium", velocity=True)
    check_env(env, steps=300)
    params = env.default_params

    def run(key):
        start, key = jax.random.split(key)
        state, obs = env.reset(start, params)
        return state, obs, env.step(key, state, jnp.ones(2, jnp.float32), params), env.oracle(state, params)

    with jax.enable_x64(True):
        traced, wide = jax.eval_shape(run, jax.random.key(3)), jax.jit(run)(jax.random.key(3))
    for path, leaf in jax.tree_util.tree_leaves_with_path(traced):
        assert leaf.dtype.itemsize <= 4 and not leaf.weak_type, (path, leaf)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), jax.jit(run)(jax.random.key(3)), wide)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["point/medium", "point/reach"])
def test_the_oracle_reaches_every_goal(name):
    env = make(name)
    params = env.default_params

    @jax.jit
    def play(key):
        act = jax.vmap(env.oracle, (0, None))
        return played(env, params, key, 256, env.time_limit, lambda key, state: act(state, params))

    (start, _), (out, action) = play(jax.random.key(0))
    success = np.asarray(out.info["success"])
    assert success.any(0).all() and np.abs(np.asarray(action)).max() <= 1.0
    # Never before the distance allows it, at the top speed along both axes.
    first = success.argmax(0) + 1
    top = np.sqrt(2) * min(env.gain / env.friction, 0.99 - env.radius)
    assert (first >= (np.asarray(start.distance) / 1.5 - 1) / top).all()
    if name == "point/medium":
        pairs = {
            (*np.floor(p).astype(int), *g) for p, g in zip(np.asarray(start.position), np.asarray(start.goal), strict=True)
        }
        assert len(pairs) > 200 and all(pair[:2] != pair[2:] for pair in pairs)


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), radius=st.floats(0.05, 0.45), gain=st.floats(0.02, 0.5), friction=st.floats(0.05, 1.0))
def test_the_oracle_reaches_goals_in_any_map_with_any_body(seed, radius, gain, friction):
    rng = np.random.default_rng(seed)
    walls = np.pad(rng.random((6, 6)) < 0.3, 1, constant_values=True)
    walls[3, 3:5] = False
    params = TASK(walls)
    start = np.zeros_like(walls)
    start[3, 3] = True
    near = np.isfinite(np.asarray(params.distances)[3, 3])
    params = params.replace(
        starts=start, goals=near, radius=np.float32(radius), gain=np.float32(gain), friction=np.float32(friction)
    )
    assert np.asarray(ANY(params)).any(0).all()


ANY_MAZE = PointMaze("any", ("########", *["#BBBBBB#"] * 6, "########"), 100)
TASK = jax.jit(lambda walls: ANY_MAZE.task(walls, ~walls, ~walls))


@jax.jit
def ANY(params):
    act = jax.vmap(ANY_MAZE.oracle, (0, None))
    _, (out, _) = played(ANY_MAZE, params, jax.random.key(0), 32, 1200, lambda key, state: act(state, params))
    return out.info["success"]


def test_rewards_ends_and_info_are_what_the_weights_say():
    env = make("point/two-routes", progress=0.5, distance=0.25, success=3.0, time=0.125, ends=True, noise=0.1)
    params = env.default_params
    act = jax.vmap(env.oracle, (0, None))
    play = jax.jit(lambda key, known: played(env, params, key, 8, 50, lambda k, state: act(state, known)))
    (start, _), (out, _) = play(jax.random.key(1), params)
    distance = np.concatenate([np.asarray(start.distance)[None], np.asarray(out.info["distance"])])
    success = np.asarray(out.info["success"])
    place = np.asarray(out.state.position)
    np.testing.assert_array_equal(success, np.linalg.norm(place - [1.5, 4.5], axis=-1) < 0.4)
    expected = 0.5 * (distance[:-1] - distance[1:]) - 0.25 * distance[1:] + np.where(success, 3.0, -0.125)
    np.testing.assert_allclose(out.reward, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(out.terminated, success)
    assert not np.asarray(out.truncated).any() and success.any(0).all()
    np.testing.assert_array_equal(out.info["cell"], np.floor(place[..., 0]) * 9 + np.floor(place[..., 1]))
    # The route is the last gate passed, and stays known behind it.
    route, inside = np.asarray(out.info["route"]), (place[..., 0] >= 3) & (place[..., 0] < 6)
    side = np.where(place[..., 1] < 4.5, 1, 2)
    assert (route[inside] == side[inside]).all() and (route[0] == 0).all() and (route[-1] > 0).all()
    # With the left side closed, the same oracle goes right.
    walls = np.array(params.walls)
    walls[3:6, 1:3] = True
    closed = params.replace(distances=env.task(walls, params.starts, params.goals).distances)
    _, (right, _) = play(jax.random.key(1), closed)
    assert (np.asarray(right.info["route"])[-1] == 2).all() and np.asarray(right.info["success"]).any(0).all()


def test_goals_are_relabelled_in_the_convention_of_hindsight():
    env = make("point/medium")
    params = env.default_params
    _, (out, _) = jax.jit(lambda key: played(env, params, key, 16, 40, uniform))(jax.random.key(2))
    goal = env.reached(out.obs)
    assert goal.shape == out.obs["goal"].shape == (40, 16, 10)
    np.testing.assert_allclose(env.sight.place(goal), out.state.position, atol=1e-5)
    reward, ended = env.reward(out.obs, out.obs["goal"])
    np.testing.assert_array_equal(reward, out.reward)
    np.testing.assert_array_equal(ended, out.terminated)
    # A goal of two steps later: not there yet, unless it is near.
    other = env.with_goal(jax.tree.map(lambda x: x[:-9], out.obs), goal[9:])
    np.testing.assert_array_equal(other["observation"], out.obs["observation"][:-9])
    reward, ended = env.reward(other, other["goal"])
    near = np.linalg.norm(out.state.position[9:] - out.state.position[:-9], axis=-1) < params.goal_radius
    np.testing.assert_array_equal(np.asarray(ended), near)
    np.testing.assert_array_equal(reward, np.where(near, 0.0, -1.0))
    assert 0.05 < near.mean() < 0.95
    with pytest.raises(RLJaxError, match="goal='dictionary'"):
        make("point/reach").reached(jnp.zeros(6))


def test_fourier_features_are_sines_of_doubled_angles():
    sight = make("point/giant", fourier=3, velocity=True).sight
    place, goal = np.array([3.25, 9.5], np.float32), np.array([10.5, 1.5], np.float32)
    obs = sight.see(place, np.array([0.5, -1.0], np.float32), goal)
    scaled = 2 * place.astype(np.float64) / (12, 16) - 1
    waves = [f(2**k * np.pi * scaled) for k in range(3) for f in (np.sin, np.cos)]
    np.testing.assert_allclose(obs["observation"], np.concatenate([scaled, *waves, (0.5, -1.0)]), atol=1e-5)
    np.testing.assert_allclose(sight.place(obs["goal"]), goal, atol=1e-5)


@pytest.mark.slow
def test_tasks_are_a_batch_and_a_batch_is_what_each_alone_is():
    env = make("point/reach", noise=0.2)
    walls = np.stack([np.pad(np.random.default_rng(seed).random((5, 5)) < 0.2, 1, constant_values=True) for seed in range(4)])
    walls[:, 2, 2:4] = False
    start = np.zeros_like(walls)
    start[:, 2, 2] = True
    tasks = jax.jit(jax.vmap(env.task))(walls, start, np.roll(start, 1, axis=2))
    tasks = tasks.replace(gain=np.linspace(0.05, 0.2, 4, dtype=np.float32))
    run = jax.jit(lambda params: played(env, params, jax.random.key(0), 8, 20, uniform)[1][0])
    many = jax.jit(jax.vmap(lambda params: played(env, params, jax.random.key(0), 8, 20, uniform)[1][0]))(tasks)
    for i in range(4):
        one = run(jax.tree.map(lambda x: x[i], tasks))  # noqa: B023
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x[i], y, atol=1e-5), many, one)  # noqa: B023


def test_agents_take_them_as_they_are():
    trainer = SMALL.trainer(make("point/medium"))
    state = jax.eval_shape(lambda key: trainer.init(key, 64), jax.random.key(0))
    _, metrics = jax.eval_shape(trainer.train_step, state)
    assert metrics["episode/return"].shape == ()


def test_mistakes_name_their_mending():
    for rows, match in (
        (("###", "#B#"), "3 rows"),
        (("####", "#BX#", "####"), "'X'"),
        (("####", "#BB.", "####"), "walls all round"),
        (("####", "#S.#", "####"), "one for the goal"),
        (("#####", "#S#G#", "#####"), "can be reached"),
    ):
        with pytest.raises(RLJaxError, match=match):
            PointMaze("mine", rows, 10)
    for options, match in (
        ({"radius": 0.5}, "radius must be a number from 0.01 to 0.45"),
        ({"goal": "shown"}, "'hidden', 'vector' or 'dictionary'"),
        ({"friction": 0.0}, "friction must be"),
        ({"fourier": 9}, "fourier must be an integer from 0 to 8"),
        ({"ends": 1}, "ends must be true or false"),
    ):
        with pytest.raises(RLJaxError, match=match):
            PointMaze("mine", MEDIUM, 10, **options)
