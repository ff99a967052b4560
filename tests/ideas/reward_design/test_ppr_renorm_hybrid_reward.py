"""ReNorm's equation."""

import jax.numpy as jnp
import numpy as np
from toy import context, rollout_of

from rl_jax.ideas.reward_design.ppr_renorm_hybrid_reward import HybridReward, re_norm

#: A success of two steps and a failure of three.
OWN = jnp.array([[True, True], [True, True], [False, True]])
JUDGE = jnp.array([[0.25, 1.0], [0.75, 0.5], [1.0, 0.0]])


def asked(transform):
    done = jnp.array([[False, False], [True, False], [False, True]])
    rollout = rollout_of(jnp.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]), done, own=OWN)
    return np.asarray(transform.update((), rollout.replace(info={"judge": JUDGE}), context())[1].reward)


def test_both_parts_are_shifted_by_one_half():
    """``(p - 1/2) + (o - 1/2)``: a step of a success earns its score, one of a failure lacks what its score lacks of 1."""
    np.testing.assert_allclose(asked(re_norm()), [[0.25, 0.0], [0.75, -0.5], [0.0, -1.0]])


def test_the_judge_alone_and_the_plain_sum():
    np.testing.assert_allclose(asked(HybridReward(1.0, 0.0, 0.0)), [[0.25, 1.0], [0.75, 0.5], [0.0, 0.0]])
    np.testing.assert_allclose(asked(HybridReward(1.0, 0.0, 0.0, 2.0)), [[0.25, 1.0], [2.75, 0.5], [0.0, 0.0]])
