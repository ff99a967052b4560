"""Fresh columns mixed with those of the last few policies."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience import chain
from rl_jax.experience.advantage.group import check_whole
from rl_jax.experience.selection.columns import Columns, blank_columns, columns_of, put_columns, take_columns, write_columns
from rl_jax.experience.weights import rescaled
from rl_jax.ops import random_index
from rl_jax.types import Context, Key, PyTree, Rollout, Sample, Spec
from rl_jax.values import Count, Share


@struct.dataclass
class Recent:
    """The columns of the last rollouts ``[T, window * N, ...]``, how many rollouts were added, and the transforms' state."""

    columns: Columns
    added: jax.Array
    transforms: PyTree


@struct.dataclass
class Mixed:
    """A :class:`Recent` and, until it is released, the mixture that is learned from in this train step."""

    recent: Recent
    rollout: Rollout


@struct.dataclass
class RecentRollouts:
    """Hands back the rollout just collected, a share of its columns replaced by random ones of the last rollouts.

    The mixture of Liang et al. 2025, "Squeeze the Soaked Sponge", arXiv:2507.06892 (ReMix): columns of the policies ``k - 1`` to
    ``k - window``, each of them alike, with the log-probabilities that they were drawn with and the advantages that they had then.
    It is drawn once per train step, and the fresh columns are stored whether they are in it or not. Weights have mean 1 again.

    Attributes:
        transforms: a chain that looks at the mixture, as experience transforms look at the rollout: for what depends on the present
            policy.
        share: of the columns, from earlier rollouts.
        until: the progress of training (0 to 1) at which this ends; fresh columns only from then on.
        window: rollouts that are kept.
        keep: extras of a column; others stay those of the fresh column.
    """

    transforms: Any = chain()
    share: Any = 0.4
    until: Any = 1.0
    window: int = struct.field(pytree_node=False, default=2)
    keep: tuple[str, ...] = struct.field(pytree_node=False, default=("log_prob", "own", "weight", "advantage"))

    def init(self, key: Key, spec: Spec) -> Recent:
        """No rollouts.

        Raises:
            RLJaxError: numbers that cannot be, or rollouts that are not of whole episodes.
        """
        check_whole(spec, "RecentRollouts")
        check_numbers("RecentRollouts'", self, share=Share, until=Share, window=Count)
        columns = blank_columns(spec.rollout, self.keep, self.window * spec.num_envs)
        return Recent(columns, jnp.zeros((), jnp.int32), self.transforms.init(key, spec))

    def add(self, state: Recent, rollout: Rollout, context: Context) -> Mixed:
        """Mix, then store the rollout over the oldest."""
        keys = jax.random.split(context.key, 3)
        columns = rollout.reward.shape[1]
        known = jnp.minimum(state.added, self.window)
        share = jnp.where((context.progress < self.until) & (known > 0), self.share, 0.0)
        number = jnp.round(share * columns).astype(jnp.int32)
        index = random_index(keys[0], (columns,), jnp.maximum(known, 1) * columns)
        replaced = jnp.argsort(jax.random.uniform(keys[1], (columns,))) < number
        mixed = put_columns(rollout, take_columns(state.columns, index), replaced)
        mixed = mixed.with_extras(weight=rescaled(mixed.extras["weight"]))
        transforms, mixed, _ = self.transforms.update(state.transforms, mixed, context.replace(key=keys[2]))  # type: ignore[attr-defined]
        slot = state.added % self.window * columns + jnp.arange(columns)
        store = write_columns(state.columns, slot, columns_of(rollout, self.keep))
        # Not counted on for ever: what is left of a division by the window, and whether all are there, is all that matters.
        added = jnp.where(state.added + 1 >= 2 * self.window, self.window, state.added + 1)
        return Mixed(Recent(store, added, transforms), mixed)

    def ready(self, state: Mixed) -> bool:
        del state
        return True

    def sample(self, state: Mixed, context: Context) -> Sample:
        """The mixture ``[T, N, ...]``."""
        del context
        return Sample(state.rollout, None, None)

    def update(self, state: Mixed, indices: object, priorities: object) -> Mixed:
        del indices, priorities
        return state

    def release(self, state: Mixed) -> Recent:
        """Let the mixture go."""
        return state.recent
