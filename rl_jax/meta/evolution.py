"""OpenAI-ES: moves any pytree of numbers to where random perturbations of it score better, without a derivative.

Salimans et al. 2017, "Evolution Strategies as a Scalable Alternative to Reinforcement Learning" (arXiv 1703.03864), with the
antithetic *task* sampling of Jackson et al. 2024, "Discovering Temporally-Aware Reinforcement Learning Algorithms" (arXiv
2402.05828; reference: https://github.com/EmptyJackson/groove): the two sides of a pair of opposite perturbations get the same
key, so the same task and the same luck, and all that counts is which of them did better.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from rl_jax.ops import apply_updates, unrolled_threefry
from rl_jax.types import Key, Metrics, PyTree

#: ``(candidate, key) -> score``, a scalar, larger is better. The task and all else that is random come from the key.
Fitness = Callable[[PyTree, Key], jax.Array]
#: Within which share of their size two scores are equal. Mean returns in float32 of 32 episodes with 1,000 rewards of -0.01 and one of
#: 1, in other orders, differ by less than 1e-6 of their size; one step more or less in one of them makes 3e-5.
TOLERANCE = 1e-5


class EvolutionState(NamedTuple):
    """``mean``: what is evolved. ``opt_state``: Adam's. ``generation``: done so far, ``int32``."""

    mean: PyTree
    opt_state: PyTree
    generation: jax.Array


@struct.dataclass
class Evolution:
    """One generation: ``pairs`` perturbations ``mean +- sigma e``, ``e`` normal, and a step of Adam along

        ``1 / (2 pairs sigma) * sum_i (rank_i+ - rank_i-) e_i``

    where the better side of a pair has rank 1 and the other 0 (Jackson et al. 2024; both 1/2 if they are equal within
    ``tolerance``, where their code compares exactly and gives the second one 1). Step size and ``sigma`` fall by a factor per
    generation down to a limit. The defaults are those of that code as its README corrects them.

    Attributes:
        learning_rate, learning_rate_decay, learning_rate_limit: of Adam.
        sigma, sigma_decay, sigma_limit: standard deviation of the perturbations.
        pairs: how many; the population is twice as many.
        tolerance: of :func:`pair_ranks`.
    """

    learning_rate: Any = 1e-2
    learning_rate_decay: Any = 0.999
    learning_rate_limit: Any = 1e-5
    sigma: Any = 0.1
    sigma_decay: Any = 1.0
    sigma_limit: Any = 0.0
    pairs: int = struct.field(pytree_node=False, default=512)
    tolerance: Any = TOLERANCE

    def init(self, mean: PyTree) -> EvolutionState:
        """The state before the first generation."""
        return EvolutionState(mean, optax.scale_by_adam().init(mean), jnp.zeros((), jnp.int32))

    def _at(self, generation: jax.Array, value: Any, decay: Any, limit: Any) -> jax.Array:
        passed = generation.astype(jnp.float32)
        return jnp.maximum(jnp.asarray(value, jnp.float32) * jnp.asarray(decay, jnp.float32) ** passed, limit)

    def ask(self, state: EvolutionState, key: Key) -> tuple[PyTree, PyTree]:
        """Perturbations ``e``, leaves ``[pairs, ...]``, and candidates, leaves ``[pairs, 2, ...]``: ``+`` and ``-``."""
        leaves, treedef = jax.tree.flatten(state.mean)
        keys = jax.random.split(key, len(leaves))
        noise = [jax.random.normal(keys[i], (self.pairs, *x.shape), x.dtype) for i, x in enumerate(leaves)]
        sigma = self._at(state.generation, self.sigma, self.sigma_decay, self.sigma_limit)

        def antithetic_pair(mean: jax.Array, e: jax.Array) -> jax.Array:
            step = (sigma * e).astype(mean.dtype)
            return jnp.stack([mean + step, mean - step], axis=1)

        return jax.tree.unflatten(treedef, noise), jax.tree.unflatten(
            treedef, [antithetic_pair(*z) for z in zip(leaves, noise, strict=True)]
        )

    def tell(self, state: EvolutionState, noise: PyTree, scores: jax.Array) -> EvolutionState:
        """The next mean, from the scores ``[pairs, 2]`` of the candidates; what is not a number is worst."""
        sigma = self._at(state.generation, self.sigma, self.sigma_decay, self.sigma_limit)
        ranks = pair_ranks(scores, self.tolerance)
        difference = ranks[:, 0] - ranks[:, 1]

        def climb(e: jax.Array) -> jax.Array:
            return (-jnp.tensordot(difference, e, axes=1) / (2 * self.pairs * sigma)).astype(e.dtype)

        rate = self._at(state.generation, self.learning_rate, self.learning_rate_decay, self.learning_rate_limit)
        updates, opt_state = optax.scale_by_adam().update(jax.tree.map(climb, noise), state.opt_state)
        return EvolutionState(apply_updates(state.mean, updates, rate), opt_state, state.generation + 1)

    def step(self, state: EvolutionState, fitness: Fitness, key: Key) -> tuple[EvolutionState, Metrics]:
        """One generation, all candidates side by side."""
        key_noise, key_tasks = jax.random.split(unrolled_threefry(key))
        noise, candidates = self.ask(state, key_noise)
        keys = jax.random.split(key_tasks, self.pairs)
        scores = jax.vmap(jax.vmap(fitness, (0, None)))(candidates, keys)
        finite = jnp.isfinite(scores)
        metrics = {
            "evolution/fitness": jnp.mean(scores, where=finite),
            "evolution/best": jnp.max(jnp.where(finite, scores, -jnp.inf)),
            "evolution/spread": jnp.mean(jnp.abs(scores[:, 0] - scores[:, 1]), where=finite.all(axis=1)),
            "evolution/failed": jnp.mean((~finite).astype(jnp.float32)),
        }
        return self.tell(state, noise, scores), metrics


def pair_ranks(scores: jax.Array, tolerance: Any = TOLERANCE) -> jax.Array:
    """Of each pair ``[pairs, 2]``, 1 for the better and 0 for the worse, 1/2 for both if they are equal; NaN is worst.

    Two scores are equal if they differ by no more than ``tolerance`` times the larger of their sizes: scores are mean returns, and
    equal rewards in another order give another sum.
    """
    scores = jnp.where(jnp.isnan(scores), -jnp.inf, scores)
    opposite = scores[:, ::-1]
    difference = jnp.abs(scores - opposite)
    near = jnp.isfinite(difference) & (difference <= tolerance * jnp.maximum(jnp.abs(scores), jnp.abs(opposite)))
    return jnp.where(near | (scores == opposite), 0.5, (scores > opposite).astype(jnp.float32))
