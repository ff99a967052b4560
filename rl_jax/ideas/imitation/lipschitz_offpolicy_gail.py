"""A discriminator's reward that is paid less where it is steep.

Blondé, Strasser & Kalousis 2020, "Lipschitzness Is All You Need To Tame Off-policy Generative Adversarial Imitation Learning",
arXiv:2006.16785; checked with https://github.com/lionelblonde/liayn-pytorch at 7692083, ``agents/sam_agent.py`` (``grad_pen``,
``get_syn_rew``). Its penalty is :class:`~rl_jax.rewards.GradientPenalty` with ``one_sided=True``.

The paper's preconditioner may be built of the reward's own gradient or of that of a learned model of the dynamics. The released code
computes the first to look at it, from the discriminator's output, and pays by the second, held above 0.7. Here it is the first, of
the reward.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.rewards.discriminator import Discriminator, DiscriminatorState
from rl_jax.rewards.divergences import REWARDS
from rl_jax.rewards.gradient_penalty import gradient_norm
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec


@struct.dataclass
class Preconditioned:
    """``exp(-max(0, |grad r| - k)^2) r``, with the gradient by observation and action.

    Attributes:
        model: the discriminator.
        norm: ``k``, that its gradient penalty asks for.
    """

    model: Discriminator
    norm: Any = 1.0

    def init(self, key: Key, spec: Spec) -> DiscriminatorState:
        return self.model.init(key, spec)

    def learn(self, state: DiscriminatorState, batch: Rollout, context: Context) -> tuple[PyTree, Metrics]:
        return self.model.learn(state, batch, context)

    def reward(self, state: DiscriminatorState, batch: Rollout, context: Context) -> jax.Array:
        """The discriminator's reward ``[L, B]``, less where it is steeper than ``norm``."""
        excess = jnp.maximum(reward_gradient_norm(self.model, state, batch) - self.norm, 0.0)
        return jnp.exp(-jnp.square(excess)) * self.model.reward(state, batch, context)


def reward_gradient_norm(model: Discriminator, state: DiscriminatorState, batch: Rollout) -> jax.Array:
    """The norm ``[L, B]`` of the gradient of each step's reward by what the discriminator sees."""
    pay, x = REWARDS[model.form], model.vectors(batch)
    return gradient_norm(lambda x: pay(model.output(state, x)), x.reshape(-1, x.shape[-1])).reshape(x.shape[:-1])
