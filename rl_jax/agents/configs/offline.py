"""Numbers of agents that learn from recorded experience."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import rl_jax as rl
from rl_jax.agents.configs.actor_critic import SACConfig
from rl_jax.agents.configs.base import AgentConfig, OptimizerName
from rl_jax.errors import RLJaxError
from rl_jax.values import Count, NotNegative, Positive, Range, Share, Widths


@dataclass(frozen=True)
class OfflineConfig(AgentConfig):
    """An agent that learns from a data set alone. ``--steps`` counts learning steps. Subclasses add the agent and its numbers.

    Where a default is not the paper's, the field says so; most such are for small tasks.

    Class attributes:
        DATA: the agent learns from recorded experience, which :meth:`trainer` is given.
    """

    RUN = frozenset({"batch_size", "standardize", "updates"})
    DATA = True

    batch_size: Count = 256
    """Transitions per learning step (ReBRAC: 1024)."""
    learning_rate: Positive = 3e-4
    """Step size of all networks (ReBRAC: 1e-3)."""
    optimizer: OptimizerName = "adam"
    """What makes steps of gradients."""
    hidden: Widths = (64, 64)
    """Widths of the hidden layers (IQL, TD3+BC, CQL: 256 256; ReBRAC: three of 256; small tasks need no more than this)."""
    activation: Literal["tanh", "relu", "silu", "gelu"] = "relu"
    """Activation of the hidden layers."""
    torso_dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of the hidden layers' arithmetic; parameters, heads and losses stay float32."""
    standardize: bool = False
    """Show observations less the data's mean, in units of their deviation (TD3+BC: yes)."""
    updates: Count = 10
    """Learning steps of one train step: rows, evaluations and checkpoints fall on its multiples."""

    def layers(self) -> dict[str, Any]:
        """What all functions that make networks are told about the hidden layers."""
        return {"hidden": self.hidden, "activation": self.activation, "dtype": self.torso_dtype}

    def transforms(self) -> tuple[Any, ...]:
        """What drawn batches become."""
        return ()

    def length(self) -> int:
        """Steps of the trajectories that are drawn."""
        return 1

    def replay(self, env: "rl.types.Environment", data: "rl.data.Dataset") -> "rl.replay.Offline":
        """What is drawn from a data set."""
        return rl.replay.Offline(data, rl.chain(*self.transforms()), self.batch_size, self.length())

    def trainer(self, env: "rl.types.Environment", data: "rl.data.Dataset | None" = None, **options: Any) -> "rl.Trainer":
        """The whole run on a data set; ``options`` are further arguments of :meth:`rl_jax.Trainer.create`.

        Raises:
            RLJaxError: there is no data set.
        """
        self.check()
        data, experience = given(self, data), None
        if self.standardize:
            from rl_jax.experience.scaling.standardize import standardize

            data, experience = standardize(data)
        return rl.Trainer.create(
            env=env,
            agent=self.agent(),
            experience=experience,
            replay=self.replay(env, data),
            updates=rl.loop.Constant(self.updates),
            **options,
        )


def given(config: AgentConfig, data: Any) -> Any:
    """The data set of an agent that needs one.

    Raises:
        RLJaxError: there is none.
    """
    if data is None:
        kind = type(config).__name__
        raise RLJaxError(f"{kind} learns from recorded experience: give .trainer(env, data=rl_jax.data.load(FOLDER))")
    return data


@dataclass(frozen=True)
class BCConfig(OfflineConfig):
    """Behavioural cloning (Pomerleau 1989) as one flat list of numbers."""

    squared: bool = True
    """In a box, the squared error of the action, and not its likelihood."""

    def agent(self) -> "rl.agents.offline.Clone":
        """The agent alone."""
        return rl.agents.offline.bc(config=self)


@dataclass(frozen=True)
class OfflineValueConfig(OfflineConfig):
    """An agent that learns values from a data set alone."""

    RUN = OfflineConfig.RUN | {"gamma"}

    gamma: Share = 0.99
    """Discount per step."""
    tau: Share = 0.005
    """Share of the way that slow copies move when they do."""

    def transforms(self) -> tuple[Any, ...]:
        """Targets of one step."""
        return (rl.replay.n_step(1, self.gamma),)


@dataclass(frozen=True)
class TD3BCConfig(OfflineValueConfig):
    """TD3+BC (Fujimoto & Gu 2021) as one flat list of numbers."""

    alpha: Positive = 2.5
    """Weight of the value against the distance from the data's action."""
    target_noise: NotNegative = 0.2
    """Standard deviation of the noise on the target's action."""
    target_noise_clip: NotNegative = 0.5
    """Bound of that noise."""
    policy_delay: Count = 2
    """Learning steps of the critics for one of the policy."""
    standardize: bool = True
    """Show observations less the data's mean, in units of their deviation."""

    def agent(self) -> "rl.agents.DeterministicActorCritic":
        """The agent alone."""
        return rl.agents.offline.td3_bc(config=self)


@dataclass(frozen=True)
class ReBRACConfig(OfflineValueConfig):
    """ReBRAC (Tarasov et al. 2023) as one flat list of numbers."""

    beta_actor: NotNegative = 0.1
    """Weight of the squared distance from the data's action in the policy's loss (the paper: 0.001 to 1, by task)."""
    beta_critic: NotNegative = 0.1
    """Weight of the squared distance from the data's next action in targets (the paper: 0 to 0.5, by task)."""
    learning_rate: Positive = 1e-3
    """Step size of all networks."""
    target_noise: NotNegative = 0.2
    """Standard deviation of the noise on the target's action."""
    target_noise_clip: NotNegative = 0.5
    """Bound of that noise."""
    policy_delay: Count = 2
    """Learning steps of the critics for one of the policy."""

    def transforms(self) -> tuple[Any, ...]:
        """Targets of one step, and the data's next action."""
        return *super().transforms(), rl.replay.NextAction()

    def length(self) -> int:
        """Two steps: the second one has the next action."""
        return 2

    def agent(self) -> "rl.agents.DeterministicActorCritic":
        """The agent alone."""
        return rl.agents.offline.rebrac(config=self)


@dataclass(frozen=True)
class IQLConfig(OfflineValueConfig):
    """IQL (Kostrikov et al. 2021) as one flat list of numbers."""

    expectile: Share = 0.7
    """Which expectile of Q a state's value is: 0.5 values the behaviour, towards 1 the best of its actions."""
    beta: NotNegative = 3.0
    """How much better actions are cloned more (the paper's inverse temperature)."""

    def agent(self) -> "rl.agents.offline.ImplicitQ":
        """The agent alone."""
        return rl.agents.offline.iql(config=self)


@dataclass(frozen=True)
class CQLConfig(OfflineValueConfig):
    """CQL(H) with a fixed weight (Kumar et al. 2020) as one flat list of numbers."""

    conservative: NotNegative = 5.0
    """How strongly values of actions that are not in the data are pressed down (the paper's alpha: 5 or 10)."""
    samples: Annotated[int, Range(1, 1000)] = 10
    """Actions of each of the three kinds that estimate the soft maximum in a box."""

    def agent(self) -> "rl.agents.SoftActorCritic":
        """The agent alone."""
        return rl.agents.offline.cql(config=self)


@dataclass(frozen=True)
class RLPDConfig(SACConfig):
    """RLPD (Ball et al. 2023) as one flat list of numbers: soft actor-critic on half recorded, half collected batches."""

    DATA = True
    RUN = SACConfig.RUN | {"data_share"}

    updates_per_step: Annotated[int | float, Range(1e-6, 9999)] = 4
    """Learning steps per environment step (the paper: 20)."""
    members: Annotated[int, Range(2, 1000)] = 10
    """Critics."""
    subset: Annotated[int, Range(1, 1000)] = 2
    """How many of them, drawn anew each time, a target takes the smallest of (the paper: 1 or 2, by task)."""
    entropy_backup: bool = True
    """Whether targets have the entropy of the next action."""
    data_share: Annotated[float, Range(0.01, 0.99)] = 0.5
    """Share of a batch that is recorded."""

    def check(self) -> None:
        """Refuse numbers that cannot be.

        Raises:
            RLJaxError: with the option's name and the values it takes.
        """
        super().check()
        if self.subset > self.members:
            raise RLJaxError(f"--subset {self.subset} of --members {self.members} critics: use at most as many")

    def agent(self) -> "rl.agents.SoftActorCritic":
        """The agent alone."""
        return rl.agents.offline.rlpd(config=self)

    def trainer(self, env: "rl.types.Environment", data: "rl.data.Dataset | None" = None, **options: Any) -> "rl.Trainer":
        """The whole run beside a data set; ``options`` are further arguments of :meth:`rl_jax.Trainer.create`."""
        self.check()
        recorded = min(max(round(self.data_share * self.batch_size), 1), self.batch_size - 1)
        collected = rl.replay.Buffer(
            transforms=rl.chain(rl.replay.n_step(self.n_step, self.gamma)),
            capacity=self.buffer_size,
            batch_size=self.batch_size - recorded,
            length=self.n_step,
        )
        offline = rl.replay.Offline(given(self, data), collected.transforms, recorded, self.n_step)
        return rl.Trainer.create(
            env=env,
            agent=self.agent(),
            replay=rl.replay.Mixed((collected, offline)),
            updates=rl.loop.PerStep(self.updates_per_step, self.learning_starts),
            num_envs=self.num_envs,
            rollout_length=self.rollout_length,
            **options,
        )
