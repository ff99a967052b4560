"""A sampler of complete episodes."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.data.marks import MARK
from rl_jax.ops import SumTree
from rl_jax.replay.ring import Added, Layout, Ring, row_of_age
from rl_jax.replay.samplers import Draw
from rl_jax.types import Context, PyTree, Rollout


@struct.dataclass
class Ended:
    """The episodes that ended last, episode ``e`` of an environment in row ``e % F``, where its final observation is too.

    Attributes:
        age: ``[F, N]``, how many steps ago the last step was made; the newest step's age is 1. Counts no further than the ring.
        length: ``[F, N]``, steps of the episode; 0 if there is none.
        running: ``[N]``, steps so far of the episodes that have not ended.
    """

    age: jax.Array
    length: jax.Array
    running: jax.Array


@struct.dataclass
class Episodes:
    """Finished episodes, each with equal probability, of those that are complete in the ring and fit into a trajectory.

    A trajectory then is one episode from its first step to its last, and its mask tells where it ends. Episodes longer than the
    buffer's ``length`` are never drawn. They may begin anywhere: ``period`` does not matter, since an agent's memory is empty
    where an episode begins. A draw looks at all kept episodes, whose number is the ring's ``final_rows`` times ``N`` at most.
    """

    certain = False

    def init(self, layout: Layout) -> Ended:
        kept = (layout.final_rows, layout.num_envs)
        return Ended(jnp.zeros(kept, jnp.int32), jnp.zeros(kept, jnp.int32), jnp.zeros((layout.num_envs,), jnp.int32))

    def add(self, state: Ended, ring: Ring, layout: Layout, before: Added, rollout: Rollout, context: Context) -> Ended:
        """Note which episodes ended, and how long they were."""
        steps, envs = layout.rollout_length, layout.num_envs
        time = jnp.arange(steps, dtype=jnp.int32)[:, None]
        episode_start = jax.lax.cummax(jnp.where(rollout.first, time, -1), axis=0)
        length = jnp.where(episode_start < 0, state.running + 1, 1 - episode_start) + time
        episode = jax.lax.dynamic_slice_in_dim(ring.marks, before.head, steps) // MARK
        slot = jnp.where(rollout.done, episode % layout.final_rows, layout.final_rows)

        def note(store: jax.Array, values: Any) -> jax.Array:
            return store.at[slot, jnp.arange(envs)].set(values, mode="drop")

        age = jnp.minimum(state.age + steps, layout.rows)
        # An episode longer than the ring is never drawn, however long.
        running = jnp.minimum(jnp.where(rollout.done[-1], 0, length[-1]), layout.rows)
        return Ended(note(age, steps - time), note(state.length, length), running)

    def _complete(self, state: Ended, ring: Ring, layout: Layout) -> jax.Array:
        fits = (state.length > 0) & (state.length <= layout.length)
        return fits & (state.age + state.length - 1 <= ring.size)

    def ready(self, state: Ended, ring: Ring, layout: Layout) -> jax.Array:
        """As soon as there is an episode to draw."""
        return jnp.any(self._complete(state, ring, layout))

    def draw(self, state: Ended, ring: Ring, layout: Layout, number: int, context: Context) -> Draw:
        """The first steps of ``number`` episodes, with replacement."""
        complete = self._complete(state, ring, layout).reshape(-1)
        # Sums of ones are exact up to 2^24 episodes.
        which = SumTree.of(complete.astype(jnp.float32)).sample(context.key, number)
        age = (state.age + state.length - 1).reshape(-1)[which]
        row = row_of_age(ring, layout, age)
        return Draw(row * layout.num_envs + which % layout.num_envs, None)

    def update(self, state: Ended, indices: jax.Array, priorities: jax.Array) -> PyTree:
        return state
