"""Problems of ``tokens/chain``: which are drawn, how they are written, and what is true of them."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.envs.tokens.task import EQUALS, PAD, PLUS, Problem
from rl_jax.types import Key

OPERATORS = "+-x"


@struct.dataclass
class ChainParams:
    """Which problems are drawn, and how its demonstrator errs.

    Attributes:
        tiers: ``float32 [operands - 1]``, the weight of problems with 2, 3, ... operands.
        operators: ``float32 [3]``, the weights of ``+``, ``-`` and ``x``.
        slip: probability that a result is replaced by a uniformly random digit. Later results follow from that one.
        misconception: probability that a product comes out one too large (``a x b + 1``). Above 1/2 the demonstrator's most likely
            answer is wrong.
        padding: probability of a step that does nothing before each result, while there is room.
    """

    tiers: Any
    operators: Any
    slip: Any
    misconception: Any
    padding: Any


class Terms(NamedTuple):
    """What is hidden of a problem.

    ``digits`` ``int32 [operands]`` and ``operators`` ``int32 [operands - 1]``, 0 to 2 for ``+-x``; of the results the first ``steps``
    are asked, and ``answer`` is the last of these.
    """

    digits: jax.Array
    operators: jax.Array
    steps: jax.Array
    answer: jax.Array


def applied(operator: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
    """``a`` and ``b``, digits, combined by operator 0 to 2, modulo 10."""
    return jnp.where(operator == 0, a + b, jnp.where(operator == 1, a - b + 10, a * b)) % 10


def problem_of(digits: jax.Array, operators: jax.Array, steps: jax.Array | int) -> Problem:
    """The problem of the first ``steps + 1`` of the ``digits`` ``int32 [operands]``; ``operators`` ``int32 [operands - 1]``."""
    steps = jnp.asarray(steps, jnp.int32)
    answer = digits[0]
    for index, (operator, digit) in enumerate(zip(operators, digits[1:], strict=True)):
        answer = jnp.where(index < steps, applied(operator, answer, digit), answer)
    signs = jnp.concatenate([operators + PLUS, jnp.full((1,), EQUALS, jnp.int32)])
    text = jnp.stack([digits, signs], axis=1).reshape(-1)
    position = jnp.arange(len(text), dtype=jnp.int32) + 2 * (steps + 1) - len(text)
    prompt = jnp.where(position < 0, PAD, jnp.where(position == 2 * steps + 1, EQUALS, text[jnp.maximum(position, 0)]))
    return Problem(prompt, Terms(digits, operators, steps, answer))


def weighted(key: Key, shape: tuple[int, ...], weights: jax.Array) -> jax.Array:
    """Indices of ``shape``, ``int32``, with probabilities in proportion to ``weights`` ``[n]``."""
    limits = jnp.cumsum(weights)
    drawn = jax.random.uniform(key, shape, jnp.float32) * limits[-1]
    return jnp.sum(drawn[..., None] >= limits, axis=-1, dtype=jnp.int32)
