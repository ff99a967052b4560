"""A transformer as a memory: causal attention over a cache of keys and values of fixed length."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from rl_jax.errors import RLJaxError
from rl_jax.networks.memory.aligned import AlignedCache, empty_cache, look_at_rollout, whole_only
from rl_jax.networks.memory.attention import Look, attend, rotate
from rl_jax.networks.torsos import Dense, LayerNorm


class Cache(NamedTuple):
    """What a transformer remembers: a ring of the last ``L`` steps of the running episode.

    ``keys`` and ``values`` ``[N, layers, heads, L, D]``: step ``t`` of an episode lies at ``t % L``, its key already rotated.
    ``time`` ``int32 [N]``: steps of the episode so far. Entries that no step was written to are masked.
    """

    keys: jax.Array
    values: jax.Array
    time: jax.Array


def write(ring: jax.Array, new: jax.Array, last: jax.Array) -> jax.Array:
    """Put the newest steps of the running episode into a ring.

    Args:
        ring: ``[N, layers, heads, L, D]``.
        new: ``[N, layers, heads, T, D]``, one item per step.
        last: ``int32 [N]``, the place of the newest in its episode.
    """
    length, steps = ring.shape[3], new.shape[3]
    if steps == 1:
        return ring.at[jnp.arange(len(ring), dtype=jnp.int32), :, :, last % length].set(new[:, :, :, 0])
    age = (last[:, None] - jnp.arange(length, dtype=jnp.int32)) % length  # how many steps ago each slot was last written
    index = jnp.maximum(steps - 1 - age, 0)[:, None, None, :, None]
    fresh = (age < steps) & (age <= last[:, None])
    return jnp.where(fresh[:, None, None, :, None], jnp.take_along_axis(new, index, axis=3), ring)


class Block(nn.Module):
    """Attention, then two layers of which the inner is four times as wide; each after a normalisation, added to what came in."""

    heads: int
    sink: bool
    scale: float

    @nn.compact
    def __call__(self, x: jax.Array, place: jax.Array, look: Look) -> tuple[jax.Array, jax.Array, jax.Array]:
        """``x`` ``[N, T, width]`` at positions ``int32 [N, T]``; returns ``x``, and what ``look`` remembers."""
        envs, steps, width = x.shape
        mixed = Dense(3 * width, 1.0, name="mix")(LayerNorm()(x)).reshape(envs, steps, 3, self.heads, -1)
        query, key, value = jnp.moveaxis(mixed, (2, 3), (0, 2))
        query, key = rotate(query, place), rotate(key, place)
        sink = None
        if self.sink:
            shape = (self.heads, width // self.heads)
            zeros = nn.initializers.zeros
            sink = self.param("sink_key", zeros, shape, jnp.float32), self.param("sink_value", zeros, shape, jnp.float32)
        attended, key, value = look(query, key, value, sink)
        x = x + Dense(width, self.scale, name="out")(jnp.moveaxis(attended, 1, 2).reshape(envs, steps, width))
        inner = nn.gelu(Dense(4 * width, name="wide")(LayerNorm()(x)))
        return x + Dense(width, self.scale, name="narrow")(inner), key, value


class Transformer(nn.Module):
    """A transformer with pre-norm blocks, in place of :class:`~rl_jax.networks.memory.recurrent.GRU`.

    Each step attends to itself and to the ``length - 1`` steps of its episode before it. The cache is a ring: an episode of at
    most ``length`` steps is seen completely, of a longer one the last ``length``; deeper layers know indirectly of what fell out.
    Acting step by step and learning from complete trajectories give the same outputs.

    Positions are rotary and count from the beginning of the episode, so they are relative, and there is no longest one. ReLIC has
    two indices, one within the inner episode (learned) and the inner episode's (rotary); here there is one, and that an inner
    episode began must be seen in the observation, as :class:`rl_jax.envs.Trial` shows it.

    The memory is ``2 * layers * length * width`` floats per environment, all read in every step. A loop keeps it once per
    rollout, as long as nobody reads ``rollout.carry``.

    Attributes:
        width: of the features, in and between the blocks.
        length: ``L``.
        layers, heads: blocks, and heads of each.
        sink: ``"kv"``: a learned key and value per head, zero at first, that every step sees; ``"none"``: plain softmax.
        aligned: every rollout is one whole episode per column (``rl_jax.Trainer.create(..., whole=True)``) of at most ``length``
            steps, so that all columns are at one position. Parameters and outputs are the same, in fewer operations. An episode
            that begins within a rollout cannot be refused while a program is compiled: acting step by step takes it for the
            running one, and learning returns NaN for its column, which ends the run.
    """

    width: int = 64
    length: int = 256
    layers: int = 2
    heads: int = 2
    sink: Literal["none", "kv"] = "none"
    aligned: bool = False

    @nn.nowrap
    def initial_carry(self, num_envs: int) -> Cache | AlignedCache:
        """An empty cache.

        Raises:
            RLJaxError: sizes that cannot be.
        """
        if self.width % (2 * self.heads):
            nearest = max(1, round(self.width / (2 * self.heads))) * 2 * self.heads
            raise RLJaxError(
                f"a transformer's width must be a multiple of twice its {self.heads} heads, not {self.width}: use --memory-width "
                f"{nearest}, or other --memory-heads"
            )
        if self.length < 1 or self.layers < 1:
            raise RLJaxError(f"a transformer has at least one layer and one step, not {self.layers} and {self.length}")
        if self.sink not in ("none", "kv"):
            raise RLJaxError(f"the sink of a transformer is 'none' or 'kv', not {self.sink!r}")
        if self.aligned:
            return empty_cache(num_envs, self.layers, self.heads, self.length, self.width // self.heads)
        empty = jnp.zeros((num_envs, self.layers, self.heads, self.length, self.width // self.heads), jnp.float32)
        return Cache(empty, empty, jnp.zeros((num_envs,), jnp.int32))

    @nn.compact
    def __call__(self, carry: Cache | AlignedCache, x: jax.Array, first: jax.Array) -> tuple[Cache | AlignedCache, jax.Array]:
        """Run over time.

        Args:
            carry: memory before the first step, leading axis ``[N]``. If ``aligned``, several steps are a whole rollout, and begin
                with an empty one.
            x: features ``[T, N, features]``.
            first: ``[T, N]``, where an episode begins; nothing before it is seen.

        Returns:
            The memory after the last step, and features ``[T, N, width]``.

        Raises:
            RLJaxError: ``aligned``, and more steps than ``length``.
        """
        if isinstance(carry, AlignedCache):
            place, looks = look_at_rollout(carry, first, self.length)
            x, keys, values = self._blocks(x, place, looks)
            time = jnp.full_like(carry.time, place[0, -1] + 1)
            return AlignedCache(tuple(keys), tuple(values), time), whole_only(x, first)
        place, visible = _sight(carry.time, first.T, self.length)

        def look_at_ring(layer: int) -> Look:
            old_keys, old_values = carry.keys[:, layer], carry.values[:, layer]
            return lambda query, key, value, sink: (
                attend(query, (old_keys, key), (old_values, value), visible, sink),
                key,
                value,
            )

        x, keys, values = self._blocks(x, place, [look_at_ring(layer) for layer in range(self.layers)])
        last = place[:, -1]
        next_carry = Cache(
            write(carry.keys, jnp.stack(keys, axis=1), last), write(carry.values, jnp.stack(values, axis=1), last), last + 1
        )
        return next_carry, x

    def _blocks(
        self, x: jax.Array, place: jax.Array, looks: Sequence[Look]
    ) -> tuple[jax.Array, list[jax.Array], list[jax.Array]]:
        """Features ``[T, N, width]``, and what each layer's ``look`` remembers."""
        x = jnp.swapaxes(Dense(self.width, 1.0, name="embed")(x), 0, 1)
        keys, values = [], []
        for layer, look in enumerate(looks):
            block = Block(self.heads, self.sink == "kv", 1.0 / math.sqrt(2 * self.layers), name=f"block_{layer}")
            x, key, value = block(x, place, look)
            keys.append(key)
            values.append(value)
        return jnp.swapaxes(LayerNorm()(x), 0, 1), keys, values


def _sight(time: jax.Array, first: jax.Array, length: int) -> tuple[jax.Array, jax.Array]:
    """Each step's place in its episode ``int32 [N, T]``, and what it may look at: the ring, then the steps; ``[N, T, L + T]``."""
    time, steps = time[:, None], first.shape[1]
    step = jnp.arange(steps, dtype=jnp.int32)
    episode_start = jax.lax.cummax(
        jnp.where(first, step, -1), axis=1
    )  # the step at which the running episode began; -1: before
    place = jnp.where(episode_start < 0, time + step, step - episode_start)
    held = time - 1 - (time - 1 - jnp.arange(length, dtype=jnp.int32)) % length  # the place of what lies in each slot
    oldest = place[:, :, None] - length
    ring = (episode_start < 0)[:, :, None] & (held >= 0)[:, None, :] & (held[:, None, :] > oldest)
    ago = step[:, None] - step[None, :]
    among = (ago >= 0) & (ago < length) & (episode_start[:, :, None] == episode_start[:, None, :])
    return place, jnp.concatenate([ring, among], axis=2)
