"""Maps of the point worlds, as text: ``#`` wall, ``.`` floor, ``S`` where episodes may start, ``G`` where goals may be, ``B`` both.

``1`` to ``9`` are floor that is told apart: gates, of which the last one passed is remembered.
"""

from typing import NamedTuple

import numpy as np

from rl_jax.errors import RLJaxError

UMAZE = (
    "#####",
    "#SSS#",
    "###S#",
    "#GSS#",
    "#####",
)

MEDIUM = (
    "#########",
    "#BBBBB#B#",
    "#B###B#B#",
    "#B#B#BBB#",
    "#BBB#B#B#",
    "###B#B#B#",
    "#BBB###B#",
    "#B#BBBBB#",
    "#########",
)

GIANT = (
    "################",
    "#BBBBBB#BBBBBBB#",
    "#B####B#B###B#B#",
    "#B#BBBB#B#BBB#B#",
    "#B#B####B#B###B#",
    "#B#BBBBBB#B#BBB#",
    "#B######B#B#B###",
    "#BBBBBB#BBB#BBB#",
    "###B##B#####B#B#",
    "#BBB#BB#BBBBB#B#",
    "#B#BBB##B###BBB#",
    "################",
)

TWO_ROUTES = (
    "#########",
    "#...G...#",
    "#.......#",
    "#11###22#",
    "#11###22#",
    "#11###22#",
    "#.......#",
    "#...S...#",
    "#########",
)

OPEN = (
    "#######",
    "#BBBBB#",
    "#BBBBB#",
    "#BBBBB#",
    "#BBBBB#",
    "#BBBBB#",
    "#######",
)


class Layout(NamedTuple):
    """A map: ``walls``, ``starts``, ``goals`` are ``bool [H, W]``, ``gates`` is ``int32 [H, W]``, 0 where there is none."""

    walls: np.ndarray
    starts: np.ndarray
    goals: np.ndarray
    gates: np.ndarray


def read(rows: tuple[str, ...]) -> Layout:
    """A map from its text.

    Raises:
        RLJaxError: its rows are not of one length, have other characters, are not walled all round, lack a start or a goal, or have
            no way between them.
    """
    if len({len(row) for row in rows}) != 1 or len(rows) < 3 or len(rows[0]) < 3:
        raise RLJaxError("a layout is at least 3 rows of text, all of one length of at least 3")
    signs = np.array([list(row) for row in rows])
    if unknown := sorted(set(signs.flat) - set("#.SGB123456789")):
        raise RLJaxError(f"a layout is made of # . S G B and the digits 1 to 9, not of {unknown[0]!r}")
    walls = signs == "#"
    if not (walls[[0, -1]].all() and walls[:, [0, -1]].all()):
        raise RLJaxError("a layout has walls all round: let its first and last row and column be '#'")
    starts, goals = (np.isin(signs, list(marks)) for marks in ("SB", "GB"))
    if not starts.any() or not goals.any():
        raise RLJaxError("a layout needs a cell to start in, S or B, and one for the goal, G or B")
    if not _joined(~walls, starts | goals):
        raise RLJaxError("a layout's goals can be reached from every start: open a way between them")
    gates = np.where(np.char.isdigit(signs), signs, "0").astype(np.int32)
    return Layout(walls, starts, goals, gates)


def _joined(free: np.ndarray, cells: np.ndarray) -> bool:
    """Whether there is a way from each of ``cells`` to every other."""
    known = np.zeros_like(free)
    known[tuple(np.argwhere(cells)[0])] = True
    while True:
        wider = known.copy()
        for axis in (0, 1):
            for shift in (-1, 1):
                wider |= np.roll(known, shift, axis) & free
        if (wider == known).all():
            return bool(known[cells].all())
        known = wider
