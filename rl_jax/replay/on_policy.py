"""The replay of on-policy agents: it hands back the rollout just collected."""

from flax import struct

from rl_jax.types import Context, Key, PyTree, Rollout, Sample, Spec


@struct.dataclass
class OnPolicy:
    """Keeps nothing between train steps; ``add`` returns the rollout itself as the state, ``sample`` returns all of it."""

    def init(self, key: Key, spec: Spec) -> PyTree:
        del key, spec
        return ()

    def add(self, state: PyTree, rollout: Rollout, context: Context) -> PyTree:
        """Hold the rollout for the rest of this train step."""
        del state, context
        return rollout

    def ready(self, state: PyTree) -> bool:
        del state
        return True

    def sample(self, state: PyTree, context: Context) -> Sample:
        """The rollout ``[T, N, ...]``, unweighted."""
        del context
        return Sample(state, None, None)

    def update(self, state: PyTree, indices: object, priorities: object) -> PyTree:
        del indices, priorities
        return state

    def release(self, state: PyTree) -> PyTree:
        """Let the rollout go at the end of the train step, so that it is never carried or saved."""
        del state
        return ()
