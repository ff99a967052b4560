"""Several data sets as one."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from rl_jax.data.dataset import Dataset
from rl_jax.data.marks import MARK
from rl_jax.errors import RLJaxError


def concat(datasets: Sequence[Dataset]) -> Dataset:
    """The episodes of several data sets one after the other; on the host. Of ``extras`` those that all have are kept.

    Raises:
        RLJaxError: there are none, or they are of other spaces.
    """
    if not datasets:
        raise RLJaxError("there is no data set to join: give one at least")
    first = datasets[0]
    for data in datasets[1:]:
        if (data.obs_space, data.action_space) != (first.obs_space, first.action_space):
            raise RLJaxError(f"data sets of other spaces cannot be joined: {data.summary()}; and {first.summary()}")
    counts = np.asarray([data.num_episodes for data in datasets])
    steps = [data.num_steps for data in datasets]

    def joined(*arrays: Any) -> np.ndarray:
        return np.concatenate([np.asarray(x) for x in arrays])

    def observed(*arrays: Any) -> np.ndarray:
        parts = [np.asarray(x) for x in arrays]
        ends = [x[n : n + e] for x, n, e in zip(parts, steps, counts, strict=True)]
        return np.concatenate([*(x[:n] for x, n in zip(parts, steps, strict=True)), *ends])

    shift = MARK * (np.cumsum(counts) - counts)
    names = [name for name in first.extras if all(name in data.extras for data in datasets)]
    return Dataset(
        obs=jax.tree.map(observed, *(data.obs for data in datasets)),
        action=joined(*(data.action for data in datasets)),
        reward=joined(*(data.reward for data in datasets)),
        marks=joined(*(np.asarray(data.marks) + np.int32(by) for data, by in zip(datasets, shift, strict=True))),
        extras={name: joined(*(data.extras[name] for data in datasets)) for name in names},
        obs_space=first.obs_space,
        action_space=first.action_space,
        env=first.env if all(data.env == first.env for data in datasets) else "",
    )
