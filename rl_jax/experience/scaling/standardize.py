"""Observations less a fixed mean, in units of a fixed deviation."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from rl_jax.data.dataset import Dataset
from rl_jax.experience.transform import Transform
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec


@struct.dataclass
class Standardize(Transform):
    """Shows observations as ``(obs - mean) / deviation``. Whole numbers stay as they are.

    The numbers are part of the state, and so of a checkpoint: what was trained on recorded experience can act without it.

    Attributes:
        mean, deviation: of one observation ``[...]``; of a dictionary each part so.
    """

    mean: PyTree
    deviation: PyTree

    def init(self, key: Key, spec: Spec) -> PyTree:
        """Copies of the numbers."""
        return jax.tree.map(lambda x: jnp.array(x, jnp.float32), (self.mean, self.deviation))

    def observe(self, state: PyTree, obs: Any) -> Any:
        return standardized(obs, *state)

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        last = rollout.last.replace(obs=standardized(rollout.last.obs, *state))  # type: ignore[attr-defined]
        rollout = rollout.replace(  # type: ignore[attr-defined]
            obs=standardized(rollout.obs, *state), next_obs=standardized(rollout.next_obs, *state), last=last
        )
        return state, rollout, {}


def standardized(obs: Any, mean: Any, deviation: Any) -> Any:
    """Observations ``[..., *shape]`` as the class says."""

    def one(x: Any, mean: Any, deviation: Any) -> Any:
        return (x - mean) / deviation if jnp.issubdtype(x.dtype, jnp.floating) else x

    return jax.tree.map(one, obs, mean, deviation)


def standardize(data: Dataset, epsilon: float = 1e-3) -> tuple[Dataset, Standardize]:
    """A data set with standardised observations, and the transform that shows an acting policy the same; on the host.

    Args:
        data: whose steps the numbers are of.
        epsilon: added to deviations, as in Fujimoto & Gu 2021 (TD3+BC), section 5.
    """
    steps = data.num_steps

    def numbers(x: Any) -> tuple[np.ndarray, np.ndarray]:
        own = np.asarray(x[:steps], np.float64)
        return own.mean(axis=0).astype(np.float32), (own.std(axis=0) + epsilon).astype(np.float32)

    found = [numbers(x) for x in jax.tree.leaves(data.obs)]
    structure = jax.tree.structure(data.obs)
    mean, deviation = (jax.tree.unflatten(structure, [pair[i] for pair in found]) for i in (0, 1))
    obs = jax.tree.map(np.asarray, standardized(jax.tree.map(np.asarray, data.obs), mean, deviation))
    return data.replace(obs=obs), Standardize(mean, deviation)  # type: ignore[attr-defined]
