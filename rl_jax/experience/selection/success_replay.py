"""Past successes of each prompt, for groups in which all fail."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.errors import RLJaxError
from rl_jax.experience.advantage.group import check_groups
from rl_jax.experience.selection.columns import (
    Columns,
    blank_columns,
    columns_of,
    part_of,
    put_columns,
    take_columns,
    write_columns,
)
from rl_jax.experience.transform import Transform, present_policy
from rl_jax.ops import random_index
from rl_jax.ops.groups import grouped
from rl_jax.types import Context, Key, Metrics, Rollout, Spec
from rl_jax.values import Count, Number

KEEP = ("log_prob", "own")


@struct.dataclass
class Successes:
    """Successful columns ``[T, P * slots, ...]``, those of a prompt side by side; how many were ever stored, ``[P]``."""

    columns: Columns
    stored: jax.Array


@struct.dataclass
class SuccessReplay(Transform):
    """Where a whole group fails, its first column becomes a random stored success of the same prompt.

    Lu et al. 2025, "ARPO: End-to-End Policy Optimization for GUI Agents with Experience Replay", arXiv:2505.16282, with the numbers
    of its code (``ray_trainer.py`` of dvlab-research/ARPO): the newest eight successes of each task are kept; a group fails if its
    outcomes' standard deviation is below 0.05 and their mean below 0.2; what succeeds in a rollout is stored after it was looked
    at. There, and here, old log-probabilities are computed after the exchange: of a stored column they are the present policy's, so
    its ratio starts at 1 and the clip does not answer for its age.

    For before the advantages, with a curriculum whose levels name the ``problem`` of a fixed set, such as
    :class:`~rl_jax.curricula.prompts.Prompts` with a count.

    Attributes:
        prompts: ``P``, how many there are.
        size: columns of a group.
        slots: successes kept of each prompt.
        least: an outcome above this is a success.
    """

    prompts: int = struct.field(pytree_node=False)
    size: int = struct.field(pytree_node=False, default=8)
    slots: int = struct.field(pytree_node=False, default=8)
    least: Any = 0.1

    def init(self, key: Key, spec: Spec) -> Successes:
        check_groups(spec, "success_replay", self.size)
        if not hasattr(spec.rollout.level, "problem"):
            raise RLJaxError("success_replay keeps successes by problem: give the trainer curriculum=Prompts(env, size, count)")
        check_numbers("success_replay's", self, prompts=Count, slots=Count, least=Number)
        number = self.prompts * self.slots
        return Successes(blank_columns(spec.rollout, KEEP, number), jnp.zeros((self.prompts,), jnp.int32))

    def update(self, state: Successes, rollout: Rollout, context: Context) -> tuple[Successes, Rollout, Metrics]:
        outcome, prompt = jnp.sum(rollout.reward, axis=0), rollout.level.problem[0]
        groups = grouped(outcome, self.size)
        failed = (jnp.std(groups, -1) < 0.05) & (jnp.mean(groups, -1) < 0.2)
        asked = grouped(prompt, self.size)[:, 0]
        known = jnp.minimum(state.stored[asked], self.slots)
        index = asked * self.slots + random_index(context.key, known.shape, jnp.maximum(known, 1))
        helped = failed & (known > 0)
        first = jnp.arange(helped.shape[0]) * self.size
        part = put_columns(part_of(rollout, first), take_columns(state.columns, index), helped)
        log_prob = jnp.where(helped, present_policy(part, context).log_prob(part.action), part.extras["log_prob"])
        columns = columns_of(part.with_extras(log_prob=log_prob), KEEP)
        columns = write_columns(columns_of(rollout, KEEP), first, columns)
        metrics = {"groups/failed": jnp.mean(failed), "groups/helped": jnp.mean(helped)}
        state = self._add(state, rollout, outcome > self.least, prompt)
        return state, put_columns(rollout, columns, jnp.ones(outcome.shape, bool)), metrics

    def _add(self, state: Successes, rollout: Rollout, success: jax.Array, prompt: jax.Array) -> Successes:
        """The successes of a rollout stored over the oldest of their prompt, in the order of columns; of too many the last."""
        alike = success[:, None] & success & (prompt[:, None] == prompt)
        order = jnp.arange(success.shape[0])
        before = jnp.sum(alike & (order[None] < order[:, None]), axis=1)
        last = jnp.sum(alike, axis=1) - before <= self.slots
        slot = prompt * self.slots + (state.stored[prompt] + before) % self.slots
        slot = jnp.where(success & last, slot, self.prompts * self.slots)
        return Successes(
            columns=write_columns(state.columns, slot, columns_of(rollout, KEEP)),
            stored=state.stored.at[prompt].add(success.astype(jnp.int32)),
        )


def success_replay(prompts: int, size: int = 8, slots: int = 8, least: Any = 0.1) -> SuccessReplay:
    """Give failed groups one of their prompt's past successes; see :class:`SuccessReplay`."""
    return SuccessReplay(prompts, size, slots, least)
