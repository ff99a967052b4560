"""Grid worlds of rooms: the engine against its rules written out, maps that can be solved, contexts, and who can use them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import SMALL
from grid_reference import (
    CLOSED,
    FLOOR,
    FORWARD,
    GOAL,
    KEY,
    LEFT,
    LOCKED,
    OPEN,
    RIGHT,
    STAY,
    USE,
    WALL,
    Reference,
    shortest,
    solvable,
)

from rl_jax import make
from rl_jax.envs import check_env, names
from rl_jax.envs.grid import KeyCorridor, MultiRoom
from rl_jax.envs.grid.world import World, act, on_goal, view
from rl_jax.envs.registry import OWN
from rl_jax.errors import RLJaxError
from rl_jax.types import Environment

GRIDS = sorted(name for name in OWN if name.startswith("grid/"))
ROOMS = [
    ("grid/multi-room", {}),
    ("grid/multi-room", {"rooms": 6, "size": 5}),
    ("grid/multi-room", {"rooms": 2, "size": 4}),
    ("grid/multi-room", {"rooms": 3, "size": 9}),
    ("grid/key-corridor", {}),
    ("grid/key-corridor", {"rows": 1, "size": 3}),
    ("grid/key-corridor", {"rows": 2, "size": 6}),
]


def world_of(text, direction=0, carried=0):
    """A world from rows of characters: ``#`` wall, ``/`` ``+`` ``L`` doors, ``k`` key, ``*`` goal, ``A`` the agent."""
    rows = text.split()
    tiles = np.array([["A#/+Lk*".find(c) if c in "#/+Lk*" else FLOOR for c in row] for row in rows], np.int8)
    position = np.argwhere(np.array([list(row) for row in rows]) == "A")[0]
    return World(
        jnp.asarray(tiles), jnp.asarray(position, jnp.int32), jnp.asarray(direction, jnp.int32), jnp.asarray(carried, jnp.int32)
    )


def after(world, *actions):
    for action in actions:
        world = act(world, jnp.int32(action))
    return world


def maps(env, count, **changes):
    """``count`` maps of an environment as NumPy arrays, leading axis ``[count]``."""
    params = env.default_params.replace(**changes)
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(env.map_of, (0, None)))(jnp.arange(count), params))


@pytest.mark.parametrize("name", GRIDS)
def test_every_grid_keeps_the_protocol(name):
    env = make(name)
    assert name in names() and isinstance(env, Environment) and env.name == name
    check_env(env)
    assert env == make(name) and hash(env) == hash(OWN[name]()) and env.time_limit >= 20
    with pytest.raises(RLJaxError, match="wheels"):
        make(name, wheels=4)


@pytest.mark.slow
@pytest.mark.parametrize("name", GRIDS)
def test_types_and_values_do_not_depend_on_x64(name):
    env = make(name)
    params = env.default_params

    def run(key):
        start, key = jax.random.split(key)
        state, obs = env.reset(start, params)
        step = env.step(key, state, jnp.zeros((), jnp.int32), params)
        return state, obs, step

    with jax.enable_x64(True):
        traced, wide = jax.eval_shape(run, jax.random.key(3)), jax.jit(run)(jax.random.key(3))
    for path, leaf in jax.tree_util.tree_leaves_with_path(traced):
        assert leaf.dtype.itemsize <= 4 and not leaf.weak_type, (path, leaf)
    jax.tree.map(np.testing.assert_array_equal, jax.jit(run)(jax.random.key(3)), wide)


def test_each_action_does_its_one_thing():
    room = world_of("##### #.+*# #A/k# #.L.# #####".replace(" ", "\n"))
    assert [int(after(room, action).direction) for action in (LEFT, RIGHT, FORWARD, USE, STAY)] == [3, 1, 0, 0, 0]
    assert after(room, FORWARD).position.tolist() == [2, 2], "through an open door"
    assert after(room, FORWARD, FORWARD).position.tolist() == [2, 2], "a key is in the way"
    assert after(room, USE).tiles[2, 2] == CLOSED and after(room, USE, FORWARD).position.tolist() == [2, 1]
    assert after(room, USE, USE).tiles[2, 2] == OPEN
    assert after(room, LEFT, LEFT, FORWARD).position.tolist() == [2, 1], "a wall is in the way"
    taken = after(room, FORWARD, USE)
    assert taken.carried == 1 and taken.tiles[2, 3] == FLOOR
    # Down to the locked door with the key, and once more without one.
    there = (LEFT, LEFT, FORWARD, LEFT, FORWARD, LEFT, USE)
    opened = after(taken, *there)
    assert opened.tiles[3, 2] == OPEN and opened.carried == 0 and opened.position.tolist() == [3, 1]
    assert after(opened, USE).tiles[3, 2] == CLOSED and after(opened, USE, USE).tiles[3, 2] == OPEN, "it does not lock again"
    assert after(room, RIGHT, FORWARD, LEFT, USE).tiles[3, 2] == LOCKED
    goal = after(room, LEFT, FORWARD, RIGHT, USE, FORWARD, FORWARD)
    assert goal.position.tolist() == [1, 3] and on_goal(goal) and not on_goal(room)
    assert np.array_equal(after(room, STAY).tiles, room.tiles)


def test_the_view_turns_with_the_agent():
    world = world_of("##### #*.k# #.A.# #+L/# #####".replace(" ", "\n"), direction=3, carried=2)
    seen = np.asarray(view(world, 3))
    assert seen[2, 1, :6].sum() == 0, "the agent stands on floor, in the middle of the last row"
    assert np.argwhere(seen[..., GOAL - 1]).tolist() == [[1, 0]] and np.argwhere(seen[..., KEY - 1]).tolist() == [[1, 2]]
    assert seen[0, :, WALL - 1].all() and seen[..., 6].all() and seen[..., 10].all() and not seen[..., 7:10].any()
    east = np.asarray(view(after(world, RIGHT), 3))
    assert np.argwhere(east[..., KEY - 1]).tolist() == [[1, 0]] and np.argwhere(east[..., OPEN - 1]).tolist() == [[1, 2]]


@pytest.mark.parametrize(("name", "options"), ROOMS[:1] + ROOMS[4:5])
def test_the_engine_follows_its_rules_for_random_actions(name, options):
    env = make(name, idle=True, **options)
    worlds = maps(env, 8)
    actions = np.random.default_rng(0).choice(5, (8, 150), p=[0.15, 0.15, 0.4, 0.25, 0.05])

    @jax.jit
    @jax.vmap
    def run(world, actions):
        def body(world, action):
            world = act(world, action)
            return world, (world, view(world, 5))

        return jax.lax.scan(body, world, actions)[1]

    found, seen = jax.tree.map(np.asarray, run(worlds, jnp.asarray(actions, jnp.int32)))
    opened = 0
    for number in range(8):
        reference = Reference(*(leaf[number] for leaf in worlds))
        for time, action in enumerate(actions[number]):
            reference.act(action)
            assert (
                tuple(found.position[number, time]) == reference.position
                and found.direction[number, time] == reference.direction
            )
            assert found.carried[number, time] == reference.carried
            np.testing.assert_array_equal(found.tiles[number, time], reference.tiles)
            np.testing.assert_array_equal(seen[number, time], reference.view(5))
            opened += OPEN in reference.tiles
    assert opened > 20, "the actions did something"


@pytest.mark.parametrize(("name", "options"), ROOMS)
def test_every_map_can_be_solved(name, options):
    env = make(name, **options)
    for seed, count in ((0, 200), (7, 50)):
        tiles, positions, directions, carried = maps(env, count, seed=np.int32(seed))
        assert np.all(tiles[:, [0, -1]] == WALL) and np.all(tiles[:, :, [0, -1]] == WALL)
        assert np.all((tiles == GOAL).sum((1, 2)) == 1) and np.all(carried == 0) and len(set(directions)) == 4
        assert all(tile[tuple(place)] == FLOOR for tile, place in zip(tiles, positions, strict=True))
        assert all(solvable(tile, place) for tile, place in zip(tiles, positions, strict=True))
    doors = ((tiles == CLOSED) | (tiles == LOCKED)).sum((1, 2))
    keys, locks = (tiles == KEY).sum((1, 2)), (tiles == LOCKED).sum((1, 2))
    corridor = name == "grid/key-corridor"
    assert np.all(doors == (2 * env.layout.length if corridor else env.layout.length - 1))
    assert np.all(keys == corridor) and np.all(locks == corridor)
    if corridor:  # not without the key
        assert not any(
            solvable(np.where(tile == KEY, FLOOR, tile), place) for tile, place in zip(tiles, positions, strict=True)
        )


@pytest.mark.parametrize(("name", "options"), [ROOMS[0], ROOMS[4]])
def test_a_task_may_be_shorter_than_the_longest(name, options):
    env = make(name, **options)
    for length in range(1, env.layout.length + 2):
        tiles, positions, _, _ = maps(env, 30, length=np.int32(length))
        doors = ((tiles == CLOSED) | (tiles == LOCKED)).sum((1, 2))
        corridor, clipped = name == "grid/key-corridor", min(length, env.layout.length)
        assert np.all(doors == (2 * clipped if corridor else max(clipped, 2) - 1))
        assert all(solvable(tile, place) for tile, place in zip(tiles, positions, strict=True))


def test_rooms_differ_in_size_and_place():
    env = make("grid/multi-room", rooms=4, size=8)
    tiles = maps(env, 200).tiles
    floors = (tiles != WALL).mean(0)
    inner = floors[1:-1, 1:-1]
    assert inner.min() > 0.15 and inner.max() < 0.85, "rooms are everywhere, and nowhere always"
    assert len({tile.tobytes() for tile in tiles}) == 200
    sizes = (tiles != WALL).sum((1, 2))
    assert sizes.min() < 100 and sizes.max() > 200


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), [ROOMS[0], ROOMS[1], ROOMS[5], ROOMS[6]])
def test_shortest_plans_replay_to_the_goal_within_the_limit(name, options):
    """What breadth-first search finds with the rules written out brings the environment to its only reward."""
    env = make(name, **options)
    step = jax.jit(env.step)
    for context in range(4):
        params = env.default_params
        world = env.map_of(context, params)
        plan = shortest(world.tiles, world.position, world.direction)
        assert 0 < len(plan) <= env.time_limit
        state, _ = env.reset(jax.random.key(0), params)
        state = state._replace(world=world, context=jnp.int32(context))
        for number, action in enumerate(plan):
            out = step(jax.random.key(1), state, jnp.int32(action), params)
            last = number == len(plan) - 1
            assert bool(out.terminated) == bool(out.info["success"]) == last and float(out.reward) == float(last)
            assert not out.truncated and int(out.info["context"]) == context
            row, column = out.state.world.position
            assert int(out.info["cell"]) == row * world.tiles.shape[1] + column == env.cell_of(out.state) < env.num_cells
            state = out.state


@pytest.mark.parametrize("name", ["grid/multi-room", "grid/key-corridor"])
def test_episodes_draw_their_map_from_the_contexts(name):
    env = make(name)
    reset = jax.jit(jax.vmap(env.reset, (0, None)))

    def layouts(contexts, seed=0, key=0):
        params = env.default_params.replace(contexts=np.int32(contexts), seed=np.int32(seed))
        state, obs = reset(jax.random.split(jax.random.key(key), 300), params)
        whole = np.concatenate([np.asarray(leaf).reshape(300, -1) for leaf in (*state.world, obs)], axis=1)
        return np.asarray(state.context), [row.tobytes() for row in whole]

    for contexts in (1, 5, 20):
        numbers, found = layouts(contexts)
        counts = np.bincount(numbers)
        assert len(counts) == contexts and counts.min() > 300 / contexts / 4, "uniform"
        assert len(set(found)) == contexts and len(set(zip(numbers, found, strict=True))) == contexts
        again = dict(zip(*layouts(contexts, key=9), strict=True))
        assert all(again[number] == layout for number, layout in zip(numbers, found, strict=True))
    numbers, found = layouts(0)
    assert len(set(numbers)) == 300 == len(set(found)) and numbers.min() >= 0 and numbers.max() > 2**30
    assert layouts(1, seed=1)[1][0] != layouts(1, seed=2)[1][0]
    assert make(name, contexts=5, seed=2).default_params.contexts == 5


@pytest.mark.slow
def test_a_map_is_the_same_for_every_generator_and_in_every_batch():
    env = make("grid/multi-room", contexts=1)
    params = env.default_params
    one = env.reset(jax.random.key(0), params)
    other = env.reset(jax.random.key(5, impl="rbg"), params)
    jax.tree.map(np.testing.assert_array_equal, one, other)
    tasks = jax.tree.map(lambda *x: jnp.stack(x), params, params.replace(seed=np.int32(3), length=np.int32(2)))
    state, _ = jax.vmap(env.reset)(jax.random.split(jax.random.key(1), 2), tasks)
    np.testing.assert_array_equal(state.world.tiles[0], one[0].world.tiles)
    assert (state.world.tiles[1] == CLOSED).sum() == 1


@pytest.mark.parametrize("name", ["grid/multi-room", "grid/darkroom", "grid/key-maze", "grid/noisy-tv"])
def test_agents_take_them_as_they_are(name):
    trainer = SMALL.trainer(make(name))
    state = jax.eval_shape(lambda key: trainer.init(key, 64), jax.random.key(0))
    _, metrics = jax.eval_shape(trainer.train_step, state)
    assert metrics["episode/return"].shape == ()


def test_mistakes_name_their_mending():
    for layout in (lambda: MultiRoom(1, 6), lambda: MultiRoom(17, 6), lambda: MultiRoom(4, 3), lambda: KeyCorridor(0, 4)):
        with pytest.raises(RLJaxError, match=r"not \d"):
            layout()
    with pytest.raises(RLJaxError, match="walls included"):
        make("grid/key-corridor", size=2)
    with pytest.raises(RLJaxError, match="odd number"):
        make("grid/multi-room", view=4)
    with pytest.raises(RLJaxError, match="contexts must be an integer from 0"):
        make("grid/multi-room", contexts=-1)
    with pytest.raises(RLJaxError, match="did you mean grid/multi-room"):
        make("grid/multi")
