"""Steps as vectors, and steps of a data set."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from rl_jax.data.dataset import Dataset
from rl_jax.data.marks import MARK, TERMINATED, TRUNCATED
from rl_jax.errors import RLJaxError
from rl_jax.networks.torsos import to_vector
from rl_jax.spaces import ObsSpace, Space, describe
from rl_jax.types import PyTree, Spec

#: What a reward may look at in a step.
Part = Literal["obs", "action", "next_obs"]


class Steps(NamedTuple):
    """Single steps, all leaves ``[B, ...]``."""

    obs: PyTree
    action: jax.Array
    next_obs: PyTree
    terminated: jax.Array


def steps_of(data: Dataset, rows: jax.Array) -> Steps:
    """The steps ``rows`` ``[B]`` of a data set, each with the observation that followed it, also at an episode's end."""
    marks = jnp.asarray(data.marks)[rows]
    following = jnp.where((marks & (TERMINATED | TRUNCATED)) != 0, data.num_steps + marks // MARK, rows + 1)
    return Steps(
        jax.tree.map(lambda x: jnp.asarray(x)[rows], data.obs),
        jnp.asarray(data.action)[rows],
        jax.tree.map(lambda x: jnp.asarray(x)[following], data.obs),
        (marks & TERMINATED) != 0,
    )


def as_vectors(steps: Any, sees: tuple[Part, ...], obs_space: ObsSpace, action_space: Space) -> jax.Array:
    """The parts ``sees`` of steps ``[..., item]``, one after the other, as vectors ``[..., D]``.

    Args:
        steps: :class:`Steps`, or a :class:`~rl_jax.types.Rollout`.
        sees: names of its fields.
        obs_space, action_space: of the environment; actions are in unit coordinates, choices become one-hot.
    """
    spaces = {"obs": obs_space, "next_obs": obs_space, "action": action_space}
    return jnp.concatenate([to_vector(getattr(steps, name), spaces[name]) for name in sees], axis=-1)


def check_expert(what: str, data: Any, spec: Spec) -> None:
    """Refuse an expert's data that are none, or of another environment.

    Raises:
        RLJaxError: with the spaces that differ.
    """
    if not isinstance(data, Dataset):
        raise RLJaxError(f"{what}'s expert is a {type(data).__name__}: give a data set, such as rl_jax.data.load(FOLDER)")
    pairs = (("observations", data.obs_space, spec.obs_space), ("actions", data.action_space, spec.action_space))
    for name, own, asked in pairs:
        if own != asked:
            raise RLJaxError(
                f"the expert has {name} {describe(own)}, the environment's are {describe(asked)}: use the environment of the data"
            )
