"""A reservoir: a uniform sample of everything that was ever added."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience import chain
from rl_jax.ops import random_index
from rl_jax.replay.batches import Plan, check_kept, init_transforms, plan_of, transformed
from rl_jax.types import Context, Key, PyTree, Rollout, Sample, Spec
from rl_jax.values import Count

_HALF = 0xFFFF


def _wide_add(high: jax.Array, low: jax.Array, more: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``high * 2^32 + low + more`` as two ``uint32`` words."""
    total = low + more
    return high + (total < low).astype(jnp.uint32), total


def below(bits: jax.Array, high: jax.Array, low: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Uniform integers below ``n = high * 2^32 + low``, as two words; ``bits`` ``uint32 [..., 2]`` are uniform, high word
    first.

    The upper half of the 128-bit product of ``n`` and a 64-bit random number (Lemire 2019, without its rejection). Every result's
    probability is within ``2^-64`` of ``1 / n``: for the 2^33rd transition an error of one part in 2^31. A ``float32`` times
    ``n`` would reach only 2^24 different numbers.
    """

    def halves(high: jax.Array, low: jax.Array) -> list[jax.Array]:
        return [low & _HALF, low >> 16, high & _HALF, high >> 16]

    # As on paper, with digits of 16 bits, so that a product and two carries fit into 32.
    digits = [jnp.zeros_like(low)] * 8
    for i, x in enumerate(halves(high, low)):
        carry = jnp.zeros_like(low)
        for j, y in enumerate(halves(bits[..., 0], bits[..., 1])):
            total = x * y + digits[i + j] + carry
            digits[i + j], carry = total & _HALF, total >> 16
        digits[i + 4] = carry
    return digits[6] | digits[7] << 16, digits[4] | digits[5] << 16


@struct.dataclass
class ReservoirState:
    """The kept transitions, leaves ``[capacity, ...]``; how many were ever added, two ``uint32`` words; the transforms' state."""

    kept: Rollout
    seen_high: jax.Array
    seen_low: jax.Array
    transforms: PyTree


@struct.dataclass
class Reservoir:
    """Keeps a uniform sample, without replacement, of all transitions of the run, and hands out batches of it.

    Algorithm R of Vitter 1985, "Random sampling with a reservoir": transition number ``i`` takes the place of a random kept one
    with probability ``capacity / i``. The transitions of a rollout count in the order of time, then of environments; where two
    want the same place the later one has it, as if they had come one by one. Old experience is then never forgotten, only
    thinned out, which is what averages over all past policies (Heinrich & Silver 2016, NFSP) or continual learning need.

    Attributes:
        transforms: experience transforms without a state, applied to every drawn batch.
        capacity: transitions to hold.
        batch_size: transitions per batch.
        keep: names of ``extras`` to store.
    """

    transforms: Any = chain()
    capacity: int = struct.field(pytree_node=False, default=1_000_000)
    batch_size: int = struct.field(pytree_node=False, default=256)
    keep: tuple[str, ...] = struct.field(pytree_node=False, default=())

    def plan(self, spec: Spec) -> Plan:
        """Capacity and bytes, known before anything is allocated; ``spec`` is :meth:`rl_jax.Trainer.spec`'s."""
        return plan_of(self.init, spec, self.capacity)

    def _stored(self, rollout: Rollout) -> Rollout:
        """What is kept of a rollout."""
        extras = {name: rollout.extras[name] for name in self.keep}
        return rollout.replace(env_state=(), info={}, extras=extras, start=None, last=None)  # type: ignore[attr-defined]

    def init(self, key: Key, spec: Spec) -> ReservoirState:
        """An empty reservoir.

        Raises:
            RLJaxError: sizes that cannot be, or extras that rollouts do not have.
        """
        check_numbers("a reservoir's", self, capacity=Count, batch_size=Count)
        check_kept("reservoir", self.keep, spec.rollout)
        transforms = init_transforms(self.transforms, key, spec)
        kept = jax.tree.map(lambda x: jnp.zeros((self.capacity, *x.shape[2:]), x.dtype), self._stored(spec.rollout))
        return ReservoirState(kept, jnp.zeros((), jnp.uint32), jnp.zeros((), jnp.uint32), transforms)

    def add(self, state: ReservoirState, rollout: Rollout, context: Context) -> ReservoirState:
        """Offer each of the ``T * N`` transitions to the reservoir, in the order of time, then of environments."""
        new = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), self._stored(rollout))
        items = rollout.reward.size
        number = jnp.arange(items, dtype=jnp.uint32)
        # The number of transitions before each one, and with it.
        before_high, before_low = _wide_add(state.seen_high, state.seen_low, number)
        high, low = _wide_add(before_high, before_low, jnp.uint32(1))
        place_high, place_low = below(jax.random.bits(context.key, (items, 2), jnp.uint32), high, low)
        filling = (before_high == 0) & (before_low < self.capacity)
        accepted = filling | ((place_high == 0) & (place_low < self.capacity))
        place = jnp.where(accepted, jnp.where(filling, before_low, place_low), self.capacity).astype(jnp.int32)
        # In order of place and then of time, the last of each place is the one that stays. Others go to places beyond the end.
        place, item = jax.lax.sort((place, number.astype(jnp.int32)), num_keys=2)
        stays = place != jnp.append(place[1:], self.capacity)
        place = jnp.where(stays, place, self.capacity)

        def write(store: jax.Array, x: jax.Array) -> jax.Array:
            return store.at[place].set(x[item].astype(store.dtype), mode="drop")

        return ReservoirState(jax.tree.map(write, state.kept, new), high[-1], low[-1], state.transforms)

    def ready(self, state: ReservoirState) -> jax.Array:
        """As soon as there is a transition."""
        return (state.seen_high > 0) | (state.seen_low > 0)

    def sample(self, state: ReservoirState, context: Context) -> Sample:
        """A batch ``[1, batch_size, ...]`` of single steps, drawn with replacement, after the transforms."""
        key_draw, key_transforms = jax.random.split(context.key)
        held = jnp.where(state.seen_high > 0, self.capacity, jnp.minimum(state.seen_low, self.capacity))
        index = random_index(key_draw, (self.batch_size,), held)
        batch = jax.tree.map(lambda x: x.at[index].get(mode="promise_in_bounds")[None], state.kept)
        batch = batch.with_extras(mask=jnp.ones((1, self.batch_size), bool))
        return Sample(transformed(self.transforms, state.transforms, batch, context, key_transforms), None, index)

    def update(self, state: ReservoirState, indices: jax.Array | None, priorities: jax.Array | None) -> ReservoirState:
        return state

    def release(self, state: ReservoirState) -> ReservoirState:
        return state
