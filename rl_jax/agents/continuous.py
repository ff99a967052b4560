"""What agents of bounded continuous actions share."""

from typing import Any

import jax

from rl_jax.errors import RLJaxError, UnsupportedSpace
from rl_jax.spaces import Box, describe
from rl_jax.types import Rollout, Sample


def check_bounded(agent: str, space: Any) -> None:
    """Raise :class:`UnsupportedSpace` for a box of which an element lacks a bound: there a squashed action never leaves ``[-1, 1]``."""
    if isinstance(space, Box) and not space.bounded:
        raise UnsupportedSpace(
            f"{agent} acts within two bounds of every element, which this environment's {describe(space)} lacks; "
            f"choose another agent (see 'rl-jax list') or another environment"
        )


def single_steps(sample: Sample) -> Rollout:
    """A batch of single steps ``[1, B, ...]`` without its leading axis.

    Raises:
        RLJaxError: the trajectories are longer than one step.
    """
    length = sample.batch.reward.shape[0]
    if length != 1:
        raise RLJaxError(
            f"this agent learns from single steps, not from trajectories of {length}: "
            f"make n-step targets of them with rl_jax.replay.n_step({length})"
        )
    return jax.tree.map(lambda x: x[0], sample.batch)
