"""Measures of several answers to one problem."""

import jax
import jax.numpy as jnp

from rl_jax.argument_checks import check_argument
from rl_jax.errors import RLJaxError
from rl_jax.values import Count


def pass_at_k(correct: jax.Array, k: int) -> jax.Array:
    """The probability that one of ``k`` answers is right, ``[...]``, from ``n`` of them.

    Chen et al. 2021, "Evaluating Large Language Models Trained on Code", eq. 1: ``1 - C(n - c, k) / C(n, k)`` with ``c`` right
    ones, which is unbiased; written as a product, so that nothing overflows.

    Args:
        correct: ``[..., n]``, whether each is right.
        k: at most ``n``, static.

    Raises:
        RLJaxError: there are not as many answers.
    """
    number = _number(correct, k)
    wrong = number - jnp.sum(correct.astype(jnp.float32), axis=-1)
    drawn = jnp.arange(k, dtype=jnp.float32)
    return 1.0 - jnp.prod(jnp.maximum(wrong[..., None] - drawn, 0.0) / (number - drawn), axis=-1)


def majority_at_k(answers: jax.Array, correct: jax.Array, k: int) -> jax.Array:
    """The probability that the most frequent of ``k`` answers is right, ``[...]``; of several the draw is fair.

    Averaged over the ``n // k`` blocks of ``k`` answers that ``n`` have. (Wang et al. 2022, "Self-Consistency".)

    Args:
        answers: ``int32 [..., n]``; equal answers are equal numbers.
        correct: ``[..., n]``, whether each is right.
        k: at most ``n``, static.

    Raises:
        RLJaxError: there are not as many answers.
    """
    blocks = _number(correct, k) // k
    shape = (*answers.shape[:-1], blocks, k)
    answers, right = answers[..., : blocks * k].reshape(shape), correct[..., : blocks * k].reshape(shape)
    votes = jnp.sum(answers[..., :, None] == answers[..., None, :], axis=-1)
    # Each answer of a winner stands for one vote of it: with as many votes each, their share is that of the winners.
    winner = votes == jnp.max(votes, axis=-1, keepdims=True)
    return jnp.mean(jnp.sum(jnp.where(winner, right, 0.0), axis=-1) / jnp.sum(winner, axis=-1), axis=-1)


def _number(correct: jax.Array, k: int) -> int:
    number = correct.shape[-1]
    check_argument("k", k, Count)
    if k > number:
        raise RLJaxError(f"{number} answers do not say what {k} would do: let k be from 1 to {number}")
    return number
