"""Pictures of the point worlds: walls, gates, the goal as the disc within which it counts as reached, the disc, and its trail."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

SIZE = 400  # pixels of the longer side of a picture
SMOOTH = 3  # drawn so many times as large and shrunk, for smooth edges
AGENT, GOAL, TRAIL = (213, 94, 0), (0, 158, 115), (0, 114, 178)
FLOOR, WALL, GATE = (242, 242, 238), (60, 64, 74), (226, 222, 208)


def trails(moments: Sequence[tuple[Any, Any, Any]]) -> list[np.ndarray]:
    """A picture ``uint8 [H, W, 3]`` of each moment ``(env, params, state)`` of an episode, with the way that led there."""
    places = np.stack([np.asarray(state.position, np.float64) for _, _, state in moments])
    return [_picture(params, state, places[: number + 1]) for number, (_, params, state) in enumerate(moments)]


def _picture(params: Any, state: Any, places: np.ndarray) -> np.ndarray:
    """The map with everything on it; ``places`` ``[T, 2]``, the last of them that of the disc."""
    walls = np.asarray(params.walls)
    cell = max(SIZE // max(walls.shape), 4)
    cells = np.where(walls[..., None], np.array(WALL, np.uint8), np.array(FLOOR, np.uint8))
    cells[(np.asarray(params.gates) > 0) & ~walls] = GATE
    large = cell * SMOOTH
    canvas = Image.fromarray(cells.repeat(large, axis=0).repeat(large, axis=1))
    pen = ImageDraw.Draw(canvas)
    _disc(pen, np.asarray(state.goal) + 0.5, float(params.goal_radius), large, GOAL)
    if len(places) > 1:
        pen.line([(x * large, y * large) for y, x in places], fill=TRAIL, width=max(large // 12, 1), joint="curve")
    _disc(pen, places[-1], float(params.radius), large, AGENT)
    height, width = walls.shape
    return np.asarray(canvas.resize((width * cell, height * cell), Image.Resampling.LANCZOS))


def _disc(pen: ImageDraw.ImageDraw, place: Any, radius: float, cell: int, colour: tuple[int, int, int]) -> None:
    row, column = (float(x) for x in place)
    pen.ellipse(((column - radius) * cell, (row - radius) * cell, (column + radius) * cell, (row + radius) * cell), fill=colour)
