"""Pictures of single environment states as arrays: grids as coloured cells, points in the plane as discs.

Every drawer takes ``(env, params, state)``, the innermost environment, its parameters and one state, and returns
``uint8[H, W, 3]``.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from rl_jax.run.pictures import draw_grid

Drawer = Callable[[Any, Any, Any], np.ndarray]

SIZE = 400  # pixels of the longer side of a picture
BACKGROUND = (22, 24, 30)
GRID = (44, 47, 56)
# Bright colours that stay apart on a dark ground with any colour vision (after Paul Tol's "light" scheme, from which
# neighbouring channels take unlike ones).
CHANNELS = (
    (119, 170, 221),
    (238, 136, 102),
    (238, 221, 136),
    (68, 187, 153),
    (255, 170, 187),
    (170, 170, 0),
    (153, 221, 255),
    (221, 221, 221),
    (187, 204, 51),
    (170, 110, 170),
)
FLOOR, WALL = (242, 242, 238), (60, 64, 74)
AGENT, GOAL, DANGER, GREY = (213, 94, 0), (0, 158, 115), (0, 114, 178), (90, 90, 90)
FROZEN_LAKE = ((205, 226, 240), (232, 240, 246), (38, 70, 110), (0, 158, 115))  # start, frozen, hole, goal


def is_image(observation: np.ndarray) -> bool:
    """Whether an observation can be drawn: ``[H, W]`` or ``[H, W, C]``, with both sides longer than a few numbers."""
    return observation.ndim in (2, 3) and min(observation.shape[:2]) > 2


def image(observation: np.ndarray, low: float, high: float) -> np.ndarray:
    """An image-like observation.

    One channel of graded values is drawn in grey and three of them as red, green and blue. Everything else is taken as
    one kind of object in each channel: a cell has the colour of its last channel that is not zero.

    Args:
        observation: ``[H, W]`` or ``[H, W, C]``.
        low, high: range of the values over the episode.
    """
    channels = observation[..., None] if observation.ndim == 2 else observation
    flags = set(np.unique(channels)) <= {0, 1}
    if not flags and channels.shape[-1] in (1, 3):
        unit = (channels.astype(np.float64) - low) / max(high - low, 1e-12)
        return _enlarged(np.broadcast_to((255 * unit).astype(np.uint8), (*channels.shape[:2], 3)), lines=False)
    picture = np.full((*channels.shape[:2], 3), BACKGROUND, np.uint8)
    for index in range(channels.shape[-1]):
        picture[channels[..., index] != 0] = CHANNELS[index % len(CHANNELS)]
    return _enlarged(picture, lines=True)


def _maze(env: Any, params: Any, state: Any) -> np.ndarray:
    """FourRooms and MetaMaze: walls, the goal and the agent."""
    occupied = np.asarray(env.occupied_map) != 0
    picture = np.where(occupied[..., None], np.array(WALL, np.uint8), np.array(FLOOR, np.uint8))
    picture[tuple(np.asarray(state.goal))] = GOAL
    return _with_agent(picture, *np.asarray(state.pos))


def _frozen_lake(env: Any, params: Any, state: Any) -> np.ndarray:
    """FrozenLake: holes are dark."""
    picture = np.array(FROZEN_LAKE, np.uint8)[np.asarray(env.desc)]
    return _with_agent(picture, *divmod(int(state.position), env.ncol))


def _point_robot(env: Any, params: Any, state: Any) -> np.ndarray:
    """PointRobot: goals lie on the half circle; the disc is where the goal counts as reached."""
    angles = np.linspace(0, np.pi, 60)
    arc = float(params.circle_radius) * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    discs = [(state.goal, float(params.goal_radius), GOAL), (state.pos, 0.05, AGENT)]
    return _plane(1.5 * float(params.circle_radius), discs, [(arc, GREY, 2)])


def _reacher(env: Any, params: Any, state: Any) -> np.ndarray:
    """Reacher: gymnax's joints have absolute angles and links of length 1."""
    angles = np.asarray(state.angles)
    joints = np.concatenate([[[0.0, 0.0]], np.cumsum(np.stack([np.cos(angles), np.sin(angles)], axis=-1), axis=0)])
    discs = [(state.goal_xy, 0.15, GOAL), *((joint, 0.08, GREY) for joint in joints[:-1]), (joints[-1], 0.12, AGENT)]
    # The goal is uniform in a square of half a side as long as the arm.
    return _plane(len(angles) * 1.15, discs, [(joints, GREY, 9)])


def _swimmer(env: Any, params: Any, state: Any) -> np.ndarray:
    """Swimmer: urchins (blue) spoil the reward nearby. The swimmer may leave the picture."""
    urchins = [(xy, 0.12, DANGER) for xy in np.asarray(state.urchin_xys)]
    return _plane(1.5, [*urchins, (state.goal_xy, 0.1, GOAL), (state.xy, 0.06, AGENT)], [])


DRAWERS: dict[str, Drawer] = {
    "FourRooms-misc": _maze,
    "MetaMaze-misc": _maze,
    "FrozenLake-misc": _frozen_lake,
    "PointRobot-misc": _point_robot,
    "Reacher-misc": _reacher,
    "Swimmer-misc": _swimmer,
    "grid/multi-room": draw_grid.world,
    "grid/key-corridor": draw_grid.world,
    "grid/key-maze": draw_grid.world,
    "grid/darkroom": draw_grid.dark,
    "grid/darkroom-hard": draw_grid.dark,
    "grid/dark-key-door": draw_grid.dark,
    "grid/objects": draw_grid.objects,
}
CONTINUOUS = ("PointRobot-misc", "Reacher-misc", "Swimmer-misc")


def _enlarged(picture: np.ndarray, lines: bool) -> np.ndarray:
    """Cells as squares of whole pixels, with thin lines between them where they are large enough."""
    cell = max(SIZE // max(picture.shape[:2]), 1)
    large = picture.repeat(cell, axis=0).repeat(cell, axis=1)
    if lines and cell >= 8:
        large[::cell] = GRID
        large[:, ::cell] = GRID
    return large


def _with_agent(picture: np.ndarray, row: int, column: int) -> np.ndarray:
    """A grid with a disc for the agent."""
    large = Image.fromarray(_enlarged(picture, lines=False))
    cell = large.height // picture.shape[0]
    left, top, margin = int(column) * cell, int(row) * cell, cell // 6
    box = (left + margin, top + margin, left + cell - margin, top + cell - margin)
    ImageDraw.Draw(large).ellipse(box, fill=AGENT, outline="white", width=max(cell // 16, 1))
    return np.asarray(large)


def _plane(
    extent: float,
    discs: Iterable[tuple[Any, float, tuple[int, int, int]]],
    paths: Iterable[tuple[np.ndarray, tuple[int, int, int], int]],
) -> np.ndarray:
    """Discs (centre, radius, colour) over paths (points, colour, pixels wide); both axes are ``[-extent, extent]``."""
    scale = 2  # drawn twice as large and shrunk, for smooth edges

    def pixel(xy: Any) -> tuple[float, float]:
        x, y = np.asarray(xy, np.float64)
        return (x / extent + 1) / 2 * SIZE * scale, (1 - y / extent) / 2 * SIZE * scale

    canvas = Image.new("RGB", (SIZE * scale, SIZE * scale), FLOOR)
    pen = ImageDraw.Draw(canvas)
    for points, colour, width in paths:
        pen.line([pixel(point) for point in points], fill=colour, width=width * scale, joint="curve")
    for centre, size, colour in discs:
        x, y = pixel(centre)
        radius = size / (2 * extent) * SIZE * scale
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return np.asarray(canvas.resize((SIZE, SIZE), Image.Resampling.LANCZOS))
