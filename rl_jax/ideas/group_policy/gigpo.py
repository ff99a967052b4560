"""GiGPO: steps that were taken from the same place, in any episode of a group, are compared with each other.

Feng, Xue, Liu & An 2025, "Group-in-Group Policy Optimization for LLM Agent Training", arXiv:2505.10978; checked with
https://github.com/langfengQ/verl-agent, ``gigpo/core_gigpo.py``.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience.advantage.group import check_groups
from rl_jax.experience.transform import Transform
from rl_jax.ops import discounted_sum
from rl_jax.ops.groups import grouped, ungrouped
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import NotNegative, Share


@struct.dataclass
class GiGPO(Transform):
    """``advantage = episode * A_E + omega * A_S``; stands after :class:`~rl_jax.experience.advantage.group.GroupAdvantage`.

    ``A_E`` is the advantage that it finds, which episodes have given.
    ``A_S`` is a step's discounted return minus the mean over the steps of its anchor group: all own steps of the group's episodes
    with the same ``info["place"]`` (eq. 5 to 8). A step that nobody shares gets 0, and so does every step without a place (-1).

    The reference code takes the mean and spread of ``A_E`` over steps, so that long episodes weigh more (a switch,
    ``compute_mean_std_cross_steps``); here they are over episodes, as in the paper's eq. 3. It also charges 0.1 for invalid
    actions; nothing is charged here.

    Attributes:
        size: episodes of a group, neighbouring columns.
        gamma: discount of the returns; 0.95 in the paper.
        omega: weight of ``A_S``; 1 in the paper.
        episode: weight of ``A_E``; 0 leaves the steps' part alone.
        scale: divide by the spread within the anchor group (``"std"``) or not (``"none"``, the code's default).
    """

    size: int = struct.field(pytree_node=False)
    gamma: Any = 0.95
    omega: Any = 1.0
    episode: Any = 1.0
    scale: str = struct.field(pytree_node=False, default="none")

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_groups(spec, "gigpo", self.size, least=1)
        check_numbers("gigpo's", self, gamma=Share, omega=NotNegative, episode=NotNegative)
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        own = rollout.extras["own"]
        returns = discounted_sum(rollout.reward, self.gamma * (1.0 - rollout.done.astype(jnp.float32)))
        step, members = step_advantage(returns, rollout.info["place"], own, self.size, self.scale == "std")
        advantage = self.episode * rollout.extras["advantage"] + self.omega * step
        steps = jnp.maximum(jnp.sum(own), 1)
        metrics = {
            "gigpo/anchor_size": jnp.sum(jnp.where(own, members, 0.0)) / steps,
            "gigpo/alone": jnp.sum(own & (members <= 1)) / steps,
        }
        return state, rollout.with_extras(advantage=advantage), metrics


def step_advantage(
    returns: jax.Array, place: jax.Array, own: jax.Array, size: int, scaled: bool
) -> tuple[jax.Array, jax.Array]:
    """``returns`` ``[T, N]`` minus their mean over each anchor group, and how many steps that has, ``[T, N]``.

    Args:
        returns: of every step.
        place: ``int32``; -1: none.
        own: which steps count; the others get 0.
        size: columns of a group.
        scaled: divide by the standard deviation, with ``n - 1`` and 1e-6 added, as the reference code does.
    """
    length = returns.shape[0]

    def by_group(x: jax.Array) -> jax.Array:
        """``[T, N]`` as ``[B, T * size]``."""
        return jnp.moveaxis(grouped(x, size), 0, 1).reshape(-1, length * size)

    def by_step(x: jax.Array) -> jax.Array:
        return ungrouped(jnp.moveaxis(x.reshape(-1, length, size), 1, 0))

    value, at, counts = by_group(returns), by_group(place), by_group(own & (place >= 0))
    # Every step with every other: on a CPU much faster than sorting, and exact.
    same = ((at[:, :, None] == at[:, None, :]) & counts[:, None, :] & counts[:, :, None]).astype(jnp.float32)
    members = jnp.sum(same, -1)
    mean = jnp.einsum("bij,bj->bi", same, value) / jnp.maximum(members, 1.0)
    apart = jnp.where(counts & (members > 1), value - mean, 0.0)
    if scaled:
        spread = jnp.sqrt(jnp.einsum("bij,bj->bi", same, apart**2) / jnp.maximum(members - 1.0, 1.0))
        apart = apart / (spread + 1e-6)
    return by_step(apart), by_step(members)


def gigpo(size: int, gamma: Any = 0.95, omega: Any = 1.0, episode: Any = 1.0, scale: str = "none") -> GiGPO:
    """The advantage of GiGPO; see :class:`GiGPO`."""
    return GiGPO(size, gamma, omega, episode, scale)
