"""Which tasks of a family to train on, so that few policies cover all of it: model-based transfer learning.

Cho, Jayawardana, Li and Wu 2024, "Model-Based Transfer Learning for Contextual Reinforcement Learning" (arXiv:2408.04498, NeurIPS 2024;
reference: github.com/jhoon-cho/MBTL).

The family has one parameter, on a grid of ``K`` values. ``transfer[i, j]`` is the return on task ``j`` of the policy of task ``i``.
:func:`transfer_matrix` trains and evaluates all of them; the strategies then see of it only the rows that they choose, so any
number of strategies is compared on one matrix. Training is where the time goes: it is compiled. Choosing is a few small matrices: it
is NumPy in float64 on the host.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray

from rl_jax.errors import RLJaxError
from rl_jax.loop import Trainer, evaluate
from rl_jax.meta.lifetime import in_task
from rl_jax.types import Key, PyTree

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


class Coverage(NamedTuple):
    """How well the policies chosen so far serve the family, if each task is given to the best of them.

    Attributes:
        chosen: indices of the tasks trained on, in order ``[rounds]``.
        transfer: return of each policy on every task ``[rounds, K]``.
        score: mean over tasks of the best so far ``[rounds]``.
    """

    chosen: Indices
    transfer: Array
    score: Array


def transfer_matrix(
    trainer: Trainer,
    tasks: PyTree,
    keys: Key,
    num_steps: int,
    episodes: int = 64,
    group: int = 8,
    max_steps: int = 10_000,
) -> jax.Array:
    """Train a policy on every task and evaluate it, greedily, on every task. Pure; ``jit`` and ``vmap`` go through it.

    Args:
        trainer: what is trained; its curriculum is replaced by each of the tasks.
        tasks: the environment's ``params`` with a leading axis ``[K]`` on every leaf.
        keys: one for each run ``[K]``. All tasks are evaluated with the episodes that the run's key gives, so a row compares tasks
            from the same starts.
        num_steps: environment steps of each run.
        episodes: of each evaluation; of those only the finished ones count, and none finished is NaN.
        group: runs side by side, static: what bounds the memory.
        max_steps: limit of an evaluated episode.

    Returns:
        Mean returns ``[K, K]``: row the task trained on, column the task evaluated on.

    Raises:
        RLJaxError: ``tasks`` and ``keys`` differ in their number.
    """
    if len({jax.numpy.shape(leaf)[:1] for leaf in jax.tree.leaves(tasks)} | {keys.shape}) != 1 or not keys.shape:
        raise RLJaxError(f"every leaf of tasks needs a leading axis [K], and keys the shape [K], not {list(keys.shape)}")

    def row(task_and_key: tuple[PyTree, Key]) -> jax.Array:
        task, key = task_and_key
        run_in_task = in_task(trainer, task)
        state = run_in_task.train(key, num_steps, 1)[0]

        def test(test_task: PyTree) -> jax.Array:
            return evaluate(run_in_task, state, key, episodes, max_steps=max_steps, task=test_task).mean()

        return jax.vmap(test)(tasks)

    return jax.lax.map(row, (tasks, keys), batch_size=min(group, keys.shape[0]))


def normalized(transfer: ArrayLike, low: float | None = None, high: float | None = None) -> Array:
    """Returns brought to ``[0, 1]``: ``low`` and ``high`` are the ends of what is possible, by default the matrix's own."""
    values = np.asarray(transfer, np.float64)
    low, high = float(values.min()) if low is None else low, float(values.max()) if high is None else high
    if not high > low:
        raise RLJaxError(f"returns cannot be normalised from [{low}, {high}]: give low and high, with high above low")
    return (values - low) / (high - low)


@dataclass(frozen=True)
class GaussianProcess:
    """Regression with prior mean 0, covariance ``constant * exp(-(x - x')^2 / (2 length^2))`` and independent noise.

    Rasmussen and Williams 2006, *Gaussian Processes for Machine Learning*, Algorithm 2.1.

    Attributes:
        constant, length: of the covariance.
        noise: standard deviation of an observation. The paper writes 0.1; its code's variance is 0.01, which is the same.
    """

    constant: float = 1.0
    length: float = 1.0
    noise: float = 0.1

    def covariance(self, a: Array, b: Array) -> Array:
        """``[A, B]`` of points ``[A]`` and ``[B]``."""
        return self.constant * np.exp(-0.5 * ((a[:, None] - b[None, :]) / self.length) ** 2)

    def _factor(self, x: Array, y: Array) -> tuple[Array, Array]:
        root = np.linalg.cholesky(self.covariance(x, x) + self.noise**2 * np.eye(len(x)))
        return np.asarray(root, np.float64), np.asarray(np.linalg.solve(root, y), np.float64)

    def log_likelihood(self, x: Array, y: Array) -> float:
        """Of the observations ``y`` ``[n]`` at ``x`` ``[n]``, the function integrated out."""
        root, white = self._factor(x, y)
        return float(-0.5 * white @ white - np.log(np.diag(root)).sum() - 0.5 * len(x) * math.log(2 * math.pi))

    def posterior(self, x: Array, y: Array, at: Array) -> tuple[Array, Array]:
        """Mean and standard deviation ``[m]`` of the function, without noise, at ``at`` ``[m]``."""
        root, white = self._factor(x, y)
        half = np.linalg.solve(root, self.covariance(x, at))
        return half.T @ white, np.sqrt(np.maximum(self.constant - (half**2).sum(0), 0.0))

    def fitted(self, x: Array, y: Array, size: int = 25) -> "GaussianProcess":
        """The most likely constant in ``[1e-3, 1e3]`` and length in ``[1e-2, 1e2]``, on a grid of ``size`` each; the noise stays.

        The reference climbs from ten random starts within the same bounds; a grid finds the same hill every time.
        """
        constants, lengths = np.logspace(-3, 3, size), np.logspace(-2, 2, size)
        each = [GaussianProcess(float(c), float(length), self.noise) for c in constants for length in lengths]
        return max(each, key=lambda process: process.log_likelihood(x, y))


def log_beta(k: int) -> float:
    """``sqrt(log k)`` in round ``k``, counted from 1: the weight of the paper's main results."""
    return math.sqrt(math.log(k))


def acquisition(mean: Array, deviation: Array, best: Array, contexts: Array, slope: float, beta: float) -> Array:
    """Expected gain of coverage from training on each task ``[K]``.

    ``mean_x' max(mean(x) + beta deviation(x) - slope |x - x'| - best(x'), 0)``: what training on ``x`` may bring, less what is lost
    linearly with distance, beyond what there is.

    Args:
        mean, deviation: of the return of training and testing on each task ``[K]``.
        best: return of the best policy so far on each task ``[K]``.
        contexts: the parameter ``[K]``.
    """
    lost = slope * np.abs(contexts[:, None] - contexts[None, :])
    return np.maximum((mean + beta * deviation)[:, None] - lost - best[None, :], 0.0).mean(1)


def coverage(transfer: ArrayLike, chosen: ArrayLike) -> Coverage:
    """What is covered after each round, for tasks chosen in this order."""
    table, order = _table(transfer), np.asarray(chosen, np.int64)
    rows = table[order]
    return Coverage(order, rows, np.maximum.accumulate(rows, axis=0).mean(1))


def mbtl(
    transfer: ArrayLike,
    rounds: int,
    slope: float = 0.005,
    beta: float | Callable[[int], float] = log_beta,
    noise: float = 0.1,
    contexts: ArrayLike | None = None,
) -> Coverage:
    """Choose tasks by the expected gain of coverage under a Gaussian process over what was trained so far.

    The first task is the middle one. Where no gain is expected anywhere the first untrained task is taken. The process is fitted
    to the best return on each chosen task at that time, transferred ones included, as in the reference (``MBTL/utils.py``).

    Args:
        transfer: ``[K, K]``, returns in ``[0, 1]`` (:func:`normalized`). Only the rows of chosen tasks are read.
        rounds: tasks to choose, at most ``K``.
        slope: return lost per unit of the context. The paper's 0.005 is per step of a grid of 100, or 0.5 from end to end.
        beta: weight of the uncertainty, or a function of the round from 1 (the paper also has 1 and ``1/k``).
        noise: standard deviation of a run's return around the process.
        contexts: the parameter ``[K]``, by default the index on the grid.
    """
    table = _table(transfer, rounds)
    x = np.arange(len(table), dtype=np.float64) if contexts is None else np.asarray(contexts, np.float64)
    if x.shape != (len(table),):
        raise RLJaxError(f"contexts have shape {x.shape}: one number for each of the {len(table)} tasks is needed")
    chosen = [int(np.argmin(np.abs(x - 0.5 * (x.min() + x.max()))))]
    for k in range(2, rounds + 1):
        # Of each chosen task the best return on it when it was chosen, by its own policy or by one from before.
        best_returns = np.maximum.accumulate(table[np.ix_(chosen, chosen)], axis=0).diagonal()
        process = GaussianProcess(noise=noise).fitted(x[chosen], best_returns)
        mean, deviation = process.posterior(x[chosen], best_returns, x)
        weight = beta(k) if callable(beta) else beta
        gain = acquisition(mean, deviation, table[chosen].max(0), x, slope, weight)
        gain[chosen] = -1.0
        chosen.append(int(np.argmax(gain)))
    return coverage(table, chosen)


def random_order(transfer: ArrayLike, rounds: int, seed: int = 0) -> Coverage:
    """Tasks drawn without replacement."""
    table = _table(transfer, rounds)
    return coverage(table, np.random.default_rng(seed).permutation(len(table))[:rounds])


def equidistant(transfer: ArrayLike, rounds: int) -> Coverage:
    """The grid cut into ``rounds`` equal pieces, the middle of each: knows its budget, so every budget is another choice."""
    table = _table(transfer, rounds)
    return coverage(table, [-(-(2 * i + 1) * len(table) // (2 * rounds)) - 1 for i in range(rounds)])


def greedy_oracle(transfer: ArrayLike, rounds: int) -> Coverage:
    """Sees the whole matrix and takes what gains most; the best for one round, within ``1 - 1/e`` of the best set later."""
    table = _table(transfer, rounds)
    best = np.full(len(table), -np.inf)
    chosen: list[int] = []
    for _ in range(rounds):
        gain = np.maximum(table, best).mean(1)
        gain[chosen] = -np.inf
        chosen.append(int(np.argmax(gain)))
        best = np.maximum(best, table[chosen[-1]])
    return coverage(table, chosen)


def independent(transfer: ArrayLike) -> float:
    """Every task by the policy trained on it: what ``K`` runs without transfer score."""
    return float(np.diag(_table(transfer)).mean())


def _table(transfer: ArrayLike, rounds: int = 1) -> Array:
    table = np.asarray(transfer, np.float64)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not table.size:
        raise RLJaxError(f"a transfer matrix is [K, K], not {list(table.shape)}; take one seed at a time")
    if not np.isfinite(table).all():
        raise RLJaxError(
            "the transfer matrix is not finite: raise max_steps if no evaluated episode ended, or lower the learning rate"
        )
    if not 1 <= rounds <= len(table):
        raise RLJaxError(f"rounds must be from 1 to the number of tasks {len(table)}, not {rounds}")
    return table
