"""EPO: the policy's entropy is held in a band around its own history, turn by turn.

Xu et al. 2025, "EPO: Entropy-regularized Policy Optimization for LLM Agents Reinforcement Learning", arXiv:2509.22576; checked
with https://github.com/WujiangXu/EPO, ``verl/workers/actor/dp_actor.py`` and ``verl/trainer/ppo/ray_trainer.py``.

Together with :class:`~rl_jax.losses.NegativeEntropy` of weight ``c`` and :class:`EntropyBand` of the same weight the loss is
``L - c (mean H - mean P)``, with ``c = 0.001`` in the released code.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience.advantage.group import check_whole
from rl_jax.experience.transform import Transform, present_policy
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Share


class History(NamedTuple):
    """Of each turn ``[T]``: the sum of the train steps' mean entropies, and in how many train steps anybody came so far."""

    total: jax.Array
    visits: jax.Array


@struct.dataclass
class EntropyHistory(Transform):
    """Adds ``extras["entropy_history"]`` and ``extras["band_weight"]`` ``[T, N]`` for :class:`EntropyBand`.

    The history of a turn is the mean over all train steps, this one too, of the mean entropy of the acting policy at the turn.
    (The released code pads shorter rollouts with zeros at the front, which moves the turns; here each turn is counted where it
    happened.) The weight is 0 in turns before ``start`` (the released code penalises all steps of a micro-batch, or none). With
    ``fading`` it follows the released schedule: over the first half of training ``1 - 0.2 (1 - exp(-2 u))``, over the second
    ``0.8 exp(-3 u)``, with ``u`` from 0 to 1 in each.

    Attributes:
        start: the share of the turns before which nothing is penalised; 1/2 in the released code.
        fading: whether the weight falls; the examples of the released code have both.
    """

    start: Any = 0.5
    fading: bool = struct.field(pytree_node=False, default=True)

    def init(self, key: Key, spec: Spec) -> History:
        check_whole(spec, "entropy_history")
        check_numbers("entropy_history's", self, start=Share)
        zeros = jnp.zeros((spec.rollout_length,), jnp.float32)
        return History(zeros, zeros)

    def update(self, state: History, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        own = rollout.extras["own"].astype(jnp.float32)
        entropy = present_policy(rollout, context).entropy()
        steps = jnp.sum(own, 1)
        mean = jnp.sum(own * entropy, 1) / jnp.maximum(steps, 1.0)
        state = History(state.total + mean, state.visits + (steps > 0))
        history = state.total / jnp.maximum(state.visits, 1.0)
        length = history.shape[0]
        weight = jnp.where(jnp.arange(length) >= jnp.floor(self.start * length), 1.0, 0.0)
        weight = weight * (fade(context.progress) if self.fading else 1.0)
        wide = [jnp.broadcast_to(x[:, None], own.shape) for x in (history, weight)]
        return state, rollout.with_extras(entropy_history=wide[0], band_weight=wide[1]), {}


def fade(progress: jax.Array) -> jax.Array:
    """The weight of the penalty after a share of the training, by the released schedule."""
    first = 1 - 0.2 * (1 - jnp.exp(-2.0 * 2 * progress))
    return jnp.where(progress <= 0.5, first, 0.8 * jnp.exp(-3.0 * (2 * progress - 1)))


@struct.dataclass
class EntropyBand:
    """The penalty ``P`` of entropies outside of ``(low, high)`` times their history; needs :class:`EntropyHistory`.

    As released ``P`` is the constant ``alpha`` outside and 0 inside: a number that no parameter moves, so that its gradient is
    zero and the entropy bonus alone acts. With ``hinge`` it is ``alpha`` times the distance to the band, which has a gradient.

    Attributes:
        low, high: edges, as multiples of the history: 0.8 and 1.2 by default, 0 and 2 in the examples of the released code.
        alpha: of the penalty: 0.05 to 0.1 in the released code.
        hinge: the distance instead of the constant.
    """

    low: Any = 0.8
    high: Any = 1.2
    alpha: Any = 0.1
    hinge: bool = struct.field(pytree_node=False, default=False)

    def __call__(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        entropy, history = context.outputs.policy.entropy(), batch.extras["entropy_history"]
        low, high = self.low * history, self.high * history
        inside = (entropy > low) & (entropy < high)
        outside = jnp.where(inside, 0.0, 1.0)
        penalty = jax.nn.relu(entropy - high) + jax.nn.relu(low - entropy) if self.hinge else outside
        return batch.extras["band_weight"] * self.alpha * penalty, {"epo/outside": outside}


def entropy_history(start: Any = 0.5, fading: bool = True) -> EntropyHistory:
    """The history of the entropy at each turn; see :class:`EntropyHistory`."""
    return EntropyHistory(start, fading)
