"""A rollout of groups of answers, and slow sums over it: what tests of group methods share."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from toy import context, rollout_of

from rl_jax.losses import weighted_sum
from rl_jax.networks import Categorical, Outputs

PROMPT, LENGTH, SIZE, GROUPS, TOKENS = 2, 6, 4, 5, 5


class Answers(NamedTuple):
    """Logits ``[T, N, V]`` of the policy that acted, and the rollout, with all extras that group methods read."""

    logits: jax.Array
    rollout: object


def answers(seed=0, shift=0.0):
    """Five groups of four answers of at most four tokens after a prompt of two; the pass rates of the groups are 0 to 4 quarters.

    Args:
        seed: of all numbers.
        shift: how far the policy that acted is from ``logits``, as a standard deviation of logits.
    """
    rng = np.random.default_rng(seed)
    columns = SIZE * GROUPS
    logits = rng.normal(size=(LENGTH, columns, TOKENS)).astype(np.float32)
    action = rng.integers(TOKENS, size=(LENGTH, columns))
    length = rng.integers(1, LENGTH - PROMPT + 1, size=columns)
    row = np.arange(LENGTH)[:, None]
    own = (row >= PROMPT) & (row < PROMPT + length)
    outcome = np.concatenate([rng.permutation(np.arange(SIZE) < right) for right in range(GROUPS)]).astype(np.float32)
    reward = np.where(row == PROMPT + length - 1, outcome, 0.0)
    old = Categorical(jnp.asarray(logits + shift * rng.normal(size=logits.shape).astype(np.float32)))
    rate = np.repeat(outcome.reshape(GROUPS, SIZE).mean(1), SIZE)

    def everywhere(x):
        return np.broadcast_to(np.asarray(x, np.float32), own.shape)

    weight = own / own.mean()
    rollout = rollout_of(
        reward,
        own=own,
        weight=weight.astype(np.float32),
        outcome=everywhere(outcome),
        pass_rate=everywhere(rate),
        advantage=everywhere(outcome - rate),
        log_prob=old.log_prob(jnp.asarray(action, jnp.int32)),
    ).replace(action=jnp.asarray(action, jnp.int32))
    return Answers(jnp.asarray(logits), rollout)


def loss_of(term, logits, rollout):
    """A term's mean over a rollout whose policy has these logits, as an agent takes it, and its metrics."""
    outputs = Outputs(Categorical(logits), jnp.zeros(logits.shape[:2]), jnp.zeros(logits.shape[:2]))
    return weighted_sum({"term": term}, {"term": 1.0}, {}, rollout, context(outputs=outputs))


def gradient(term, logits, rollout):
    """The gradient of :func:`loss_of` by the logits, as one vector."""
    return np.asarray(jax.grad(lambda x: loss_of(term, x, rollout)[0])(logits)).ravel()


def log_probs(logits, action):
    """Log-probabilities ``[T, N]`` of actions, in double precision."""
    logits = np.asarray(logits, np.float64)
    logits = logits - logits.max(-1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return np.take_along_axis(log_p, np.asarray(action)[..., None], -1)[..., 0]
