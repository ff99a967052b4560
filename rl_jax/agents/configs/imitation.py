"""Numbers of GAIL and DAC: agents that are paid by a discriminator between an expert's steps and their own."""

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

import rl_jax as rl
import rl_jax.agents.imitation
import rl_jax.rewards
from rl_jax.agents.configs.actor_critic import TD3Config
from rl_jax.agents.configs.base import AgentConfig
from rl_jax.agents.configs.offline import given
from rl_jax.agents.configs.on_policy import PPOConfig
from rl_jax.values import Count, NotNegative, Positive, Range, Widths

RewardForm = Literal["gail", "airl", "probability"]
#: Fields that are of the discriminator.
DISCRIMINATOR = frozenset(
    {
        *("discriminator_learning_rate", "discriminator_hidden", "discriminator_activation", "gradient_penalty"),
        *("penalty_norm", "penalty_sides", "spectral_norm", "reward_form"),
    }
)


@dataclass(frozen=True)
class DiscriminatorNumbers(AgentConfig):
    """What agents that are paid by a discriminator share. It learns from a data set, which ``trainer`` is given."""

    DATA = True

    discriminator_learning_rate: Positive = 1e-3
    """Step size of the discriminator."""
    discriminator_hidden: Widths = (64, 64)
    """Widths of its hidden layers (GAIL: 100 100; DAC: 256 256)."""
    discriminator_activation: Literal["tanh", "relu", "silu", "gelu"] = "tanh"
    """Their activation."""
    gradient_penalty: NotNegative = 10.0
    """Weight of the penalty on its gradient between the expert's and the learner's steps (GAIL: none; DAC: 10)."""
    penalty_norm: NotNegative = 1.0
    """Norm of the gradient that the penalty asks for."""
    penalty_sides: Literal["two", "one"] = "two"
    """Whether gradients below that norm are penalised too (two), or those above it alone (one)."""
    spectral_norm: bool = False
    """Divide the kernels of its hidden layers by their largest singular values."""
    reward_form: RewardForm = "gail"
    """The reward of its probability D: -log(1 - D), log D - log(1 - D), or D."""

    def reward_model(self, data: Any, absorbing: Any = None) -> "rl.rewards.Discriminator":
        """The discriminator against an expert's data set; ``absorbing``: the discount, if absorbing states are wanted."""
        network = rl.rewards.DiscriminatorNetwork(self.discriminator_hidden, self.discriminator_activation, self.spectral_norm)
        return rl.rewards.Discriminator(
            expert=data,
            learning_rate=self.discriminator_learning_rate,
            divergence=rl.rewards.Logistic(),
            penalty=rl.rewards.GradientPenalty(self.gradient_penalty, self.penalty_norm, self.penalty_sides == "one"),
            absorbing=absorbing,
            form=self.reward_form,
            network=network,
        )

    def of(self, kind: type[AgentConfig]) -> dict[str, Any]:
        """The fields that another configuration has too."""
        return {field.name: getattr(self, field.name) for field in fields(kind)}


@dataclass(frozen=True)
class GAILConfig(DiscriminatorNumbers, PPOConfig):
    """GAIL (Ho & Ermon 2016), with PPO in TRPO's place, as one flat list of numbers."""

    RUN = PPOConfig.RUN | DISCRIMINATOR | {"discriminator_steps", "discriminator_batch_size"}

    gradient_penalty: NotNegative = 0.1
    """Weight of the penalty on its gradient (the paper: none; with DAC's 10 it hardly tells what is done in which state)."""
    discriminator_steps: Annotated[int, Range(1, 100_000)] = 8
    """Learning steps of the discriminator for each rollout (the paper's code: 1, on all of it)."""
    discriminator_batch_size: Count = 256
    """Steps of the rollout, and of the expert, in each of these."""

    def chain(self, data: Any) -> "rl.experience.Chain":
        """What it learns from: the discriminator's rewards, then as PPO."""
        from rl_jax.experience.learned_reward import learned_reward

        model, steps, size = self.reward_model(data), self.discriminator_steps, self.discriminator_batch_size
        return rl.chain(learned_reward(model, steps=steps, batch_size=size), self.experience())

    def agent(self) -> "rl.agents.PolicyGradient":
        """The agent alone."""
        return rl.agents.imitation.gail(config=self)

    def trainer(self, env: "rl.types.Environment", data: Any = None, **options: Any) -> "rl.Trainer":
        """The whole run against the expert's ``data``; ``options`` are further arguments of :meth:`rl_jax.Trainer.create`."""
        self.check()
        return rl.Trainer.create(
            env=env,
            agent=self.agent(),
            experience=self.chain(given(self, data)),
            num_envs=self.num_envs,
            rollout_length=self.rollout_length,
            **options,
        )


@dataclass(frozen=True)
class DACConfig(DiscriminatorNumbers, TD3Config):
    """DAC (Kostrikov et al. 2019) on TD3, as one flat list of numbers."""

    RUN = TD3Config.RUN - {"gamma", "n_step"}

    reward_form: RewardForm = "airl"
    """The reward of its probability D: -log(1 - D), log D - log(1 - D) as in the paper, or D."""
    absorbing: bool = True
    """Learn a reward of what follows a termination, for ever."""

    def agent(self) -> Any:
        """There is none without an expert.

        Raises:
            RLJaxError: always.
        """
        raise rl.errors.RLJaxError("DAC is an agent with its expert's data: rl_jax.agents.imitation.dac(data, config=...)")

    def replay(self) -> "rl.replay.Buffer":
        """Trajectories as they are: the agent makes targets of them, once it has rewritten their rewards."""
        return rl.replay.Buffer(capacity=self.buffer_size, batch_size=self.batch_size, length=self.n_step)

    def trainer(self, env: "rl.types.Environment", data: Any = None, **options: Any) -> "rl.Trainer":
        """The whole run against the expert's ``data``; ``options`` are further arguments of :meth:`rl_jax.Trainer.create`."""
        self.check()
        return rl.Trainer.create(
            env=env,
            agent=rl.agents.imitation.dac(given(self, data), config=self),
            replay=self.replay(),
            updates=rl.loop.PerStep(self.updates_per_step, self.learning_starts),
            num_envs=self.num_envs,
            rollout_length=self.rollout_length,
            **options,
        )
