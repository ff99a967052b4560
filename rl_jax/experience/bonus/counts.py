"""Count-based bonuses: how often has this been visited, in this episode or ever?"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.ops import earlier_equals
from rl_jax.spaces import read_by_actor
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec

Form = Literal["inverse sqrt", "first visit"]


def _words(x: jax.Array, lead: int) -> jax.Array:
    words = jax.lax.bitcast_convert_type(x.astype(jnp.float32), jnp.uint32) if jnp.issubdtype(x.dtype, jnp.floating) else x
    return words.astype(jnp.uint32).reshape(*x.shape[:lead], -1)


def hashed(x: PyTree, slots: int, lead: int = 2) -> jax.Array:
    """A slot in ``[0, slots)`` for each item of ``x`` ``[T, N, ...]``, ``int32 [T, N]``; equal items, equal slots.

    Floats are told apart by their bits. Different items share a slot with probability ``1 / slots``. A dictionary is one item.
    """
    parts = [_words(leaf, lead) for leaf in jax.tree.leaves(x)]
    words = parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=-1)
    place = jnp.arange(1, words.shape[-1] + 1, dtype=jnp.uint32) * jnp.uint32(0x9E3779B1)
    mixed = (words + place) * jnp.uint32(0x85EBCA6B)
    mixed = (mixed ^ (mixed >> 15)) * (place | jnp.uint32(1))
    total = jnp.sum(mixed ^ (mixed >> 13), axis=-1, dtype=jnp.uint32)
    total = (total ^ (total >> 16)) * jnp.uint32(0xC2B2AE35)
    return ((total ^ (total >> 15)) % jnp.uint32(slots)).astype(jnp.int32)


def observed(rollout: Rollout, slots: int) -> jax.Array:
    """The key of the observation that a step led to, ``int32 [T, N]``; of a dictionary, of what actors read of it."""
    return hashed(read_by_actor(rollout.next_obs), slots)


def reported(name: str) -> Callable[[Rollout, int], jax.Array]:
    """A key out of what the environment reports: ``info[name]``, integers, such as the agent's cell."""

    def key_of(rollout: Rollout, slots: int) -> jax.Array:
        return hashed(rollout.info[name], slots)

    return key_of


def _of_count(count: jax.Array, form: Form) -> jax.Array:
    count = count.astype(jnp.float32)
    return (count == 1).astype(jnp.float32) if form == "first visit" else jax.lax.rsqrt(jnp.maximum(count, 1.0))


@struct.dataclass
class LifetimeCount:
    """``1 / sqrt(N(key))``, or whether it is the first visit at all; counts are of the entire run and shared by all environments.

    The visit that is being paid is counted. Visits count in the order of time, then of environments: of four environments that
    come to a new place in the same step the first gets 1, the others ``1 / sqrt(2)``, ``1 / sqrt(3)`` and 1/2.

    Strehl & Littman 2008; as the global bonus in Henaff, Jiang & Raileanu 2023, arXiv:2306.03236, section 3.

    Attributes:
        key_of: ``(rollout, slots) -> int32 [T, N]``; what counts as the same.
        form: of the bonus.
        slots: of the table.
    """

    key_of: Callable[[Rollout, int], jax.Array] = struct.field(pytree_node=False, default=observed)
    form: Form = struct.field(pytree_node=False, default="inverse sqrt")
    slots: int = struct.field(pytree_node=False, default=2**14)

    def init(self, key: Key, spec: Spec) -> jax.Array:
        """Zero counts ``int32 [slots]``."""
        return jnp.zeros((self.slots,), jnp.int32)

    def bonus(self, state: jax.Array, rollout: Rollout, context: Context) -> tuple[jax.Array, jax.Array, Metrics]:
        """Visits count one after the other, in the order of time, then of environments."""
        keys = self.key_of(rollout, self.slots)
        visits = keys.reshape(-1)
        counts = (state[visits] + 1 + earlier_equals(visits)).reshape(keys.shape)
        table = state.at[visits].add(1)
        used_share = jnp.mean((table > 0).astype(jnp.float32))
        return table, _of_count(counts, self.form), {"bonus/lifetime_slots": used_share}


class Visits(NamedTuple):
    """Per environment: in which episode each key was visited last, how often in it ``[N, slots]``, and the episode ``[N]``."""

    episode: jax.Array
    times: jax.Array
    now: jax.Array


@struct.dataclass
class EpisodicCount:
    """Whether a key is visited for the first time in this episode, or ``1 / sqrt`` of its visits.

    As the episodic bonus in Henaff, Jiang & Raileanu 2023, arXiv:2306.03236, section 3. The start of an episode is not counted:
    only what steps led to. Nothing is cleared when an episode ends; a count belongs to the episode that it was made in.

    Attributes:
        key_of, form, slots: as in :class:`LifetimeCount`; a table for each environment.
    """

    key_of: Callable[[Rollout, int], jax.Array] = struct.field(pytree_node=False, default=observed)
    form: Form = struct.field(pytree_node=False, default="first visit")
    slots: int = struct.field(pytree_node=False, default=2**10)

    def init(self, key: Key, spec: Spec) -> Visits:
        table = jnp.zeros((spec.num_envs, self.slots), jnp.int32)
        return Visits(table, table, jnp.zeros((spec.num_envs,), jnp.int32))

    def bonus(self, state: Visits, rollout: Rollout, context: Context) -> tuple[PyTree, jax.Array, Metrics]:
        rows = jnp.arange(state.now.shape[0])

        def step(visits: Visits, x: tuple[jax.Array, jax.Array]) -> tuple[Visits, Any]:
            first, keys = x
            current_episode = visits.now + first.astype(jnp.int32)
            previous_count = jnp.where(visits.episode[rows, keys] == current_episode, visits.times[rows, keys], 0)
            episode, count = (
                visits.episode.at[rows, keys].set(current_episode),
                visits.times.at[rows, keys].set(previous_count + 1),
            )
            return Visits(episode, count, current_episode), previous_count + 1

        visits, counts = jax.lax.scan(step, state, (rollout.first, self.key_of(rollout, self.slots)))
        return visits, _of_count(counts, self.form), {}
