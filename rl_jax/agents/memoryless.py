"""What agents do alike that remember nothing within an episode."""

from typing import Any

from rl_jax.types import Context, PyTree


class Memoryless:
    """What agents do alike that remember nothing within an episode, change nothing over a run, and whose state has ``params``."""

    def initial_carry(self, num_envs: int) -> PyTree:
        """No memory."""
        return ()

    def prepare(self, state: Any, context: Context) -> Any:
        """Nothing changes over the run."""
        return state

    def refresh(self, state: Any, carry: PyTree) -> PyTree:
        """No memory."""
        return carry

    def params(self, state: Any) -> PyTree:
        """All networks' parameters."""
        return state.params
