"""Shortest ways on maps: against Dijkstra's algorithm, on the cells and on a finer grid."""

import heapq
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_jax.envs.point.layouts import MEDIUM, OPEN, UMAZE, read
from rl_jax.ops.arrays.shortest import all_distances, distance_at, distance_field, next_middle


def dijkstra(walls, goal, diagonal=True):
    """Distances of all cells to a goal; a diagonal step needs the two cells beside it free."""
    free = {(int(r), int(c)) for r, c in np.argwhere(~np.asarray(walls))}
    found, queue = {}, [(0.0, tuple(goal))] if tuple(goal) in free else []
    while queue:
        length, cell = heapq.heappop(queue)
        if cell in found:
            continue
        found[cell] = length
        for move in itertools.product((-1, 0, 1), repeat=2):
            straight = 0 in move
            cells = {(cell[0] + move[0], cell[1] + move[1]), (cell[0] + move[0], cell[1]), (cell[0], cell[1] + move[1])}
            if cells <= free and (diagonal or straight):
                heapq.heappush(queue, (length + math.hypot(*move), (cell[0] + move[0], cell[1] + move[1])))
    field = np.full(np.shape(walls), np.inf)
    for cell, length in found.items():
        field[cell] = length
    return field


def random_walls(seed, shape=(7, 9)):
    return np.random.default_rng(seed).random(shape) < 0.35


field_of = jax.jit(distance_field, static_argnums=2)
at = jax.jit(jax.vmap(distance_at, (None, 0)))


@pytest.mark.parametrize("diagonal", [True, False])
def test_fields_are_those_of_dijkstra(diagonal):
    """Also in maps that are open at the edge, that fall into parts, and whose goal is a wall."""
    for seed in range(12):
        walls = random_walls(seed)
        for goal in ((0, 0), (3, 4), (6, 8)):
            found = field_of(walls, jnp.asarray(goal, jnp.int32), diagonal)
            np.testing.assert_allclose(found, dijkstra(walls, goal, diagonal), rtol=1e-6)


def test_all_distances_are_the_fields_of_all_goals():
    walls = np.asarray(read(MEDIUM).walls)
    table = np.asarray(jax.jit(all_distances)(walls))
    for goal in np.argwhere(~walls)[::5]:
        np.testing.assert_allclose(table[tuple(goal)], dijkstra(walls, goal), rtol=1e-6)
    np.testing.assert_allclose(table, table.transpose(2, 3, 0, 1), rtol=1e-5)
    assert np.isinf(table[0, 0]).all()


@pytest.mark.parametrize("layout", [UMAZE, MEDIUM, OPEN])
def test_distances_of_positions_fit_those_of_a_finer_grid(layout):
    """Never shorter than the way on many times as many cells, and longer by what corners and eight directions cost."""
    fine = 7
    walls = np.asarray(read(layout).walls)
    goal = np.argwhere(read(layout).goals)[-1]
    field = field_of(walls, jnp.asarray(goal, jnp.int32), True)
    brute = dijkstra(walls.repeat(fine, 0).repeat(fine, 1), goal * fine + fine // 2) / fine
    cells = np.argwhere(np.isfinite(brute))
    places = (cells + 0.5) / fine
    found, expected = np.asarray(at(field, jnp.asarray(places, jnp.float32))), brute[tuple(cells.T)]
    middles = (cells % fine == fine // 2).all(1)
    np.testing.assert_allclose(found[middles], np.asarray(field)[tuple(cells[middles].T // fine)], rtol=1e-5)
    # Eight directions on the fine grid are up to 8% too long as well.
    assert (found - expected / 1.083).min() > -1e-4
    assert (found - 1.083 * expected).max() < (0.1 if layout is OPEN else 0.37 * expected.max())
    straight = np.linalg.norm(places - (goal + 0.5), axis=1)
    near = (np.abs(cells // fine - goal) <= 1).all(1) & (layout is OPEN)
    np.testing.assert_allclose(found[near], straight[near], atol=1e-5)


def test_a_finer_map_gives_the_shortest_way_of_a_point():
    """In the U, straight to one corner, along the wall's end to the other, and straight to the goal."""
    fine, walls = 9, np.asarray(read(UMAZE).walls)
    goal = jnp.asarray([3 * fine + 4, fine + 4], jnp.int32)
    field = field_of(walls.repeat(fine, 0).repeat(fine, 1), goal, True)
    length = float(field[fine + 4, fine + 4]) / fine
    exact = 2 * math.hypot(0.5, 1.5) + 1
    assert exact < length < 1.083 * exact + 2 / fine and float(field_of(walls, goal // fine, True)[1, 1]) == 6.0


def test_distances_change_with_the_position_and_do_not_leak_through_walls():
    """No more than the position within a cell; by 0.54 more into the next; and across a wall by the whole way round."""
    walls = np.pad(random_walls(3, (8, 8)), 1, constant_values=True)
    field = field_of(walls, jnp.asarray(np.argwhere(~walls)[0], jnp.int32), True)
    rng = np.random.default_rng(0)
    first = rng.uniform(1, 9, (4000, 2))
    second = first + rng.uniform(-0.1, 0.1, first.shape)
    cells = [np.floor(place).astype(int) for place in (first, second)]
    steps = np.abs(cells[0] - cells[1]).sum(1)
    reached = np.isfinite(np.asarray(field))
    free = np.all([reached[tuple(cell.T)] for cell in cells], axis=0) & (steps < 2)
    ends = [np.asarray(at(field, jnp.asarray(place[free], jnp.float32))) for place in (first, second)]
    assert free.sum() > 1000 and np.isfinite(ends).all() and steps[free].sum() > 50
    moved = np.linalg.norm(first - second, axis=1)[free]
    assert (np.abs(ends[0] - ends[1]) < moved + 0.541 * steps[free] + 1e-4).all()
    umaze = field_of(np.asarray(read(UMAZE).walls), jnp.asarray([3, 1], jnp.int32), True)
    above, below = at(umaze, jnp.asarray([[1.95, 1.5], [3.05, 1.5]], jnp.float32))
    assert float(above) > 6.0 and float(below) == pytest.approx(0.45)


def test_the_next_middle_is_on_a_shortest_way():
    walls = np.pad(random_walls(5, (8, 8)), 1, constant_values=True)
    goal = tuple(np.argwhere(~walls)[10])
    brute = dijkstra(walls, goal)
    cells = np.argwhere(np.isfinite(brute))
    field = field_of(walls, jnp.asarray(goal, jnp.int32), True)
    after = np.asarray(jax.jit(jax.vmap(next_middle, (None, 0)))(field, jnp.asarray(cells + 0.5, jnp.float32))) - 0.5
    for cell, following in zip(cells, after.astype(int), strict=True):
        move = following - cell
        assert move.any() or tuple(cell) == goal
        assert brute[tuple(following)] + math.hypot(*move) == pytest.approx(brute[tuple(cell)], rel=1e-5)
        assert not walls[cell[0], following[1]] and not walls[following[0], cell[1]]
