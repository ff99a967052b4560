"""Pictures of tapes: what stands where, and in whose colour."""

import jax
import numpy as np

from rl_jax.envs import make
from rl_jax.envs.tokens.task import read
from rl_jax.run.pictures.draw_tape import CELL, ENVIRONMENT, POLICY, PROMPT, SEEN
from rl_jax.run.pictures.drawing import drawing_of


def colours(picture, position, columns=12):
    """The colours within a cell."""
    row, column = divmod(position, columns)
    cell = picture[row * CELL + 4 : (row + 1) * CELL - 4, column * CELL + 4 : (column + 1) * CELL - 4]
    return {tuple(pixel) for pixel in cell.reshape(-1, 3).tolist()}


def test_a_tape_shows_who_wrote_what():
    env = make("tokens/attempts", operands=2)
    params = env.default_params
    state, _ = env.reset(jax.random.key(0), params)
    step = jax.jit(env.step)
    for action in read("000" + ".E"):
        state = step(jax.random.key(0), state, action, params).state
    drawing = drawing_of(env, params)
    assert (drawing.suffix, drawing.name) == (".gif", "tokens/attempts")
    picture = drawing.pictures([drawing.within(params, state)])[0]
    assert picture.dtype == np.uint8
    # A prompt of four, ``.`` and ``E`` of the policy, ``!`` of the environment, and a second attempt of two that is not made yet.
    expected = [PROMPT] * 4 + [POLICY] * 2 + [ENVIRONMENT]
    for position, colour in enumerate(expected):
        found = colours(picture, position)
        assert colour in found and not found & ({PROMPT, POLICY, ENVIRONMENT} - {colour})
    assert all(len(colours(picture, position)) == 1 for position in range(7, 9))
    frame = picture[2, 5 * CELL + CELL // 2]
    assert tuple(frame) == SEEN, "the policy sees its own last token"
