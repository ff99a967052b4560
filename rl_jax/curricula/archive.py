"""An archive of cells: what was reached, from which an episode may go on, and the way there."""

from typing import NamedTuple

import jax

from rl_jax.types import PyTree

EMPTY = -1
"""``Archive.length`` of a cell that was never reached, and ``Archive.parent`` of a cell without one."""


class Running(NamedTuple):
    """Where the running ways stand before their next step, ``[N]``; ``parent``: the last other cell on the way."""

    cell: jax.Array
    parent: jax.Array
    score: jax.Array
    error: jax.Array
    length: jax.Array


class Archive(NamedTuple):
    """What was reached. All leaves but ``running`` have a leading axis ``[cells + 1]``.

    The last entry is not a cell but the end: the best way that the environment itself ended (``terminated``), with the state
    before its last step. It is never chosen.

    Attributes:
        env_state, obs: from which an episode continues; arbitrary in empty cells.
        score, length: return (``-inf``: empty) and number of steps (``EMPTY``) on the way there.
        error: bound on the rounding error of the score (:func:`rl_jax.ops.add_bounded`).
        parent: the cell before on that way (``EMPTY``: none).
        chosen, since_new: how often it was started from: since its way was last improved, and since that led to anything new.
        seen: episodes that came through it.
        running: ``[N]``, the ways under way.
    """

    env_state: PyTree
    obs: PyTree
    score: jax.Array
    error: jax.Array
    length: jax.Array
    parent: jax.Array
    chosen: jax.Array
    since_new: jax.Array
    seen: jax.Array
    running: Running
