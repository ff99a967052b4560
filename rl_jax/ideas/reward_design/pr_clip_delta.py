"""Step rewards of a learned judge, clipped and differenced so that no trajectory can collect them without end.

Gao et al. 2024, "On Designing Effective RL Reward at Training Time for LLM Reasoning", arXiv:2410.15115, sections 4 and 5. No code of
the authors was found.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience.advantage.group import check_groups, check_whole
from rl_jax.experience.tape_scores import tape_of, token_scores
from rl_jax.experience.transform import Transform
from rl_jax.networks.scorer import Scorer
from rl_jax.ops import discounted_sum
from rl_jax.ops.groups import from_here, grouped, leave_one_out, ungrouped
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import NotNegative


@struct.dataclass
class Judge(Transform):
    """Adds ``extras["judged"]`` ``[T, N]``: what a frozen scorer thinks of each step, ``R_k`` in [0, 1], given the tape up to it.

    Attributes:
        scorer: the network (:func:`~rl_jax.networks.scorer.scorer_like`); its number is the logit of a good step.
        params: its parameters.
    """

    scorer: Scorer = struct.field(pytree_node=False)
    params: PyTree

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_whole(spec, "judge")
        return ()

    def judged(self, tape: PyTree) -> jax.Array:
        """``[T, N]``: of each token of a tape ``[T + 1, N, ...]`` after the first."""
        return jax.nn.sigmoid(token_scores(self.scorer, self.params, tape))

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        return state, rollout.with_extras(judged=self.judged(tape_of(rollout))), {}


def step_rewards(judged: jax.Array, step: jax.Array, size: int, clip: Any, delta: Any) -> jax.Array:
    """Rewards ``[T, N]`` at the ends of steps, 0 elsewhere.

    - Raw: ``R_k``. What an answer is paid grows with its number of steps.
    - Clip: ``min(R_k - eta, 0)``, ``eta`` the mean of ``R`` over all steps of the group's answers: a step can only lose.
    - Delta: ``R_k - R_{k+1}``, the last one ``R_k``: the rewards from a step on add up to its own ``R``, however many follow.

    The paper's Delta leaves out the step that gives the answer, which the verifier pays. Here that is the end of the answer, which is
    no step.

    Args:
        judged: ``R``, ``[T, N]``.
        step: where a step ends, ``bool [T, N]``.
        size: neighbouring columns of a group.
        clip, delta: 1 or 0; with both, what is clipped is differenced.
    """
    counted = grouped(step.astype(jnp.float32), size)
    total = jnp.sum(grouped(judged, size) * counted, axis=(0, 2), keepdims=True)
    mean = total / jnp.maximum(jnp.sum(counted, axis=(0, 2), keepdims=True), 1.0)
    eta = ungrouped(jnp.broadcast_to(mean, counted.shape))
    reward = jnp.where(step, jnp.where(clip > 0, jnp.minimum(judged - eta, 0.0), judged), 0.0)
    coming = discounted_sum(reward, 1.0 - step.astype(jnp.float32))  # of the first step that ends here or later
    following = jnp.concatenate([coming[1:], jnp.zeros_like(coming[:1])])
    return jnp.where(step, reward - delta * following, 0.0)


@struct.dataclass
class StepRewards(Transform):
    """Adds what steps earn to ``extras["advantage"]``, which outcomes have given: ``alpha`` times the sum of the step rewards from
    each token on, minus the mean of that sum over the *others* of the group at the same position.

    The paper's objective is ``alpha sum_k r_k + C``, without discount, by PPO with a critic. Here other answers to the same problem
    stand for the critic.

    A difference is paid one step before the step that it depends on. So the sum from step ``k`` on is ``R_k``, which is what ``k`` is
    credited with, in the paper as here, although the sum over the whole answer, ``R_1``, does not depend on ``k`` at all. A
    harmless step that is rated higher than a risky one is still preferred to it; it is only not worth more the oftener it is repeated.

    Steps are where ``info["step_end"]`` is true, their ``R`` is ``extras["judged"]``.

    Attributes:
        size: columns of a group.
        alpha: weight of the steps; 1: each weighs as much as the answer.
        clip, delta: see :func:`step_rewards`; 1 and 1 is Clip-Delta.
    """

    size: int = struct.field(pytree_node=False)
    alpha: Any = 1.0
    clip: Any = 1.0
    delta: Any = 1.0

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_groups(spec, "step_rewards", self.size)
        check_numbers("step_rewards'", self, alpha=NotNegative, clip=NotNegative, delta=NotNegative)
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        step = rollout.info["step_end"] & rollout.extras["own"]
        reward = step_rewards(rollout.extras["judged"], step, self.size, self.clip, self.delta)
        earned = from_here(reward)
        advantage = rollout.extras["advantage"] + self.alpha * (earned - leave_one_out(earned, self.size))
        metrics = {
            "steps/number": jnp.mean(jnp.sum(step.astype(jnp.float32), axis=0)),
            "steps/reward": jnp.mean(jnp.sum(reward, axis=0)),
        }
        return state, rollout.with_extras(advantage=advantage), metrics
