"""What configurations of on-policy actor-critics share."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

from rl_jax.experience import Chain, chain, gae, normalize_obs, normalize_reward
from rl_jax.loop import Trainer
from rl_jax.networks import actor_critic
from rl_jax.types import Environment
from rl_jax.values import Count, NotNegative, Positive, Range, Share, Widths, check_fields


@dataclass(frozen=True)
class OnPolicyConfig:
    """A policy gradient with a learned value, on fresh rollouts. Subclasses add the agent and its numbers."""

    num_envs: Count = 64
    """Parallel environments."""
    rollout_length: Count = 32
    """Steps of each environment per update."""
    learning_rate: Positive = 1e-3
    """Adam's step size at the start."""
    anneal: bool = True
    """Let the learning rate fall linearly to zero."""
    gamma: Share = 0.99
    """Discount per step."""
    gae_lambda: Share = 0.95
    """Mixes one-step (0) and Monte-Carlo (1) advantages."""
    entropy_weight: NotNegative = 0.01
    """Weight of the entropy bonus."""
    value_weight: NotNegative = 0.5
    """Weight of the value error."""
    max_grad_norm: Positive = 0.5
    """Bound on the gradient's global norm."""
    normalize_obs: bool = True
    """Normalise observations by running statistics."""
    normalize_reward: bool = True
    """Divide rewards by the running spread of returns."""
    hidden: Widths = (64, 64)
    """Widths of the hidden layers."""
    activation: Literal["tanh", "relu", "silu", "gelu"] = "tanh"
    """Activation of the hidden layers."""
    torso_dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of the hidden layers' arithmetic; parameters, heads, memory and losses stay float32."""
    memory: Literal["none", "gru", "transformer"] = "none"
    """Memory between torso and heads."""
    memory_width: Annotated[int, Range(1, 1_000_000)] = 128
    """Units of the memory."""

    def check(self) -> None:
        """Refuse numbers that cannot be.

        Raises:
            RLJaxError: with the option's name and the values it takes.
        """
        check_fields(self)

    def network(self) -> Any:
        """The function that makes the network, given the spaces."""
        chosen = {name: getattr(self, name) for name in ("hidden", "activation", "memory", "memory_width")}
        return partial(actor_critic, dtype=self.torso_dtype, **chosen)

    def agent(self) -> Any:
        """The agent alone."""
        raise NotImplementedError

    def experience(self) -> Chain:
        """The chain that it learns from: normalisation if asked, then GAE."""
        scaling: list[Any] = [normalize_obs()] if self.normalize_obs else []
        scaling += [normalize_reward(self.gamma)] if self.normalize_reward else []
        return chain(*scaling, gae(self.gamma, self.gae_lambda))

    def trainer(self, env: Environment, **options: Any) -> Trainer:
        """The whole run; ``options`` are further arguments of :meth:`rl_jax.Trainer.create`."""
        self.check()
        return Trainer.create(
            env=env,
            agent=self.agent(),
            experience=self.experience(),
            num_envs=self.num_envs,
            rollout_length=self.rollout_length,
            **options,
        )
