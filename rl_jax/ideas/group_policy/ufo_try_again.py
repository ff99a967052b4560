"""UFO: attempts until one is right, with "try again" as the only feedback; early successes pay more, repeated answers cost.

Liu et al. 2025, "A Simple 'Try Again' Can Elicit Multi-Turn LLM Reasoning", arXiv:2507.14295, and its published code
(github.com/lichengliu03/unary-feedback at b9eb4bd, ``ragen/env/metamathqa/env.py``).
"""

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.envs.tokens.attempts import attempted_answers
from rl_jax.experience.advantage.group import check_whole
from rl_jax.experience.transform import Transform
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Range, Share


def distinct_answers(answers: jax.Array) -> tuple[jax.Array, jax.Array]:
    """How many answers ``int32 [turns, N]`` were given, and how many different ones, both ``int32 [N]``; -1 is no answer."""
    given = answers >= 0
    earlier = jnp.tril(jnp.ones((len(answers), len(answers)), bool), -1)
    repeated = jnp.any((answers[:, None] == answers) & earlier[..., None], axis=1)
    return jnp.sum(given, axis=0), jnp.sum(given & ~repeated, axis=0)


@struct.dataclass
class AttemptReward(Transform):
    """The reward of attempt ``k``, counted from 0, times ``gamma^k``, and at the episode's end minus ``penalty (1 - E / T)``.

    ``T`` is the number of answers that were given, ``E`` that of different ones. In the code ``gamma`` and ``penalty`` are 1/2, and
    attempts without an answer count in neither number. For the rewards of :class:`~rl_jax.envs.tokens.attempts.Attempts`.

    Attributes:
        turns: attempts of an episode.
        gamma: 1: a late success is worth as much as an early one.
        penalty: the most that repeated answers can cost.
    """

    turns: int = struct.field(pytree_node=False, default=5)
    gamma: Any = 0.5
    penalty: Any = 0.5

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_whole(spec, "attempt_reward")
        check_numbers("attempt_reward's", self, turns=Annotated[int, Range(2, 5)], gamma=Share, penalty=Share)
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        given, distinct = distinct_answers(attempted_answers(rollout, self.turns))
        repeated = 1.0 - distinct / jnp.maximum(given, 1)
        cost = jnp.where(given > 0, self.penalty * repeated, 0.0)
        reward = rollout.reward * jnp.power(self.gamma, rollout.info["turn"].astype(jnp.float32))
        reward = reward - jnp.where(rollout.terminated, cost, 0.0)
        metrics = {"attempts/distinct": jnp.mean(distinct / jnp.maximum(given, 1))}
        return state, rollout.replace(reward=reward), metrics  # type: ignore[attr-defined]


def attempt_reward(turns: int = 5, gamma: Any = 0.5, penalty: Any = 0.5) -> AttemptReward:
    """Early successes pay more, repeated answers cost; see :class:`AttemptReward`."""
    return AttemptReward(turns, gamma, penalty)
