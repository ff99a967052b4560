"""Any agent with a replay buffer, paid by a reward that is learned beside it."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.agents.base import AgentWrapper
from rl_jax.argument_checks import check_numbers
from rl_jax.errors import check_part
from rl_jax.experience import chain
from rl_jax.ops import joined
from rl_jax.replay.batches import init_transforms, transformed
from rl_jax.types import Context, Key, Metrics, PyTree, RewardModel, Sample, Spec
from rl_jax.values import Number


@struct.dataclass
class RewardedState:
    """The states of the agent, of its reward model, and the (empty) one of the transforms."""

    agent: PyTree
    model: PyTree
    transforms: PyTree


@struct.dataclass
class Rewarded(AgentWrapper):
    """Lets the reward model learn from every drawn batch, rewrites the batch's rewards with it, and then lets the agent learn.

    ``reward = weight * model's + keep_env_reward * environment's``. Rewards are those of the present model, however old the steps are.
    The model sees single steps, so the replay draws them as they are and ``transforms`` make targets of them afterwards: for
    ``n``-step targets the buffer has ``length=n`` and no transforms, and this has ``transforms=chain(n_step(n, gamma))``.

    Attributes:
        agent: learns from batches of a replay, such as :func:`rl_jax.agents.td3` or :func:`~rl_jax.agents.sac`.
        model: a :class:`~rl_jax.types.RewardModel`.
        transforms: experience transforms without a state, applied to every batch after its rewards were rewritten.
        weight: of the model's reward.
        keep_env_reward: weight of the environment's reward.
    """

    agent: Any
    model: Any
    transforms: Any = chain()
    weight: Any = 1.0
    keep_env_reward: Any = 0.0

    def init(self, key: Key, spec: Spec) -> RewardedState:
        """Fresh states of both.

        Raises:
            RLJaxError: the model is none, or the transforms have a state.
        """
        check_part("Rewarded's model", self.model, RewardModel, "give one of rl_jax.rewards, such as a Discriminator")
        check_numbers("Rewarded's", self, weight=Number, keep_env_reward=Number)
        keys = jax.random.split(key, 3)
        transforms = init_transforms(self.transforms, keys[2], spec)
        return RewardedState(self.agent.init(keys[0], spec), self.model.init(keys[1], spec), transforms)

    def learn(self, state: RewardedState, sample: Sample, context: Context) -> tuple[RewardedState, Metrics, jax.Array | None]:
        """A step of the model, then one of the agent, on a batch ``[L, B]``."""
        keys, batch = jax.random.split(context.key, 4), sample.batch
        model, of_model = self.model.learn(state.model, batch, context.replace(key=keys[0]))  # type: ignore[attr-defined]
        return self.learn_with(state.replace(model=model), of_model, sample, context, keys[1:])  # type: ignore[attr-defined]

    def learn_with(
        self, state: RewardedState, of_model: Metrics, sample: Sample, context: Context, keys: jax.Array
    ) -> tuple[RewardedState, Metrics, jax.Array | None]:
        """A step of the agent, paid by the model as it is; ``keys`` ``[3]``."""
        batch = sample.batch
        reward = self.model.reward(state.model, batch, context.replace(key=keys[0]))  # type: ignore[attr-defined]
        batch = batch.replace(reward=self.weight * reward + self.keep_env_reward * batch.reward)  # type: ignore[attr-defined]
        batch = transformed(self.transforms, state.transforms, batch, context, keys[1])
        state, metrics, priorities = super().learn(state, sample._replace(batch=batch), context.replace(key=keys[2]))  # type: ignore[attr-defined]
        return state, joined(of_model, {"reward_model/reward": jnp.mean(reward)}, metrics), priorities
