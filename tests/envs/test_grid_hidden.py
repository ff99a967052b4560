"""Dark rooms, the maze for Go-Explore, the noisy television, and pictures of all grid worlds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from grid_reference import KEY, LOCKED, USE, shortest
from PIL import Image

from rl_jax import make
from rl_jax.envs.grid import NoisyTV
from rl_jax.envs.grid.key_maze import plan
from rl_jax.errors import RLJaxError, UnsupportedSpace
from rl_jax.run.pictures.render import render_episode

STAY, UP, RIGHT, DOWN, LEFT = range(5)


def play(env, actions, params=None, seed=0):
    """All steps of an episode, leaves ``[T, ...]``, up to its end."""
    params = env.default_params if params is None else params
    state, _ = env.reset(jax.random.key(seed), params)
    step = jax.jit(env.step)
    steps = []
    for time, action in enumerate(actions):
        steps.append(step(jax.random.key(time), state, jnp.int32(action), params))
        state = steps[-1].state
        if steps[-1].terminated:
            break
    return jax.tree.map(lambda *leaves: np.stack(leaves), *steps)


def at(*place):
    return jnp.asarray(place, jnp.int32)


def test_darkroom_pays_for_every_step_at_the_goal():
    env = make("grid/darkroom")
    task = env.default_params.replace(goal=at(4, 6))
    steps = play(env, [RIGHT, RIGHT, STAY, STAY, LEFT, RIGHT, UP], task)
    assert steps.reward.tolist() == [0, 1, 1, 1, 0, 1, 0] == steps.info["success"].tolist()
    assert not steps.terminated.any() and env.time_limit == 20
    assert steps.info["cell"].tolist() == [9 * 4 + c for c in (5, 6, 6, 6, 5, 6)] + [9 * 3 + 6]
    np.testing.assert_allclose(steps.obs[-1], [3 / 8, 6 / 8])
    walls = play(env, [UP] * 6 + [LEFT] * 6, task)
    assert walls.state.position[-1].tolist() == [0, 0] and walls.obs[-1].tolist() == [0, 0]
    assert play(env, [DOWN] * 6 + [RIGHT] * 6).obs[-1].tolist() == [1, 1]


def test_the_goal_is_not_seen():
    env = make("grid/darkroom", one_hot=True)
    seen = [play(env, [RIGHT, DOWN, STAY], env.default_params.replace(goal=at(*goal))).obs for goal in ((0, 0), (4, 5))]
    np.testing.assert_array_equal(*seen)
    assert seen[0].argmax(-1).tolist() == [41, 50, 50] and np.all(seen[0].sum(-1) == 1)


def test_darkroom_once_ends_at_the_goal():
    env = make("grid/darkroom-hard")
    assert env.size == 17 and env.name == "grid/darkroom-hard"
    steps = play(env, [LEFT] * 5, env.default_params.replace(goal=at(8, 6)))
    assert steps.reward.tolist() == [0, 1] and steps.terminated.tolist() == [False, True]


def test_key_then_door_each_pays_once():
    env = make("grid/dark-key-door", random_start=False, terminate=False)
    task = env.default_params.replace(key=at(4, 5), door=at(4, 3))
    steps = play(env, [LEFT, RIGHT, RIGHT, LEFT, LEFT, STAY, RIGHT, RIGHT], task)
    assert steps.reward.tolist() == [0, 0, 1, 0, 1, 0, 0, 0], "the door without the key, and all that comes later, pay nothing"
    assert (
        steps.info["carried"].tolist() == [0, 0, 1, 1, 1, 1, 1, 1]
        and steps.info["success"].tolist() == [False] * 4 + [True] * 4
    )
    ended = play(make("grid/dark-key-door", random_start=False), [RIGHT, LEFT, LEFT, LEFT], task)
    assert ended.reward.sum() == 2 and len(ended.reward) == 3 and ended.terminated[-1]
    both = play(env, [RIGHT, STAY], task.replace(door=at(4, 5)))
    assert both.reward.tolist() == [2, 0]
    starts = jax.vmap(make("grid/dark-key-door").reset, (0, None))(jax.random.split(jax.random.key(0), 999), task)[0].position
    assert len(np.unique(np.asarray(starts), axis=0)) == 81


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("grid/darkroom", 81), ("grid/darkroom-hard", 289), ("grid/dark-key-door", 6561)])
def test_tasks_are_listed_and_drawn(name, count):
    env = make(name)

    def flat(tasks):
        return np.concatenate(jax.tree.leaves(tasks), axis=-1)

    every = flat(env.all_tasks())
    assert len({tuple(row) for row in every}) == count == len(every) and every.min() == 0 and every.max() == env.size - 1
    drawn = flat(jax.vmap(env.sample_task)(jax.random.split(jax.random.key(0), 3000)))
    assert drawn.min() == 0 and drawn.max() == env.size - 1 and drawn.dtype == np.int32
    for column in drawn.T:
        assert np.bincount(column).min() > 3000 / env.size * 0.7
    assert len(np.unique(drawn, axis=0)) > 0.6 * min(count, 3000)
    tasks = jax.tree.map(lambda leaf: leaf[:4], env.all_tasks())
    states, _ = jax.vmap(env.reset)(jax.random.split(jax.random.key(0), 4), tasks)
    out = jax.vmap(env.step)(jax.random.split(jax.random.key(0), 4), states, jnp.zeros(4, jnp.int32), tasks)
    assert out.reward.shape == (4,)


def test_the_maze_is_long_and_can_be_solved():
    env = make("grid/key-maze")
    (tiles, start, keys, doors), way = env.plan, shortest(env.plan.tiles, env.plan.start, 0)
    assert len(way) == 224
    assert np.all(tiles[keys[:, 0], keys[:, 1]] == KEY) and np.all(tiles[doors[:, 0], doors[:, 1]] == LOCKED)
    assert (tiles == KEY).sum() == (tiles == LOCKED).sum() == len(keys) == len(doors) == 4
    steps = play(env, way)
    assert steps.reward.tolist() == [0] * (len(way) - 1) + [1] and steps.terminated[-1] and steps.info["success"][-1]
    assert np.all(np.diff(steps.info["progress"]) >= 0) and steps.info["progress"][-1] == 8
    seen = {}
    for cell, place, progress in zip(steps.info["cell"], steps.state.world.position, steps.info["progress"], strict=True):
        assert 0 <= cell < env.num_cells
        assert seen.setdefault(int(cell), (*place, progress)) == (*place, progress)
    assert len(set(seen.values())) == len(seen)
    # Each key is needed: without any one of them there is no way.
    for key in keys:
        without = tiles.copy()
        without[tuple(key)] = 0
        assert shortest(without, start, 0) is None


@pytest.mark.parametrize("seed", range(12))
def test_every_maze_can_be_solved(seed):
    for side, size, keys in ((3, 5, 2), (4, 4, 3), (3, 6, 1)):
        found = plan(side, size, keys, seed)
        assert shortest(found.tiles, found.start, 0) is not None


def test_the_maze_goes_on_from_any_state():
    env = make("grid/key-maze")
    way = shortest(env.plan.tiles, env.plan.start, 0)
    steps = play(env, way)
    step = jax.jit(env.step)
    for time in (10, len(way) // 2, len(way) - 2):
        restored = jax.tree.map(lambda leaf, time=time: jnp.asarray(leaf[time]), steps.state)
        out = step(jax.random.key(99), restored, jnp.int32(way[time + 1]), env.default_params)
        jax.tree.map(np.testing.assert_array_equal, out, jax.tree.map(lambda leaf, time=time: leaf[time + 1], steps))
        np.testing.assert_array_equal(env.cell_of(restored), steps.info["cell"][time])


def test_facts_tell_states_apart():
    """Row, column, direction, progress and the tile ahead: one place of each, and what the state says."""
    env = make("grid/key-maze")
    steps = play(env, shortest(env.plan.tiles, env.plan.start, 0))
    parts = np.split(steps.obs, np.cumsum([26, 26, 4, 9]), axis=1)
    assert all(np.all(part.sum(1) == 1) for part in parts)
    row, column, direction, progress, ahead = (part.argmax(1) for part in parts)
    np.testing.assert_array_equal(np.stack([row, column], 1), steps.state.world.position)
    np.testing.assert_array_equal(direction, steps.state.world.direction)
    np.testing.assert_array_equal(progress, steps.info["progress"])
    assert set(ahead) >= {0, KEY, LOCKED}
    assert make("grid/key-maze", view=5).reset(jax.random.key(0), env.default_params)[1].shape == (5, 5, 11)


def test_sticky_actions_repeat_what_was_done():
    env = make("grid/key-maze")
    chosen = jnp.asarray(np.random.default_rng(0).integers(0, 4, (64, 100)), jnp.int32)

    @jax.jit
    def run(sticky, key):
        params = env.default_params.replace(sticky=sticky)

        def one(key, actions):
            start, key = jax.random.split(key)
            state, _ = env.reset(start, params)

            def body(state, now):
                step = env.step(now[0], state, now[1], params)
                return step.state, step.state.last

            return jax.lax.scan(body, state, (jax.random.split(key, 100), actions))[1]

        return jax.vmap(one)(jax.random.split(key, 64), chosen)

    with jax.debug_key_reuse(False):  # which takes a vmapped scan over keys for a reuse
        np.testing.assert_array_equal(run(jnp.float32(0.0), jax.random.key(0)), chosen)
        done = np.asarray(run(jnp.float32(0.25), jax.random.key(0)))
    np.testing.assert_array_equal(done[:, 0], chosen[:, 0])  # nothing to repeat yet
    different = chosen[:, 1:] != done[:, :-1]
    repeated = np.asarray(done[:, 1:] == done[:, :-1])[different]
    assert abs(repeated.mean() - 0.25) < 0.02
    assert np.all((done[:, 1:] == done[:, :-1]) | (done[:, 1:] == chosen[:, 1:]))


@pytest.mark.slow
@pytest.mark.parametrize(("inner", "size"), [("grid/multi-room", 1), ("grid/darkroom", 16), ("CartPole-v1", 16)])
def test_the_screen_changes_with_its_action_and_nothing_else_does(inner, size):
    env, plain = make("grid/noisy-tv", inner=inner, action=1), make(inner)
    actions = [0, 1, 0, 0, 1, 0]
    steps, alone = play(env, actions), play(plain, actions)
    # The inner environment gets keys of its own, which none of these uses after the reset.
    assert steps.obs.shape == (6, *alone.obs.shape[1:-1], alone.obs.shape[-1] + size)
    screen = steps.obs[..., alone.obs.shape[-1] :].reshape(6, -1)
    changed = [bool((screen[i] != screen[i - 1]).any()) for i in range(1, 6)]
    assert changed == [True, False, False, True, False]
    assert steps.obs.dtype == alone.obs.dtype and len(np.unique(screen)) > 1
    always = play(make("grid/noisy-tv", inner=inner), actions).obs[..., alone.obs.shape[-1] :]
    assert all((always[i] != always[i - 1]).any() for i in range(1, 6))
    off = play(make("grid/noisy-tv", inner=inner, deterministic=True), actions)
    assert off.obs.shape == steps.obs.shape and not off.obs[..., alone.obs.shape[-1] :].any()
    np.testing.assert_array_equal(off.obs[..., : alone.obs.shape[-1]], steps.obs[..., : alone.obs.shape[-1]])
    np.testing.assert_array_equal(off.reward, alone.reward)
    space, small = env.observation_space(env.default_params), plain.observation_space(plain.default_params)
    assert space.shape[-1] == small.shape[-1] + size and space.dtype == small.dtype
    assert set(space.low[-size:]) == {0.0} and set(space.high[-size:]) == {1.0}


def test_an_idle_action_only_switches_the_channel():
    env = make("grid/noisy-tv", idle=True, action=4, size=3, contexts=1)
    steps = play(env, [4, 4, 4])
    assert steps.obs.shape[1:] == (7, 7, 14)
    np.testing.assert_array_equal(steps.obs[0, ..., :11], steps.obs[2, ..., :11])
    assert (steps.obs[0, ..., 11:] != steps.obs[1, ..., 11:]).mean() == pytest.approx(0.5, abs=0.2)
    np.testing.assert_array_equal(steps.state.env_state.world.tiles[0], steps.state.env_state.world.tiles[2])


def test_what_a_television_cannot_stand_beside():
    with pytest.raises(UnsupportedSpace, match="discrete actions"):
        make("grid/noisy-tv", inner="Pendulum-v1")
    with pytest.raises(UnsupportedSpace, match="bool, float32 or uint8"):
        NoisyTV(make("FrozenLake-misc"))
    with pytest.raises(RLJaxError, match="from 0 to 3 or none, not 4"):
        make("grid/noisy-tv", action=4)
    with pytest.raises(RLJaxError, match="size must be an integer from 1 to 1000"):
        make("grid/noisy-tv", size=0)
    with pytest.raises(RLJaxError, match="take another seed"):
        make("grid/key-maze", side=2, keys=9)
    with pytest.raises(RLJaxError, match="size must be an integer from 2 to 1000"):
        make("grid/darkroom", size=1)


@pytest.mark.parametrize(
    "name",
    [
        "grid/multi-room",
        "grid/key-corridor",
        "grid/key-maze",
        "grid/darkroom",
        "grid/dark-key-door",
        "grid/noisy-tv",
        "grid/objects",
    ],
)
def test_every_grid_is_drawn(tmp_path, name):
    env = make(name)
    steps = play(env, [2, 0, 2, 1, 2, USE, 2])
    path = render_episode(env, env.default_params, steps.state, steps.reward, tmp_path / "episode.gif")
    with Image.open(path) as image:
        pictures = []
        for index in range(image.n_frames):
            image.seek(index)
            pictures.append(np.asarray(image.convert("RGB")))
    assert len(pictures) == len(steps.reward)
    above = [picture[:-35] for picture in pictures]
    assert len({picture.tobytes() for picture in above}) > 2
    assert all((np.abs(picture.astype(int) - (213, 94, 0)).sum(-1) < 30).any() for picture in above), "the agent is in it"
