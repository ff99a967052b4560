"""Pictures of tapes: what stands where, and in whose colour."""

import jax
import numpy as np

from rl_jax.envs import make
from rl_jax.envs.tokens.task import read
from rl_jax.run.pictures.draw_tape import CELL, ENVIRONMENT, POLICY, PROMPT, SEEN
from rl_jax.run.pictures.drawing import drawing_of


def colour_in(picture, position, columns=12):
    """The darkest colour within a cell."""
    row, column = divmod(position, columns)
    cell = picture[row * CELL + 4 : (row + 1) * CELL - 4, column * CELL + 4 : (column + 1) * CELL - 4].reshape(-1, 3)
    return cell[cell.sum(axis=1).argmin()].astype(int)


def test_a_tape_shows_who_wrote_what():
    env = make("tokens/attempts", operands=3)
    params = env.default_params
    state, _ = env.reset(jax.random.key(0), params)
    step = jax.jit(env.step)
    for action in read("00000" + "0E"):
        state = step(jax.random.key(0), state, action, params).state
    drawing = drawing_of(env, params)
    assert (drawing.suffix, drawing.name) == (".gif", "tokens/attempts")
    picture = drawing.pictures([drawing.within(params, state)])[0]
    assert picture.dtype == np.uint8
    # A prompt of six, two of the policy, ``!`` of the environment, and a second attempt that is not made yet.
    written = np.array([PROMPT, POLICY, ENVIRONMENT])
    found = [abs(written - colour_in(picture, position)).sum(axis=1).argmin() for position in range(9)]
    assert found == [0] * 6 + [1] * 2 + [2]
    assert all(colour_in(picture, position).min() > 200 for position in range(9, 13))
    frame = picture[2, 7 * CELL + CELL // 2]
    assert tuple(frame) == SEEN, "the policy sees its own last token"
