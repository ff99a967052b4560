"""GC-BC: goal-conditioned behavioural cloning."""

from typing import Any

from rl_jax.agents.configs.base import numbers_of
from rl_jax.agents.configs.goal_reaching import GCBCConfig
from rl_jax.agents.offline.bc import Clone, bc
from rl_jax.networks.build import Maker


def gc_bc(actor: Maker | None = None, *, config: GCBCConfig | None = None, **overrides: Any) -> Clone:
    """Behavioural cloning given a goal that was reached later (Ding et al. 2019; Ghosh et al. 2021, arXiv 1912.06088).

    It is :func:`~rl_jax.agents.offline.bc`; :class:`rl_jax.replay.Goals` makes goals of the data.

    Args:
        actor: a module or a function from :class:`~rl_jax.types.Spec` to one, instead of the usual one.
        config: all numbers; default :class:`~rl_jax.agents.configs.goal_reaching.GCBCConfig` as it is.
        overrides: its fields that shall be others.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(GCBCConfig, config, overrides, actor=actor)
    return bc(actor, config=numbers).replace(name="GC-BC")  # type: ignore[attr-defined]
