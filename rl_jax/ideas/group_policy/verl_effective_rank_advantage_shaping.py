"""VERL: advantages shaped by the effective rank of hidden states along an answer.

Huang et al. 2025, "Beyond the Exploration-Exploitation Trade-off: A Hidden State Approach for LLM Reasoning in RLVR",
arXiv:2509.23808, and its published code (github.com/hf618/VERL).
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_argument, check_numbers
from rl_jax.experience.advantage.group import check_whole
from rl_jax.experience.transform import Transform
from rl_jax.ops.arrays.correlation import correlation
from rl_jax.ops.arrays.effective_rank import effective_rank, rank_growth
from rl_jax.types import Context, Key, Metrics, Rollout, Spec
from rl_jax.values import Count, NotNegative, Positive, Share

#: The largest deviation from an average, in units of that.
MOST = 5.0


def signal(deviation: jax.Array, gain: Any) -> jax.Array:
    """``g tanh(d(ER)) + (1 - g) tanh(d(ERV))`` with ``g = sigmoid(gain d(ERA))``, of deviations ``[3, N]`` of ER, ERV and ERA."""
    lean = jax.nn.sigmoid(gain * deviation[2])
    return lean * jnp.tanh(deviation[0]) + (1.0 - lean) * jnp.tanh(deviation[1])


@struct.dataclass
class RankState:
    """Running averages of ER, ERV and ERA ``[3]``; ``seen``: rollouts so far."""

    average: jax.Array
    seen: jax.Array


@struct.dataclass
class EffectiveRank(Transform):
    """Adds to each step's advantage ``A`` a bonus ``min(relu(Phi), |A| / kappa)`` of its answer.

    ER is the effective rank of the hidden states of an answer's own tokens; its velocity ERV and acceleration ERA are those of
    the ranks of its prefixes of ``stride``, ``2 stride``, ... tokens. Each is taken as the deviation from its running average,
    ``(m - average) / |average|`` within +-5, and ``Phi`` mixes what explores (ER) and what exploits (ERV), the more of the former
    the larger ERA is.

    The published code writes the bonus on an answer's last token alone; the paper's formula, and this, on all. The running
    averages begin with the first rollout's means, whose advantages are left as they are.

    Needs ``extras`` ``hidden``, ``own`` and ``advantage``.

    Attributes:
        stride: own tokens between two prefixes: 40 in the paper, of some thousand.
        longest: own tokens that an answer has at most, of which no more are looked at; ``None``: as many as a rollout has rows.
        kappa: as above: 2; the larger, the smaller is the bonus.
        gain: of ``g = sigmoid(gain d(ERA))``: 2.
        rate: weight of a rollout in the running averages: 0.3.
        shuffle: hand each answer the ``Phi`` of a random other: a control with bonuses of the same size that mean nothing.
    """

    stride: int = struct.field(pytree_node=False, default=40)
    kappa: Any = 2.0
    gain: Any = 2.0
    rate: Any = 0.3
    shuffle: Any = False
    longest: int | None = struct.field(pytree_node=False, default=None)

    def init(self, key: Key, spec: Spec) -> RankState:
        check_whole(spec, "the effective rank")
        check_numbers("the effective rank's", self, stride=Count, kappa=Positive, gain=NotNegative, rate=Share)
        check_argument("the effective rank's longest", self.longest, Count | None)
        return RankState(jnp.zeros((3,), jnp.float32), jnp.zeros((), jnp.int32))

    def ranks(self, hidden: jax.Array, own: jax.Array) -> jax.Array:
        """ER, ERV and ERA ``[3, N]`` of hidden states ``[T, N, D]``."""
        count = jnp.sum(own, axis=0)
        longest = min(self.longest or own.shape[0], own.shape[0])
        rows = jnp.argsort(~own, axis=0)[:longest]  # the own ones, in their order, come first
        states = jnp.swapaxes(jnp.take_along_axis(hidden, rows[..., None], axis=0), 0, 1).astype(jnp.float32)
        number = jnp.arange(longest)
        ends = self.stride * jnp.arange(1, longest // self.stride + 1)
        whole = number < count[:, None]
        prefixes = whole[:, None] & (number < ends[:, None])
        # One call for prefixes and whole answers.
        among = jnp.concatenate([prefixes, whole[:, None]], axis=1)
        ranks = effective_rank(jnp.broadcast_to(states[:, None], (*among.shape, states.shape[-1])), among)
        return jnp.stack([ranks[:, -1], *rank_growth(ranks[:, :-1], count[:, None] >= ends)])

    def update(self, state: RankState, rollout: Rollout, context: Context) -> tuple[RankState, Rollout, Metrics]:
        ranks = jax.lax.stop_gradient(self.ranks(rollout.extras["hidden"], rollout.extras["own"]))
        deviation = (ranks - state.average[:, None]) / (jnp.abs(state.average[:, None]) + 1e-8)
        phi = signal(jnp.clip(deviation, -MOST, MOST), self.gain)
        phi = jnp.where(self.shuffle, jax.random.permutation(context.key, phi), phi)
        advantage = rollout.extras["advantage"]
        bonus = jnp.minimum(jax.nn.relu(phi), jnp.abs(advantage) / self.kappa) * (state.seen > 0)
        means = jnp.mean(ranks, axis=1)
        average = jnp.where(state.seen > 0, (1.0 - self.rate) * state.average + self.rate * means, means)
        metrics = {
            "rank/effective": means[0],
            "rank/velocity": means[1],
            "rank/acceleration": means[2],
            "rank/decoupled": 1.0 - jnp.abs(correlation(ranks[0], ranks[1])),
            "rank/bonus": jnp.mean(bonus),
        }
        return RankState(average, state.seen + 1), rollout.with_extras(advantage=advantage + bonus), metrics
