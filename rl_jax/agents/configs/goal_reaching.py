"""Numbers of agents that learn to reach goals from recorded experience."""

from dataclasses import dataclass
from typing import Any

import rl_jax as rl
from rl_jax.agents.configs.offline import BCConfig, OfflineConfig
from rl_jax.errors import RLJaxError
from rl_jax.values import Count, NotNegative, Share


def _reached(env: "rl.types.Environment") -> dict[str, Any]:
    """The goal that an observation fulfils, where the environment says so."""
    return {"reached": env.reached} if hasattr(env, "reached") else {}


def _check_plain(config: OfflineConfig) -> None:
    if config.standardize:
        raise RLJaxError("--standardize scales goals and observations apart from each other: leave it out")


@dataclass(frozen=True)
class GCBCConfig(BCConfig):
    """Goal-conditioned behavioural cloning (Ding et al. 2019; Ghosh et al. 2021) as one flat list of numbers."""

    def check(self) -> None:
        """Refuse numbers that cannot be.

        Raises:
            RLJaxError: with the option's name and the values it takes.
        """
        super().check()
        _check_plain(self)

    def replay(self, env: "rl.types.Environment", data: "rl.data.Dataset") -> "rl.replay.Goals":
        """Steps with goals that were reached later."""
        shares = rl.replay.GoalShares(0.0, 1.0, 0.0, geometric=False)
        return rl.replay.Goals(data, batch_size=self.batch_size, shares=shares, **_reached(env))

    def agent(self) -> "rl.agents.offline.Clone":
        """The agent alone."""
        return rl.agents.goals.gc_bc(config=self)


@dataclass(frozen=True)
class GoalValueConfig(OfflineConfig):
    """An agent that learns goal-conditioned values from a data set alone."""

    RUN = OfflineConfig.RUN | {"gamma", "current_goals", "future_goals", "subgoal_steps", "option_steps"}
    NETWORK = OfflineConfig.NETWORK | {"layer_norm"}

    gamma: Share = 0.99
    """Discount per step, and how far ahead future goals are: 1 / (1 - gamma) steps, on average."""
    tau: Share = 0.005
    """Share of the way that slow copies move per learning step."""
    current_goals: Share = 0.2
    """Share of values' goals that are where one is."""
    future_goals: Share = 0.5
    """Share of values' goals that come later in the episode; the rest is anywhere in the data."""
    layer_norm: bool = True
    """Layer normalisation in values and representations."""

    def check(self) -> None:
        """Refuse numbers that cannot be.

        Raises:
            RLJaxError: with the option's name and the values it takes.
        """
        super().check()
        _check_plain(self)
        if self.current_goals + self.future_goals > 1:
            raise RLJaxError(
                f"--current-goals {self.current_goals} and --future-goals {self.future_goals} are more than all goals: let "
                "them sum to 1 at most"
            )

    def replay(self, env: "rl.types.Environment", data: "rl.data.Dataset") -> "rl.replay.Goals":
        """Steps with goals."""
        random = 1.0 - self.current_goals - self.future_goals
        shares = rl.replay.GoalShares(self.current_goals, self.future_goals, random)
        goals = rl.replay.Goals(data, batch_size=self.batch_size, gamma=self.gamma, shares=shares, **_reached(env))
        steps = {"subgoal": "subgoal_steps", "option": "option_steps"}
        return goals.replace(**{name: getattr(self, own) for name, own in steps.items() if hasattr(self, own)})  # type: ignore[attr-defined]


@dataclass(frozen=True)
class GCIVLConfig(GoalValueConfig):
    """GCIVL (Park et al. 2025, OGBench) as one flat list of numbers."""

    expectile: Share = 0.9
    """Which expectile of its targets a value is: 0.5 values the behaviour, towards 1 the shortest way."""
    beta: NotNegative = 10.0
    """How much better actions are cloned more (OGBench's alpha)."""

    def agent(self) -> "rl.agents.goals.ImplicitGoalValue":
        """The agent alone."""
        return rl.agents.goals.gcivl(config=self)


@dataclass(frozen=True)
class HIQLConfig(GoalValueConfig):
    """HIQL (Park et al. 2023) as one flat list of numbers, with OGBench's defaults."""

    expectile: Share = 0.7
    """Which expectile of its targets a value is: 0.5 values the behaviour, towards 1 the shortest way."""
    beta: NotNegative = 3.0
    """How much better actions are cloned more, given a subgoal (OGBench's low alpha)."""
    high_beta: NotNegative = 3.0
    """How much better subgoals are cloned more (OGBench's high alpha)."""
    subgoal_steps: Count = 25
    """Steps to a subgoal."""
    goal_dim: Count = 10
    """Numbers of a subgoal's representation."""

    def agent(self) -> "rl.agents.goals.HierarchicalImplicit":
        """The agent alone."""
        return rl.agents.goals.hiql(config=self)
