"""ReNorm: a judge's score of each step and the outcome of the episode, both shifted by one half, and summed.

Xu et al. 2025, "Hybrid Reward Normalization for Process-supervised Non-verifiable Agentic Tasks", arXiv:2509.25598. The equation
is from memory of the paper and agrees with what its public reviews describe; no code of the authors was found, and discounts are
not known.
"""

from typing import Any

import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience.advantage.group import check_whole
from rl_jax.experience.transform import Transform
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Number


@struct.dataclass
class HybridReward(Transform):
    """Replaces the reward of every own step by ``process * p_t + outcome * o + shift``, plus ``final * o`` at the last one.

    ``p_t`` is the judge's score in [0, 1], ``info["judge"]``; ``o`` the episode's reward, 0 or 1. ReNorm is ``p_t + o - 1``: in
    [0, 1] after success and in [-1, 0] after failure, so that no step of a failed episode earns anything by looking good. It is no
    shaping by a potential: a step costs something in a failed episode and pays in a successful one, so that the length of episodes
    matters.

    Attributes:
        process, outcome, shift: 1, 1 and -1: ReNorm. 1, 0 and 0: the judge alone.
        final: 1 with ``outcome = shift = 0``: the plain sum of both rewards.
    """

    process: Any = 1.0
    outcome: Any = 1.0
    shift: Any = -1.0
    final: Any = 0.0

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_whole(spec, "hybrid_reward")
        check_numbers("hybrid_reward's", self, process=Number, outcome=Number, shift=Number, final=Number)
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        own = rollout.extras["own"].astype(jnp.float32)
        outcome = jnp.sum(rollout.reward, 0)
        each = self.process * rollout.info["judge"] + self.outcome * outcome + self.shift + self.final * outcome * rollout.done
        return state, rollout.replace(reward=each * own), {}  # type: ignore[attr-defined]


def re_norm() -> HybridReward:
    """ReNorm; see :class:`HybridReward`."""
    return HybridReward()
