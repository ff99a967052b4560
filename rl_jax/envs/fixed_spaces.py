"""What tasks share that have no parameters."""

from rl_jax.spaces import ObsSpace, Space
from rl_jax.types import PyTree


class FixedSpaces:
    """The members of an :class:`~rl_jax.types.Environment` without parameters or a time limit, whose spaces are fields."""

    obs_space: ObsSpace
    act_space: Space

    @property
    def default_params(self) -> PyTree:
        return ()

    @property
    def time_limit(self) -> int | None:
        return None

    def observation_space(self, params: PyTree) -> ObsSpace:
        return self.obs_space

    def action_space(self, params: PyTree) -> Space:
        return self.act_space
