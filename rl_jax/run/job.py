"""A batch of runs as three compiled programs: init, advance, evaluate."""

import time
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.errors import RLJaxError
from rl_jax.loop import Trainer, evaluate
from rl_jax.run.compiling import compiler_options
from rl_jax.run.memory import MOST, check_compiled
from rl_jax.types import PyTree


@dataclass
class Job:
    """One or many runs of one program, side by side.

    Attributes:
        trainer: the run; with ``batched`` its leaves have a leading axis ``[B]`` (a sweep's settings).
        seeds: the seed of each of the ``B`` runs.
        steps: environment steps planned for each.
        eval_episodes: episodes of an evaluation of each.
        batched: whether the trainer's leaves are batched.
        rows: lines of metrics over the whole job.
    """

    trainer: Trainer
    seeds: list[int]
    steps: int
    eval_episodes: int
    batched: bool = False
    rows: int = 200
    seconds_compile: float = field(default=0.0, init=False)
    _programs: dict[str, Any] = field(default_factory=dict, init=False)
    _shape: Any = field(default=None, init=False)

    @property
    def single(self) -> bool:
        """One run, without a batch axis: its matrix products stay plain, which is faster than a batch of one."""
        return len(self.seeds) == 1 and not self.batched

    @property
    def updates(self) -> int:
        """Train steps of each run."""
        return self.trainer.num_updates(self.steps)

    def edges(self) -> list[int]:
        """Train steps done at the end of each row, from 0; the same for every start of the same job."""
        rows = min(self.rows, self.updates)
        return [round(i * self.updates / rows) for i in range(rows + 1)]

    def keys(self) -> jax.Array:
        """One typed key per run, from its seed."""
        if self.single:
            return jax.random.key(self.seeds[0])
        return jax.vmap(jax.random.key)(jnp.asarray(self.seeds, jnp.uint32))

    def _lift(self, function: Any, axes: tuple[int | None, ...]) -> Any:
        if self.single:
            return function
        return jax.vmap(function, in_axes=(0 if self.batched else None, *axes))

    def _compile(
        self, name: str, function: Any, axes: tuple[int | None, ...], *shapes: Any, donate: tuple[int, ...] = ()
    ) -> Any:
        if name not in self._programs:
            start = time.perf_counter()
            lowered = jax.jit(self._lift(function, axes), donate_argnums=donate).lower(self.trainer, *shapes)
            program = lowered.compile(compiler_options())
            check_compiled(program, name)
            self._programs[name] = program
            self.seconds_compile += time.perf_counter() - start
        return self._programs[name]

    def check(self) -> None:
        """Refuse a length that cannot be counted.

        Raises:
            RLJaxError: there are more train steps between two rows than ``int32`` has numbers.
        """
        if self.updates > MOST * self.rows:
            raise RLJaxError(f"--steps {self.steps} is more than one run can count: use larger --num-envs or fewer --steps")

    def state_shape(self) -> PyTree:
        """The training state's shapes and dtypes."""
        if self._shape is None:
            function = self._lift(lambda trainer, key: trainer.init(key, self.steps), (0,))
            self._shape = jax.eval_shape(function, self.trainer, self.keys())
        return self._shape

    def compile(self, fresh: bool = True) -> float:
        """Compile everything; seconds it took. A resumed run (not ``fresh``) needs no first state, and may have no room for one."""
        state = self.state_shape()
        if fresh:
            self._compile("init", lambda trainer, key: trainer.init(key, self.steps), (0,), self.keys())
        self._compile("advance", Trainer.advance, (0, None), state, jax.ShapeDtypeStruct((), jnp.int32), donate=(1,))
        self.compile_evaluation()
        return self.seconds_compile

    def init(self) -> PyTree:
        """Fresh states."""
        return self._programs["init"](self.trainer, self.keys())

    def advance(self, state: PyTree, num_updates: int) -> tuple[PyTree, dict[str, np.ndarray]]:
        """``num_updates`` train steps of every run; ``state`` is consumed. Metrics ``[B]`` on the host."""
        state, metrics = self._programs["advance"](self.trainer, state, jnp.asarray(num_updates, jnp.int32))
        return state, {name: np.atleast_1d(np.asarray(value)) for name, value in metrics.items()}

    def compile_evaluation(self, greedy: bool = True) -> Any:
        """Compile an evaluation, so that playing it can be timed by itself."""
        episodes = self.eval_episodes

        def play(trainer: Trainer, state: PyTree, key: jax.Array) -> Any:
            return evaluate(trainer, state, key, episodes, greedy)

        return self._compile(f"evaluate {episodes} {greedy}", play, (0, 0), self.state_shape(), self.keys())

    def evaluate(self, state: PyTree, stream: int, greedy: bool = True) -> "Scores":
        """Whole episodes of every run, from keys of their own: ``stream`` tells evaluations of one run apart."""
        program = self.compile_evaluation(greedy)
        keys = self.keys()
        fold = jax.random.fold_in
        keys = fold(keys, stream) if self.single else jax.vmap(fold, in_axes=(0, None))(keys, stream)
        result = program(self.trainer, state, keys)
        batch = len(self.seeds)
        returns, lengths, finished = (
            np.asarray(x).reshape(batch, -1) for x in (result.returns, result.lengths, result.finished)
        )
        return Scores(returns.astype(np.float64), lengths, finished)

    def finite(self, state: PyTree) -> np.ndarray:
        """Whether all parameters of each run are finite ``[B]``."""
        leaves = [np.asarray(x) for x in jax.tree.leaves(self.trainer.params(state)) if jnp.issubdtype(x.dtype, jnp.inexact)]
        return np.all([np.isfinite(x).reshape(len(self.seeds), -1).all(axis=1) for x in leaves], axis=0)


@dataclass(frozen=True)
class Scores:
    """Evaluation of ``B`` runs, ``E`` episodes each; arrays ``[B, E]``."""

    returns: np.ndarray
    lengths: np.ndarray
    finished: np.ndarray

    def per_run(self) -> np.ndarray:
        """Mean return of each run's finished episodes ``[B]``; NaN if none finished."""
        count = self.finished.sum(axis=1)
        total = np.where(self.finished, self.returns, 0.0).sum(axis=1)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)
