"""The two curricula that do not adapt: one task, and a uniform draw from a batch of tasks."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.errors import RLJaxError
from rl_jax.types import Context, Environment, Key, Metrics, PyTree, Rollout, Spec, Start


@struct.dataclass
class FixedTask:
    """Every episode starts in the same task ``task`` (the environment's ``params``), from a fresh reset."""

    env: Environment = struct.field(pytree_node=False)
    task: PyTree = ()

    def init(self, key: Key, spec: Spec) -> PyTree:
        del key, spec
        return ()

    def start(self, state: PyTree, key: Key, index: jax.Array) -> Start:
        """A fresh reset in ``task``."""
        env_state, obs = self.env.reset(key, self.task)
        return Start((), env_state, obs)

    def params(self, state: PyTree, level: PyTree) -> PyTree:
        """The one task, the same object for every environment: it is not copied ``N`` times."""
        return self.task

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Metrics]:
        return state, {}


@struct.dataclass
class TaskSet:
    """Each episode draws one of ``K`` tasks uniformly; the level is its index, ``int32``.

    Attributes:
        tasks: the environment's ``params`` with a leading axis ``[K]`` on every leaf; anything else is refused at the start.
    """

    env: Environment = struct.field(pytree_node=False)
    tasks: PyTree = ()

    def init(self, key: Key, spec: Spec) -> PyTree:
        del key, spec
        return ()

    def _count(self) -> int:
        counts = {str(jnp.shape(leaf)[0]) if jnp.ndim(leaf) else "no tasks" for leaf in jax.tree.leaves(self.tasks)}
        if len(counts) != 1 or counts & {"no tasks", "0"}:
            raise RLJaxError(
                f"the tasks of a TaskSet need one leading axis [K] on every leaf, and theirs say "
                f"{', '.join(sorted(counts)) or 'nothing'}: stack the params, jax.tree.map(lambda *x: jnp.stack(x), first, second)"
            )
        return int(counts.pop())

    def start(self, state: PyTree, key: Key, index: jax.Array) -> Start:
        """Draw a task, then reset in it."""
        key_task, key_reset = jax.random.split(key)
        level = jax.random.randint(key_task, (), 0, self._count())
        env_state, obs = self.env.reset(key_reset, self.params(state, level))
        return Start(level, env_state, obs)

    def params(self, state: PyTree, level: Any) -> PyTree:
        """The task of an episode, by its index."""
        return jax.tree.map(lambda leaf: leaf[level], self.tasks)

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Metrics]:
        return state, {}
