"""Rewards that a model learns from each fresh rollout."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.errors import check_part
from rl_jax.experience.transform import Transform
from rl_jax.ops import random_index
from rl_jax.types import Context, Key, Metrics, PyTree, RewardModel, Rollout, Spec
from rl_jax.values import Count, Number


@struct.dataclass
class LearnedReward(Transform):
    """The model learns from the rollout, and then its rewards are put in the place of the environment's.

    ``reward = weight * model's + keep_env_reward * environment's``. For agents that learn from fresh rollouts; for those with a replay
    buffer there is :class:`rl_jax.agents.rewarded.Rewarded`. It stands first in a chain: before what normalises observations, as
    the model reads them as its expert saw them, and before what scales rewards or computes advantages. What the episodes return
    (``episode/return``) stays the environment's.

    Attributes:
        model: a :class:`~rl_jax.types.RewardModel`.
        weight: of the model's reward.
        keep_env_reward: weight of the environment's reward.
        steps: learning steps of the model for each rollout.
        batch_size: steps of the rollout for each of these, drawn uniformly with replacement.
    """

    model: Any
    weight: Any = 1.0
    keep_env_reward: Any = 0.0
    steps: int = struct.field(pytree_node=False, default=4)
    batch_size: int = struct.field(pytree_node=False, default=256)

    def init(self, key: Key, spec: Spec) -> PyTree:
        """The model's state.

        Raises:
            RLJaxError: it is no model, or numbers that cannot be.
        """
        check_part("learned_reward's model", self.model, RewardModel, "give one of rl_jax.rewards, such as a Discriminator")
        check_numbers("learned_reward's", self, weight=Number, keep_env_reward=Number, steps=Count, batch_size=Count)
        return self.model.init(key, spec)

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        """The next state of the model, and the rollout with its rewards."""
        key_learn, key_reward = jax.random.split(context.key)
        none: dict[str, Any] = {"carry": (), "env_state": (), "level": (), "info": {}, "start": None, "last": None}
        rows = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), rollout.replace(**none))  # type: ignore[attr-defined]
        number = rollout.reward.size

        def step(state: PyTree, key: Key) -> tuple[PyTree, Metrics]:
            key_draw, key_step = jax.random.split(key)
            chosen = random_index(key_draw, (self.batch_size,), number)
            batch = jax.tree.map(lambda x: x[chosen][None], rows)
            return self.model.learn(state, batch, context.replace(key=key_step))  # type: ignore[attr-defined]

        state, metrics = jax.lax.scan(step, state, jax.random.split(key_learn, self.steps))
        reward = self.model.reward(state, rollout, context.replace(key=key_reward))  # type: ignore[attr-defined]
        mixed = self.weight * reward + self.keep_env_reward * rollout.reward
        metrics = {**jax.tree.map(partial(jnp.mean, axis=0), metrics), "reward_model/reward": jnp.mean(reward)}
        return state, rollout.replace(reward=mixed), metrics  # type: ignore[attr-defined]


def learned_reward(model: RewardModel, weight: Any = 1.0, keep_env_reward: Any = 0.0, **options: int) -> LearnedReward:
    """Rewards of a model that learns from each rollout; see :class:`LearnedReward`."""
    return LearnedReward(model, weight, keep_env_reward, **options)
