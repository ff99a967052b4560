"""n-step targets from sampled trajectories."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.errors import RLJaxError
from rl_jax.experience import Transform
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Count, Share


@struct.dataclass
class NStep(Transform):
    """Sums ``n`` rewards and looks ``n`` steps ahead, but never beyond the end of the episode.

    From trajectories ``[L, B]`` it makes steps ``[L - n + 1, B]`` with ``reward = sum_k gamma^k r_{t+k}`` over the ``m <= n``
    steps that the episode still has, ``next_obs``, ``terminated`` and ``truncated`` of the last of them, and
    ``extras["discount"] = gamma^m``: a truncated episode bootstraps from its final observation, over as many steps as there
    were (Sutton 1988; Watkins 1989; Mnih et al. 2016, section 4).

    With ``collapse=False`` the trajectory keeps its ``L`` rows and each row its own ``next_obs``, and ``extras["offset"] = m - 1``
    says how many rows ahead the value to bootstrap from stands: for recurrent agents, which evaluate the entire trajectory. Then the
    window also ends with the trajectory.

    Attributes:
        gamma: discount per step.
        n: steps, at most the length of the buffer's trajectories.
        collapse: see above.
    """

    gamma: Any = 0.99
    n: int = struct.field(pytree_node=False, default=1)
    collapse: bool = struct.field(pytree_node=False, default=True)

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_numbers("n_step's", self, gamma=Share, n=Count)
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        mask = rollout.extras["mask"]
        length, n = mask.shape[0], self.n
        if n < 1 or (self.collapse and n > length):
            raise RLJaxError(
                f"{n}-step targets need trajectories of at least {max(n, 1)} steps: set the buffer's length to that"
            )
        reward = jnp.where(mask, rollout.reward, 0.0)
        number = mask.astype(jnp.int32)
        total, steps, factor = reward, number, jnp.ones((), jnp.float32)
        for k in range(1, min(n, length)):
            factor = factor * self.gamma
            total = total.at[:-k].add(factor * reward[k:])
            steps = steps.at[:-k].add(number[k:])
        discount = jnp.asarray(self.gamma, jnp.float32) ** steps
        if not self.collapse:
            offset = jnp.maximum(steps - 1, 0)
            end = jnp.arange(length)[:, None] + offset
            rollout = rollout.replace(  # type: ignore[attr-defined]
                reward=total,
                terminated=jnp.take_along_axis(rollout.terminated, end, axis=0),
                truncated=jnp.take_along_axis(rollout.truncated, end, axis=0),
            )
            return state, rollout.with_extras(discount=discount, offset=offset), {}
        rows = length - n + 1

        def ahead(x: jax.Array) -> jax.Array:
            # Beyond the end the trajectory repeats its last step, so this is never another episode's.
            return x[n - 1 :]

        rollout = rollout.replace(  # type: ignore[attr-defined]
            obs=jax.tree.map(lambda x: x[:rows], rollout.obs),
            action=rollout.action[:rows],
            reward=total[:rows],
            terminated=ahead(rollout.terminated),
            truncated=ahead(rollout.truncated),
            first=rollout.first[:rows],
            next_obs=jax.tree.map(ahead, rollout.next_obs),
            level=jax.tree.map(lambda x: x[:rows], rollout.level),
            extras={name: x[:rows] for name, x in rollout.extras.items()},
        )
        return state, rollout.with_extras(discount=discount[:rows]), {}


def n_step(n: int = 1, gamma: Any = 0.99, collapse: bool = True) -> NStep:
    """n-step targets; see :class:`NStep`."""
    return NStep(gamma, n, collapse)
