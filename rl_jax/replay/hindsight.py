"""Hindsight relabelling of sampled episodes: a goal that was reached later replaces the one that was set."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience import Transform
from rl_jax.ops import along
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import NotNegative


@struct.dataclass
class Hindsight(Transform):
    """One step of each drawn episode, its goal replaced by one that was reached later in it: HER, strategy "future".

    Andrychowicz et al. 2017, "Hindsight Experience Replay", section 4.5: with probability ``k / (k + 1)`` a goal reached at a
    later step of the same episode, chosen uniformly, else the step's own. From trajectories ``[L, B]`` it makes steps
    ``[1, B]``; give it complete episodes (:class:`rl_jax.replay.Episodes`), and put n-step targets after it with ``n = 1``.

    Attributes:
        reached: the goal that an observation fulfils, ``obs [B, ...] -> goal [B, ...]``.
        with_goal: an observation as if the goal had been another, ``(obs, goal) -> obs``.
        reward: ``(next_obs, goal) -> (reward [B], terminated [B])``.
        k: relabelled steps per step that keeps its goal.
    """

    reached: Callable[[PyTree], jax.Array] = struct.field(pytree_node=False)
    with_goal: Callable[[PyTree, jax.Array], PyTree] = struct.field(pytree_node=False)
    reward: Callable[[PyTree, jax.Array], tuple[jax.Array, jax.Array]] = struct.field(pytree_node=False)
    k: Any = 4.0

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_numbers("hindsight's", self, k=NotNegative)
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        key_step, key_goal, key_relabel = jax.random.split(context.key, 3)
        length = jnp.sum(rollout.extras["mask"], axis=0)
        column = jnp.arange(length.shape[0])
        time = jax.random.randint(key_step, length.shape, 0, length)
        later = jax.random.randint(key_goal, length.shape, time, length)
        relabel = jax.random.bernoulli(key_relabel, self.k / (self.k + 1.0), length.shape)

        def select(x: jax.Array) -> jax.Array:
            return x[time, column]

        step_data = jax.tree.map(select, rollout.replace(carry=(), start=None, last=None))  # type: ignore[attr-defined]
        goal = self.reached(jax.tree.map(lambda x: x[later, column], rollout.next_obs))
        reward, terminated = self.reward(step_data.next_obs, goal)

        def choose(new: jax.Array, old: jax.Array) -> jax.Array:
            return jnp.where(along(relabel, old), new, old).astype(old.dtype)

        batch = step_data.replace(
            obs=jax.tree.map(choose, self.with_goal(step_data.obs, goal), step_data.obs),
            next_obs=jax.tree.map(choose, self.with_goal(step_data.next_obs, goal), step_data.next_obs),
            reward=choose(reward, step_data.reward),
            # Whether the clock ran out does not depend on the goal; whether the task ended does.
            terminated=choose(terminated, step_data.terminated),
            truncated=choose((step_data.terminated | step_data.truncated) & ~terminated, step_data.truncated),
        )
        return state, jax.tree.map(lambda x: x[None], batch), {}


def hindsight(reached: Any, with_goal: Any, reward: Any, k: Any = 4.0) -> Hindsight:
    """Hindsight relabelling; see :class:`Hindsight`."""
    return Hindsight(reached, with_goal, reward, k)
