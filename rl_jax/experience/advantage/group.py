"""Advantages of whole episodes among others that began alike: no values are learned."""

from typing import Annotated, Any, Literal

import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_argument, check_numbers
from rl_jax.errors import RLJaxError
from rl_jax.experience.transform import Transform
from rl_jax.ops.groups import group_alike, group_mean, group_std, leave_one_out
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Range

#: What is subtracted from an outcome.
Baseline = Literal["mean", "leave-one-out"]
#: What the difference is divided by.
Scale = Literal["std", "none"]


def check_whole(spec: Spec, what: str) -> None:
    """Refuse rollouts whose columns are no whole episodes.

    Raises:
        RLJaxError: with how to ask for them.
    """
    if not spec.whole:
        raise RLJaxError(f"{what} looks at whole episodes: give whole=True to rl_jax.Trainer.create")


def check_groups(spec: Spec, what: str, size: Any, least: int = 2) -> None:
    """Refuse columns that are no groups of ``size`` whole episodes, or begin in groups of another size where the level says of which.

    Raises:
        RLJaxError: with what to give.
    """
    check_whole(spec, what)
    check_argument(f"{what}'{'' if what.endswith('s') else 's'} size", size, Annotated[int, Range(least, 1_000_000)])
    if (envs := spec.num_envs // spec.rounds) % size:
        raise RLJaxError(f"{what}: {envs} environments are no groups of {size}: let the size divide their number")
    begun = getattr(getattr(spec.rollout, "level", None), "size", size)
    if isinstance(begun, int) and begun % size:
        raise RLJaxError(
            f"{what} compares {size} columns, and Prompts begins {begun} alike: give both one size, such as Prompts(env, {size})"
        )


@struct.dataclass
class GroupAdvantage(Transform):
    """Adds ``advantage``, ``outcome`` and ``pass_rate`` ``[T, N]`` to ``extras``; each is the same at all steps of an episode.

    The outcome is the sum of an episode's rewards ``r_i``, the advantage ``(r_i - b_i) / s_i`` over its group of ``size`` neighbouring
    columns, which must have begun alike (:class:`~rl_jax.curricula.prompts.Prompts`):

    - ``baseline="mean"``, ``scale="std"``: GRPO (Shao et al. 2024, "DeepSeekMath", section 4.1.2), ``b`` the group's mean and ``s`` its
      standard deviation (of ``G - 1``, plus 1e-6, as in published code);
    - ``baseline="mean"``, ``scale="none"``: Dr. GRPO (Liu et al. 2025, "Understanding R1-Zero-Like Training");
    - ``baseline="leave-one-out"``, ``scale="none"``: RLOO (Ahmadian et al. 2024, "Back to Basics", eq. 8), ``b_i`` the mean of the
      others.

    ``pass_rate`` is the group's mean outcome.

    Attributes:
        size: ``G``.
        baseline, scale: as above.
        epsilon: added to the standard deviation.
    """

    size: int = struct.field(pytree_node=False, default=8)
    baseline: Baseline = struct.field(pytree_node=False, default="mean")
    scale: Scale = struct.field(pytree_node=False, default="std")
    epsilon: Any = 1e-6

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_groups(spec, "group_advantage", self.size)
        check_numbers("group_advantage's", self, baseline=Baseline, scale=Scale)
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        outcome = jnp.sum(rollout.reward, axis=0)  # what the environment pays while it writes itself counts too
        rate = group_mean(outcome, self.size)
        baseline = rate if self.baseline == "mean" else leave_one_out(outcome, self.size)
        advantage, alike = outcome - baseline, group_alike(outcome, self.size)
        if self.scale == "std":
            advantage = advantage / (group_std(outcome, self.size) + self.epsilon)
        advantage = jnp.where(alike, 0.0, advantage)  # rounding over an epsilon would be an advantage
        metrics = {"group/outcome": jnp.mean(outcome), "group/mixed": jnp.mean(1.0 - alike.astype(jnp.float32))}
        everywhere = {
            name: jnp.broadcast_to(x, rollout.reward.shape)
            for name, x in (("advantage", advantage), ("outcome", outcome), ("pass_rate", rate))
        }
        return state, rollout.with_extras(**everywhere), metrics


def group_advantage(size: int = 8, baseline: Baseline = "mean", scale: Scale = "std", epsilon: Any = 1e-6) -> GroupAdvantage:
    """Advantages among episodes that began alike; see :class:`GroupAdvantage`."""
    return GroupAdvantage(size, baseline, scale, epsilon)
