"""Numbers of the streaming agents."""

from dataclasses import dataclass
from typing import Any, Literal

import rl_jax as rl
from rl_jax.agents.configs.base import AgentConfig
from rl_jax.values import NotNegative, Positive, Share, Widths

StepRule = Literal["obgd", "sgd", "adam"]


@dataclass(frozen=True)
class StreamConfig(AgentConfig):
    """An agent that learns from one stream, step by step. Subclasses add the agent and its numbers."""

    RUN = frozenset({"normalize_obs", "normalize_reward"})
    NETWORK = frozenset({"hidden", "sparsity", "layer_norm"})

    learning_rate: Positive = 1.0
    """Largest step size; obgd makes smaller ones of it, sgd and adam take it as it is (and need a far smaller one)."""
    gamma: Share = 0.99
    """Discount per step."""
    td_lambda: Share = 0.8
    """Decay of the traces, besides the discount: 0 is one-step learning."""
    step_rule: StepRule = "obgd"
    """How to step along the traces: bounded, or with a fixed step size by sgd or adam."""
    sparsity: Share = 0.9
    """Share of first weights that are zero."""
    layer_norm: bool = True
    """Normalise layers before each activation."""
    normalize_obs: bool = True
    """Normalise observations by running statistics."""
    normalize_reward: bool = True
    """Divide rewards by the running spread of returns."""
    hidden: Widths = (128, 128)
    """Widths of the hidden layers (images: the MinAtar network instead)."""
    overshoot: bool = False
    """Measure how often an update turns its own error's sign (two more passes per step)."""

    def layers(self) -> dict[str, Any]:
        """What all functions that make networks are told about them."""
        return {"hidden": self.hidden, "sparsity": self.sparsity, "normalize": self.layer_norm}

    def experience(self) -> "rl.experience.Chain":
        """The chain that it learns from: the normalisations that are asked for."""
        scaling: list[Any] = [rl.experience.normalize_obs_online()] if self.normalize_obs else []
        scaling += [rl.experience.normalize_reward_online(self.gamma)] if self.normalize_reward else []
        return rl.chain(*scaling)

    def trainer(self, env: "rl.types.Environment", **options: Any) -> "rl.Trainer":
        """The whole run; ``options`` are further arguments of :meth:`rl_jax.Trainer.create`."""
        self.check()
        return rl.Trainer.create(
            env=env, agent=self.agent(), experience=self.experience(), num_envs=1, rollout_length=1, **options
        )


@dataclass(frozen=True)
class StreamQConfig(StreamConfig):
    """Stream Q(lambda) (Elsayed et al. 2024) as one flat list of numbers."""

    kappa: NotNegative = 2.0
    """How many times smaller than the bound for linear functions steps are."""
    epsilon_start: Share = 1.0
    """Exploration rate at the start."""
    epsilon_end: Share = 0.01
    """Exploration rate at the end of its schedule."""
    epsilon_steps: NotNegative = 25_000
    """Environment steps until the exploration rate is at its end."""

    def agent(self) -> "rl.agents.StreamQ":
        """The agent alone."""
        return rl.agents.stream_q(config=self)


@dataclass(frozen=True)
class StreamACConfig(StreamConfig):
    """Stream AC(lambda) (Elsayed et al. 2024) as one flat list of numbers."""

    actor_kappa: NotNegative = 3.0
    """How many times smaller than the bound for linear functions the actor's steps are."""
    critic_kappa: NotNegative = 2.0
    """The same of the critic's."""
    entropy_weight: NotNegative = 0.01
    """Weight of the entropy's gradient."""

    def agent(self) -> "rl.agents.StreamAC":
        """The agent alone."""
        return rl.agents.stream_ac(config=self)
