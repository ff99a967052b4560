"""Prioritized replay: steps are drawn in proportion to a power of their priority."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.errors import RLJaxError
from rl_jax.ops import SumTree
from rl_jax.replay.ring import Added, Layout, Ring
from rl_jax.replay.samplers import Draw
from rl_jax.replay.start_table import enter, no_values, renew, table_size
from rl_jax.types import Context, PyTree, Rollout
from rl_jax.values import NotNegative


@struct.dataclass
class Priorities:
    """What samplers with priorities keep.

    Attributes:
        tree: the chances of all steps, zero for those that may not be drawn.
        waiting: ``[length - 1, N]`` chances of steps whose trajectories are not complete yet; empty without a score.
        largest: the largest chance that an update has given so far, at least 1.
    """

    tree: SumTree
    waiting: Any
    largest: jax.Array


def importance_weights(chances: jax.Array, exponent: jax.Array | float) -> jax.Array:
    """Weights ``[B]`` that undo the bias of draws with ``P(i)`` in proportion to ``chances`` ``[B]``, the largest being 1.

    Schaul et al. 2016, section 3.4: ``w_i = (N P(i))^-beta / max_j w_j``. The number ``N`` of steps that could be drawn and the
    sum of all chances are the same in every ``w_j`` of a batch, so they cancel here before they can cost any precision. The
    maximum is over the batch, as in the paper's experiments (its author, as told in chainerrl's issue 278) and in Dopamine, Acme
    and DQN Zoo. Over the whole buffer, as in OpenAI Baselines, one step of very small chance would scale down every update while
    it stays. What may not be drawn weighs 0.
    """
    alive = chances > 0
    least = jnp.min(jnp.where(alive, chances, jnp.inf))
    ratio = jnp.where(alive, chances, 1.0) / jnp.where(jnp.any(alive), least, 1.0)
    return jnp.where(alive, ratio ** -jnp.asarray(exponent, jnp.float32), 0.0)


#: No chance is larger, so that the sum over the largest buffer stays a number.
LARGEST = 1e30
#: No chance of a step that may be drawn is smaller: zero is for those that may not. The smallest normal ``float32``.
LEAST = float(jnp.finfo(jnp.float32).tiny)


def update_priorities(state: Priorities, indices: jax.Array, chances: jax.Array) -> Priorities:
    """Other ``chances`` ``[B]`` at ``indices`` ``[B]``. A zero stays: such a step may not be drawn.

    Nothing else becomes zero: a report of zero error, or whose power is below ``float32``, leaves :data:`LEAST`. A
    chance that is NaN or infinite is not taken: one such number would be in every sum from then on. Its step keeps what it had.
    """
    present = state.tree.get(indices)
    chances = jnp.where(jnp.isfinite(chances), jnp.clip(chances, LEAST, LARGEST), present)
    chances = jnp.where(present > 0, chances.astype(jnp.float32), 0.0)
    largest = jnp.maximum(state.largest, jnp.max(chances))
    return state.replace(tree=state.tree.set(indices, chances), largest=largest)  # type: ignore[attr-defined]


@struct.dataclass
class Prioritized:
    """Proportional prioritization, Schaul et al. 2016, "Prioritized Experience Replay", section 3.3.

    ``P(i)`` is in proportion to ``(|delta_i| + epsilon)^alpha``, where ``delta_i`` is what the agent last reported for the
    trajectory that begins at step ``i`` (its TD error). A step that becomes drawable has the largest priority so far. Draws are
    independent; the paper draws one from each of ``batch_size`` equal ranges of the sum, which has the same mean.

    Attributes:
        alpha: how much priorities matter; 0 is a uniform draw.
        beta: how far the importance weights undo the bias, at the start of training.
        beta_end: the same at the end, reached linearly.
        epsilon: added to priorities, so that steps without an error are still drawn. Not with a ``score``.
        score: static, ``rollout -> [T, N]``: priorities of new steps instead of the largest so far. Steps whose score is not
            positive, or infinite, are never drawn.
        keep_scores: static: ignore what the agent reports; scores stay as they were when the step was added.
    """

    alpha: Any = 0.6
    beta: Any = 0.4
    beta_end: Any = 1.0
    epsilon: Any = 1e-6
    score: Callable[[Rollout], jax.Array] | None = struct.field(pytree_node=False, default=None)
    keep_scores: bool = struct.field(pytree_node=False, default=False)

    def init(self, layout: Layout) -> Priorities:
        """All chances zero: nothing can be drawn.

        Raises:
            RLJaxError: a number is out of range.
        """
        check_numbers("Prioritized's", self, alpha=NotNegative, beta=NotNegative, beta_end=NotNegative, epsilon=NotNegative)
        waiting = () if self.score is None else no_values(layout, jnp.float32)
        return Priorities(SumTree.zeros(table_size(layout)), waiting, jnp.ones((), jnp.float32))

    def _chances(self, priorities: jax.Array) -> jax.Array:
        if self.score is None:
            return ((jnp.abs(priorities) + self.epsilon) ** self.alpha).astype(jnp.float32)
        # Zero to the power of zero would be one.
        usable = (priorities > 0) & jnp.isfinite(priorities)
        return jnp.where(usable, jnp.clip(priorities**self.alpha, LEAST, LARGEST), 0.0).astype(jnp.float32)

    def add(
        self, state: Priorities, ring: Ring, layout: Layout, before: Added, rollout: Rollout, context: Context
    ) -> Priorities:
        """New steps get their first chance, overwritten ones lose theirs."""
        shape = (layout.rollout_length, layout.num_envs)
        waiting = state.waiting
        if self.score is None:
            chances = jnp.broadcast_to(state.largest, shape)
        else:
            scores = self.score(rollout)
            if scores.shape != shape:
                raise RLJaxError(f"a score must return one number per step, of shape {shape}, not {scores.shape}")
            chances, waiting = enter(waiting, self._chances(scores))
        return Priorities(renew(state.tree, ring, layout, before, chances), waiting, state.largest)

    @property
    def certain(self) -> bool:
        """A score may be zero for all steps."""
        return self.score is None

    def ready(self, state: Priorities, ring: Ring, layout: Layout) -> jax.Array:
        """As soon as any step has a chance."""
        return state.tree.total > 0

    def draw(self, state: Priorities, ring: Ring, layout: Layout, number: int, context: Context) -> Draw:
        """``number`` first steps and their importance weights."""
        indices = state.tree.sample(context.key, number)
        beta = self.beta + (self.beta_end - self.beta) * context.progress
        return Draw(indices, importance_weights(state.tree.get(indices), beta))

    def update(self, state: Priorities, indices: jax.Array, priorities: jax.Array) -> PyTree:
        """The agent's new priorities ``[B]``, absolute TD errors for instance."""
        if self.keep_scores:
            return state
        return update_priorities(state, indices, self._chances(priorities))


def weighted(score: Callable[[Rollout], jax.Array], alpha: Any = 1.0, beta: Any = 0.0) -> Prioritized:
    """Steps are drawn in proportion to ``score(rollout)`` ``[T, N]``, computed when they are added and kept.

    Args:
        score: non-negative numbers; a zero is never drawn.
        alpha: power to which scores are raised.
        beta: how far importance weights undo the bias; by default not at all, since the bias is the point.
    """
    return Prioritized(alpha=alpha, beta=beta, beta_end=beta, score=score, keep_scores=True)
