"""Pictures of point worlds show walls, goal, disc and trail where they are."""

import numpy as np

from rl_jax.envs import make
from rl_jax.envs.point import PointState
from rl_jax.run.pictures import draw_point
from rl_jax.run.pictures.drawing import drawing_of


def colour_at(picture, row, column, shape):
    height, width = picture.shape[:2]
    return tuple(int(x) for x in picture[int(row * height / shape[0]), int(column * width / shape[1])])


def test_everything_is_drawn_where_it_is():
    env = make("point/two-routes")
    params = env.default_params
    how = drawing_of(env, params)
    assert how.suffix == ".gif"
    zero = np.zeros(2, np.float32)
    goal = np.array([1, 4], np.int32)
    states = [
        PointState(np.array(place, np.float32), zero, goal, np.float32(1.0), np.int32(0))
        for place in ((7.5, 4.5), (7.5, 1.5), (4.5, 1.5))
    ]
    pictures = how.pictures([how.within(params, state) for state in states])
    for number, picture in enumerate(pictures):
        assert picture.dtype == np.uint8 and picture.shape == (396, 396, 3)
        place = states[number].position
        assert colour_at(picture, *place, (9, 9)) == draw_point.AGENT
        assert colour_at(picture, 1.5, 4.5, (9, 9)) == colour_at(picture, 1.8, 4.5, (9, 9)) == draw_point.GOAL
        assert colour_at(picture, 4.5, 4.5, (9, 9)) == colour_at(picture, 0.5, 0.5, (9, 9)) == draw_point.WALL
        assert (
            colour_at(picture, 4.5, 7.0, (9, 9)) == draw_point.GATE and colour_at(picture, 2.5, 2.5, (9, 9)) == draw_point.FLOOR
        )
        assert (colour_at(picture, 7.5, 3.0, (9, 9)) == draw_point.TRAIL) == (number > 0)
        assert (colour_at(picture, 6.0, 1.5, (9, 9)) == draw_point.TRAIL) == (number > 1)
