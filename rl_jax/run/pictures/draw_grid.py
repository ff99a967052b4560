"""Pictures of the grid worlds: the map, the agent as an arrow, the square that it sees brighter than the rest."""

from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from rl_jax.envs.grid import world as grid

SIZE = 400  # pixels of the longer side of a picture
AGENT, GOAL, DOOR, KEY = (213, 94, 0), (0, 158, 115), (0, 114, 178), (230, 159, 0)
FLOOR, WALL, UNSEEN = (242, 242, 238), (60, 64, 74), 0.8
ARROW = np.array([[0.0, 0.4], [-0.3, -0.3], [0.3, -0.3]])  # ahead and to the right of the middle of a cell, in cells


def world(env: Any, params: Any, state: Any) -> np.ndarray:
    """Rooms and mazes. A door is a frame: empty where it is open, filled where it is locked; a carried key is on the agent."""
    tiles, (row, column) = np.asarray(state.world.tiles), np.asarray(state.world.position)
    turn = int(state.world.direction)
    ahead = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)][turn])
    cell = max(SIZE // max(tiles.shape), 4)
    canvas = np.where((tiles == grid.WALL)[..., None], WALL, FLOOR).astype(np.float64)
    canvas[tiles == grid.GOAL] = GOAL
    if env.view is not None:
        corner = np.array([row, column]) + ahead * (env.view // 2) - env.view // 2
        rows, columns = (np.arange(n) - start for n, start in zip(tiles.shape, corner, strict=True))
        seen = ((rows >= 0) & (rows < env.view))[:, None] & ((columns >= 0) & (columns < env.view))[None, :]
        canvas = np.where(seen[..., None], canvas, canvas * UNSEEN)
    picture = Image.fromarray(canvas.astype(np.uint8).repeat(cell, axis=0).repeat(cell, axis=1))
    pen = ImageDraw.Draw(picture)
    for place in np.argwhere((tiles == grid.OPEN) | (tiles == grid.CLOSED) | (tiles == grid.LOCKED)):
        _door(pen, place, cell, int(tiles[tuple(place)]))
    for place in np.argwhere(tiles == grid.KEY):
        _disc(pen, place, cell, 0.25, KEY)
    right = np.array([ahead[1], -ahead[0]])
    points = (np.array([row, column]) + 0.5 + ARROW[:, 1:] * ahead + ARROW[:, :1] * right) * cell
    pen.polygon([(x, y) for y, x in points], fill=AGENT)
    if int(state.world.carried) > 0:
        _disc(pen, np.array([row, column]), cell, 0.14, KEY)
    return np.asarray(picture)


def dark(env: Any, params: Any, state: Any) -> np.ndarray:
    """Dark rooms, as the agent does not see them: goal or door, key, and the agent as a disc."""
    picture, pen, cell = _room(env.size)
    if hasattr(state, "goal"):
        _fill(pen, state.goal, cell, GOAL)
    else:
        _door(pen, state.door, cell, grid.OPEN if state.opened else grid.LOCKED)
        if not state.has_key:
            _disc(pen, state.key, cell, 0.25, KEY)
    _disc(pen, state.position, cell, 0.35, AGENT)
    if getattr(state, "has_key", False):
        _disc(pen, state.position, cell, 0.14, KEY)
    return np.asarray(picture)


def objects(env: Any, params: Any, state: Any) -> np.ndarray:
    """Objects in a room: those that pay and those that cost in two colours, larger for more; and the agent as a disc."""
    picture, pen, cell = _room(env.size)
    for place, reward, there in zip(np.asarray(params.place), np.asarray(params.reward), np.asarray(state.there), strict=True):
        if there:
            radius = 0.15 + 0.3 * min(abs(float(reward)), 1.0)
            _disc(pen, np.array(divmod(int(place), env.size)), cell, radius, GOAL if reward > 0 else DOOR)
    _disc(pen, np.array(divmod(int(state.cell), env.size)), cell, 0.25, AGENT)
    return np.asarray(picture)


def _room(size: int) -> tuple[Image.Image, ImageDraw.ImageDraw, int]:
    """A square room with a line around each cell, a pen, and the pixels of a cell."""
    cell = max(SIZE // size, 4)
    picture = Image.new("RGB", (size * cell + 1, size * cell + 1), FLOOR)
    pen = ImageDraw.Draw(picture)
    for line in range(size + 1):
        pen.line([(0, line * cell), (size * cell, line * cell)], fill=WALL)
        pen.line([(line * cell, 0), (line * cell, size * cell)], fill=WALL)
    return picture, pen, cell


def _fill(pen: ImageDraw.ImageDraw, place: Any, cell: int, colour: tuple[int, int, int]) -> None:
    top, left = (int(x) * cell for x in place)
    pen.rectangle((left + 1, top + 1, left + cell - 1, top + cell - 1), fill=colour)


def _door(pen: ImageDraw.ImageDraw, place: Any, cell: int, tile: int) -> None:
    """A frame: with nothing in it where it is open, a handle where it is closed, filled where it is locked."""
    top, left = (int(x) * cell for x in place)
    inside = DOOR if tile == grid.LOCKED else FLOOR
    pen.rectangle((left, top, left + cell - 1, top + cell - 1), fill=inside, outline=DOOR, width=max(cell // 8, 1))
    if tile != grid.OPEN:
        _disc(pen, place, cell, 0.12, FLOOR if tile == grid.LOCKED else DOOR)


def _disc(pen: ImageDraw.ImageDraw, place: Any, cell: int, radius: float, colour: tuple[int, int, int]) -> None:
    y, x = ((int(i) + 0.5) * cell for i in place)
    size = radius * cell
    pen.ellipse((x - size, y - size, x + size, y + size), fill=colour, outline=WALL)
