"""Numbers of GRPO and its relatives: policy gradients of whole episodes, in groups that began alike."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import rl_jax as rl
from rl_jax.agents.configs.base import AgentConfig, OptimizerName
from rl_jax.errors import RLJaxError
from rl_jax.values import Count, CountOrZero, NotNegative, Number, Positive, Range, Widths


@dataclass(frozen=True)
class GroupConfig(AgentConfig):
    """What learns from whole episodes in groups that began alike. Subclasses add the agent and its numbers.

    Where a default is not that of GRPO's paper, the field says so: most are for small networks and tasks.
    """

    RUN = AgentConfig.RUN | {"group_size", "baseline", "scale", "weight", "clone_steps"}

    num_envs: Count = 512
    """Episodes per update (the paper: 1024 answers), in groups of neighbours."""
    group_size: Annotated[int, Range(2, 1_000_000)] = 8
    """Episodes that begin alike (the paper: 64)."""
    rollout_length: Count | None = None
    """Steps that the longest episode has; none: as the environment says."""
    learning_rate: Positive = 3e-4
    """Step size (the paper: 1e-6, of a network of 7 billion parameters)."""
    optimizer: OptimizerName = "adam"
    """What makes steps of gradients."""
    anneal: bool = False
    """Let the learning rate fall linearly to zero."""
    epochs: Annotated[int, Range(1, 10_000)] = 2
    """Passes over the episodes (the paper: a single update)."""
    minibatches: Count = 4
    """Pieces per pass; must divide the episodes (without memory: their steps)."""
    weight: Literal["sequence", "token", "constant"] = "sequence"
    """What counts alike: episodes, steps, or steps whatever the episodes' lengths."""
    entropy_weight: NotNegative = 0.0
    """Weight of the entropy bonus."""
    max_grad_norm: Positive = 1.0
    """Bound on the gradient's global norm."""
    temperature: Positive | None = None
    """Logits are divided by it, in acting and learning (choices among few actions only); none: 1."""
    clone_steps: CountOrZero = 1000
    """Steps of imitating the demonstrations that a token world has, before anything is earned; elsewhere unused."""
    hidden: Widths = (64, 64)
    """Widths of the hidden layers (not of the transformer)."""
    activation: Literal["tanh", "relu", "silu", "gelu"] = "tanh"
    """Activation of the hidden layers."""
    torso_dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of the hidden layers' arithmetic."""
    memory: Literal["auto", "none", "gru", "transformer"] = "auto"
    """Memory of the network; auto: a transformer in token worlds, none elsewhere."""
    memory_width: Annotated[int, Range(1, 1_000_000)] = 32
    """Units of the memory."""
    memory_layers: Annotated[int, Range(1, 1000)] = 2
    """Blocks of the transformer."""
    memory_heads: Annotated[int, Range(1, 1000)] = 2
    """Heads of each block."""

    def layers(self) -> dict[str, Any]:
        """What the function that makes the network is told."""
        layers = {"hidden": self.hidden, "activation": self.activation, "dtype": self.torso_dtype, "memory": self.memory}
        return {**layers, "memory_width": self.memory_width, "layers": self.memory_layers, "heads": self.memory_heads}

    def experience(self) -> "rl.experience.Chain":
        """The chain that it learns from."""
        raise NotImplementedError

    def trainer(self, env: "rl.types.Environment", **options: Any) -> "rl.Trainer":
        """The whole run; ``options`` are further arguments of :meth:`rl_jax.Trainer.create`.

        Raises:
            RLJaxError: episodes of the environment may have no end, or their starts are given by something else.
        """
        from rl_jax.agents.policy_gradient.cloning import Cloned, check_demonstrations
        from rl_jax.curricula.prompts import Prompts
        from rl_jax.envs.limits import longest_episode
        from rl_jax.envs.tokens.world import TokenWorld

        self.check()
        if options.pop("curriculum", None) is not None:
            raise RLJaxError(
                "episodes of a group begin alike, by a curriculum of their own: leave out curriculum (--reset-pool)"
            )
        if over := self.num_envs % self.group_size:
            near = [n for n in (self.num_envs - over, self.num_envs - over + self.group_size) if n]
            fix = " or ".join(f"{n}" for n in near)
            raise RLJaxError(
                f"--num-envs {self.num_envs} makes no groups of {self.group_size} (--group-size): use --num-envs {fix}"
            )
        length = self.rollout_length or longest_episode(env, options.get("time_limit"))
        if length is None:
            raise RLJaxError(
                f"{env.name} has no time limit, and groups are of whole episodes: give time_limit (--time-limit 200)"
            )
        agent: Any = self.agent()
        task = options.pop("params", None)
        if self.clone_steps and isinstance(env, TokenWorld):
            check_demonstrations(env, env.default_params if task is None else task, length)
            agent = Cloned(agent, env, self.clone_steps, task=task)
        return rl.Trainer.create(
            env=env,
            agent=agent,
            experience=self.experience(),
            curriculum=Prompts(env, self.group_size, task=task),
            num_envs=self.num_envs,
            rollout_length=length,
            whole=True,
            **options,
        )


@dataclass(frozen=True)
class GRPOConfig(GroupConfig):
    """GRPO as one flat list of numbers, for the command line and for configuration files."""

    clip_low: Positive = 0.2
    """How far below 1 the probability ratio may fall."""
    clip_high: Positive = 0.2
    """How far above 1 it may rise ("clip-higher" of DAPO: 0.28)."""
    baseline: Literal["mean", "leave-one-out"] = "mean"
    """What an episode's outcome is compared with: the group's mean, or that of the others."""
    scale: Literal["std", "none"] = "std"
    """What the difference is divided by: the group's standard deviation, or nothing."""

    def agent(self) -> "rl.agents.PolicyGradient":
        """The agent alone."""
        return rl.agents.grpo(config=self)

    def experience(self) -> "rl.experience.Chain":
        """The chain that it learns from: advantages within groups, and what counts alike."""
        from rl_jax.experience.advantage.group import group_advantage
        from rl_jax.experience.weights import own_weight

        return rl.chain(group_advantage(self.group_size, self.baseline, self.scale), own_weight(self.weight))


@dataclass(frozen=True)
class DrGRPOConfig(GRPOConfig):
    """Dr. GRPO: GRPO without its two divisions, which favour long wrong answers and problems that are too easy or too hard."""

    scale: Literal["std", "none"] = "none"
    """What the difference is divided by: the group's standard deviation, or nothing."""
    weight: Literal["sequence", "token", "constant"] = "constant"
    """What counts alike: episodes, steps, or steps whatever the episodes' lengths."""

    def agent(self) -> "rl.agents.PolicyGradient":
        """The agent alone."""
        return rl.agents.dr_grpo(config=self)


@dataclass(frozen=True)
class RLOOConfig(GRPOConfig):
    """RLOO: REINFORCE whose baseline is the mean of the others; each rollout is used once."""

    epochs: Annotated[int, Range(1, 10_000)] = 1
    """Passes over the episodes."""
    minibatches: Count = 1
    """Pieces per pass; must divide the episodes (without memory: their steps)."""
    baseline: Literal["mean", "leave-one-out"] = "leave-one-out"
    """What an episode's outcome is compared with: the group's mean, or that of the others."""
    scale: Literal["std", "none"] = "none"
    """What the difference is divided by: the group's standard deviation, or nothing."""
    weight: Literal["sequence", "token", "constant"] = "constant"
    """What counts alike: episodes, steps, or steps whatever the episodes' lengths (the paper: the sum over an episode)."""

    def agent(self) -> "rl.agents.PolicyGradient":
        """The agent alone."""
        return rl.agents.rloo(config=self)


@dataclass(frozen=True)
class RFTConfig(GroupConfig):
    """Rejection-sampling fine-tuning: right answers are cloned, wrong ones are thrown away."""

    weight: Literal["sequence", "token", "constant"] = "token"
    """What counts alike: episodes, steps, or steps whatever the episodes' lengths."""
    least_outcome: Number = 1.0
    """Sum of an episode's rewards from which on it is cloned."""

    RUN = GroupConfig.RUN | {"least_outcome"}

    def agent(self) -> "rl.agents.PolicyGradient":
        """The agent alone."""
        return rl.agents.rft(config=self)

    def experience(self) -> "rl.experience.Chain":
        """The chain that it learns from: what counts alike among the answers that are good enough."""
        from rl_jax.experience.selection.good_enough import good_enough
        from rl_jax.experience.weights import own_weight

        return rl.chain(own_weight(self.weight), good_enough(self.least_outcome))
