"""Samplers: which trajectories of a ring are drawn."""

from typing import Annotated, Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.ops import random_index
from rl_jax.replay.ring import Added, Layout, Ring, row_of_age, starts
from rl_jax.types import Context, PyTree, Rollout
from rl_jax.values import Range


class Draw(NamedTuple):
    """First steps of trajectories ``[B]`` (``row * N + environment``), and importance weights ``[B]`` if they need any."""

    indices: jax.Array
    weights: jax.Array | None


@runtime_checkable
class Sampler(Protocol):
    """Chooses first steps among those whose trajectories are complete: see :func:`rl_jax.replay.ring.starts`.

    ``certain``: whether ``ready`` follows from the number of steps added alone, and not from what they hold.
    """

    @property
    def certain(self) -> bool: ...

    def init(self, layout: Layout) -> PyTree: ...

    def add(self, state: PyTree, ring: Ring, layout: Layout, before: Added, rollout: Rollout, context: Context) -> PyTree:
        """After ``rollout`` was written: ``ring`` as it is, ``before`` where its head and size were."""
        ...

    def ready(self, state: PyTree, ring: Ring, layout: Layout) -> jax.Array: ...

    def draw(self, state: PyTree, ring: Ring, layout: Layout, number: int, context: Context) -> Draw: ...

    def update(self, state: PyTree, indices: jax.Array, priorities: jax.Array) -> PyTree: ...


class Stateless:
    """Defaults for samplers that keep nothing."""

    certain = True

    def init(self, layout: Layout) -> PyTree:
        return ()

    def add(self, state: PyTree, ring: Ring, layout: Layout, before: Added, rollout: Rollout, context: Context) -> PyTree:
        return state

    def ready(self, state: PyTree, ring: Ring, layout: Layout) -> jax.Array:
        """As soon as one trajectory is complete."""
        return starts(ring, layout)[1] > 0

    def update(self, state: PyTree, indices: jax.Array, priorities: jax.Array) -> PyTree:
        return state


@struct.dataclass
class Uniform(Stateless):
    """Every complete trajectory with equal probability, with replacement."""

    def draw(self, state: PyTree, ring: Ring, layout: Layout, number: int, context: Context) -> Draw:
        """``number`` first steps, unweighted."""
        youngest, count = starts(ring, layout)
        which = random_index(context.key, (number,), count * layout.num_envs)
        row = row_of_age(ring, layout, youngest + which // layout.num_envs * layout.period)
        return Draw(row * layout.num_envs + which % layout.num_envs, None)


@struct.dataclass
class Recent(Stateless):
    """Newer trajectories more often: the probability falls by ``decay`` from each possible first row to the next older one.

    Attributes:
        decay: above 0 and up to 1, which is uniform.
    """

    decay: Any = 0.999

    def init(self, layout: Layout) -> PyTree:
        """No state.

        Raises:
            RLJaxError: the decay is out of range.
        """
        check_numbers("Recent's", self, decay=Annotated[float, Range(1e-30, 1)])
        return ()

    def draw(self, state: PyTree, ring: Ring, layout: Layout, number: int, context: Context) -> Draw:
        """``number`` first steps; their ages follow a geometric distribution, cut at the oldest row."""
        key_age, key_env = jax.random.split(context.key)
        youngest, count = starts(ring, layout)
        log_decay = jnp.log(jnp.asarray(self.decay, jnp.float32))
        # Inverse of the distribution function 1 - decay^k, scaled to end at `count`; expm1 and log1p keep it exact near 1.
        u = jax.random.uniform(key_age, (number,), jnp.float32)
        falling = jnp.log1p(u * jnp.expm1(count * log_decay)) / log_decay
        k = jnp.floor(jnp.where(log_decay < 0, falling, u * count)).astype(jnp.int32)
        row = row_of_age(ring, layout, youngest + jnp.clip(k, 0, jnp.maximum(count - 1, 0)) * layout.period)
        return Draw(row * layout.num_envs + random_index(key_env, (number,), layout.num_envs), None)
