"""A batch of runs as three compiled programs: init, advance, evaluate."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.errors import RLJaxError
from rl_jax.loop import Trainer, evaluate
from rl_jax.run import lanes
from rl_jax.run.compiling import compiler_options
from rl_jax.run.devices import Devices, Kind, on_host
from rl_jax.run.memory import MOST, check_compiled
from rl_jax.types import PyTree


class Wanted(NamedTuple):
    """A program to be compiled: of what, where its arguments and results lie, the arguments' shapes, and which are consumed."""

    name: str
    function: Any
    takes: tuple[Kind, ...]
    gives: PyTree
    shapes: tuple[Any, ...]
    donate: tuple[int, ...] = ()


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
        prng: the generator of random numbers, a name that :func:`jax.random.key` knows.
        devices: over which devices it is split, and how.
    """

    trainer: Trainer
    seeds: list[int]
    steps: int
    eval_episodes: int
    batched: bool = False
    rows: int = 200
    prng: str = "threefry2x32"
    devices: Devices = field(default_factory=Devices)
    seconds_compile: float = field(default=0.0, init=False)
    _programs: dict[str, Any] = field(default_factory=dict, init=False)
    _coming: dict[str, Future[Any]] = field(default_factory=dict, init=False)
    _threads: ThreadPoolExecutor = field(default_factory=ThreadPoolExecutor, init=False)
    _jitted: dict[str, Any] = field(default_factory=dict, init=False)
    _shape: Any = field(default=None, init=False)
    _placed: Any = field(default=None, init=False)

    @property
    def single(self) -> bool:
        """One run, without a batch axis: its matrix products stay plain, which is faster than a batch of one."""
        return len(self.seeds) == 1 and not self.batched

    @property
    def updates(self) -> int:
        """Train steps of each run."""
        return self.trainer.num_updates(self.steps)

    def edges(self, steps: int | None = None) -> list[int]:
        """Train steps done at the end of each row, from 0, over ``steps`` environment steps (default: all that are planned)."""
        rows = min(self.rows, updates := self.trainer.num_updates(steps or self.steps))
        return [round(i * updates / rows) for i in range(rows + 1)]

    def keys(self, stream: int | None = None) -> jax.Array:
        """One typed key per run, from its seed, or one of its streams."""
        keys = jax.vmap(partial(jax.random.key, impl=self.prng))(jnp.asarray(self.seeds, jnp.uint32))
        if stream is not None:
            keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, stream)
        return self.devices.put(keys[0] if self.single else keys, self._place("runs"))

    def _lift(self, function: Any, axes: tuple[int | None, ...], in_place: bool = False) -> Any:
        if self.single:
            return function
        runs = self.devices.runs_each(len(self.seeds))
        return lanes.batch(function, (0 if self.batched else None, *axes), runs, in_place)

    def _place(self, kind: Kind) -> Any:
        """Where on the devices something lies."""
        if self.devices.mesh is None:
            return None
        one = jax.tree.map(lambda leaf: leaf[0], self.trainer) if self.batched else self.trainer
        return self.devices.sharding(kind, one, self.batched, not self.single)

    def _jit(self, name: str, function: Any, takes: tuple[Kind, ...], gives: PyTree, donate: tuple[int, ...] = ()) -> Any:
        """The function under ``jax.jit``; the same object each time, which jax traces once for all that is asked of it."""
        if name not in self._jitted:
            axes = tuple(None if kind == "whole" else 0 for kind in takes)
            places = tuple(map(self._place, ("trainer", *takes))), jax.tree.map(self._place, gives)
            self._jitted[name] = self.devices.jit(self._lift(function, axes, bool(donate)), *places, donate)
        return self._jitted[name]

    def _compile(self, *wanted: Wanted) -> None:
        """Make the programs that are not there yet: traced one after the other, compiled side by side."""
        self._start(*wanted)
        self._finish(*(one.name for one in wanted))

    def _start(self, *wanted: Wanted) -> None:
        """Trace the programs that are not there yet, and leave them to be compiled by other threads."""
        start = time.perf_counter()
        for name, function, takes, gives, shapes, donate in wanted:
            if name not in self._programs and name not in self._coming:
                jitted = self._jit(name, function, takes, gives, donate)
                with self.devices.tracing():
                    lowered = jitted.lower(self._trainer(), *shapes)
                self._coming[name] = self._threads.submit(lowered.compile, compiler_options())
        self.seconds_compile += time.perf_counter() - start

    def _finish(self, *names: str) -> None:
        """Wait for programs.

        Raises:
            RLJaxError: there is no room to run one of them.
        """
        start = time.perf_counter()
        for name in names:
            if name in self._coming:
                program = self._coming.pop(name).result()
                check_compiled(program, name)
                self._programs[name] = program
        self.seconds_compile += time.perf_counter() - start

    def _trainer(self) -> Trainer:
        """The hyperparameters on all devices."""
        if self._placed is None:
            self._placed = self.devices.put(self.trainer, self._place("trainer"))
        return self._placed

    def check(self) -> None:
        """Refuse a length that cannot be counted.

        Raises:
            RLJaxError: there are more train steps between two rows than ``int32`` has numbers.
        """
        if self.updates > MOST * self.rows:
            raise RLJaxError(f"--steps {self.steps} is more than one run can count: use larger --num-envs or fewer --steps")

    def _begin(self, trainer: Trainer, key: jax.Array, steps: jax.Array) -> PyTree:
        return trainer.init(key, steps)

    def _first(self) -> tuple[jax.Array, jax.Array]:
        """What a first state is made of: keys, and the planned length, which is no part of the program."""
        return self.keys(), self.devices.put(jnp.asarray(self.steps, jnp.float32), self._place("whole"))

    def state_shape(self) -> PyTree:
        """The training state's shapes, dtypes and places."""
        if self._shape is None:
            begin = self._jit("init", self._begin, ("runs", "whole"), "state")
            with self.devices.tracing():
                shape = begin.eval_shape(self._trainer(), *self._first())
            self._shape = self.devices.placed_shape(shape, self._place("state"))
        return self._shape

    def compile(self, fresh: bool = True) -> float:
        """Compile what trains; seconds it took. A resumed run (not ``fresh``) needs no first state, and may have no room for one."""
        state, number = self.state_shape(), jax.ShapeDtypeStruct((), jnp.int32)
        advance = Wanted("advance", Trainer.advance, ("state", "whole"), ("state", "whole"), (state, number), (1,))
        begin = Wanted("init", self._begin, ("runs", "whole"), "state", self._first())
        self._compile(*([begin] if fresh else []), advance)  # the small one is made while the large one is traced
        return self.seconds_compile

    def program(self, name: str) -> Any:
        """A compiled program: ``"init"`` or ``"advance"``."""
        return self._programs[name]

    def init(self) -> PyTree:
        """Fresh states."""
        return self._programs["init"](self._trainer(), *self._first())

    def advance(self, state: PyTree, num_updates: int) -> tuple[PyTree, dict[str, np.ndarray]]:
        """``num_updates`` train steps of every run; ``state`` is consumed. Metrics ``[B]`` on the host."""
        number = self.devices.put(jnp.asarray(num_updates, jnp.int32), self._place("whole"))
        state, metrics = self._programs["advance"](self._trainer(), state, number)
        self._finish(*(name for name, program in self._coming.items() if program.done()))  # what has failed shall say so now
        return state, {name: np.atleast_1d(np.asarray(value)) for name, value in metrics.items()}

    def _evaluation(self, greedy: bool) -> Wanted:
        episodes = self.eval_episodes

        def play(trainer: Trainer, state: PyTree, key: jax.Array) -> Any:
            return evaluate(trainer, state, key, episodes, greedy)

        return Wanted(f"evaluate {episodes} {greedy}", play, ("state", "runs"), "whole", (self.state_shape(), self.keys()))

    def start_evaluation(self) -> None:
        """Trace the evaluation and have it compiled while other things go on; nothing if that was done."""
        if not any(name.startswith("evaluate") for name in (*self._programs, *self._coming)):
            self._start(self._evaluation(True))

    def compile_evaluation(self, greedy: bool = True) -> Any:
        """Compile an evaluation, so that playing it can be timed by itself."""
        wanted = self._evaluation(greedy)
        self._compile(wanted)
        return self._programs[wanted.name]

    def evaluate(self, state: PyTree, stream: int, greedy: bool = True) -> "Scores":
        """Whole episodes of every run, from keys of their own: ``stream`` tells evaluations of one run apart."""
        result = self.compile_evaluation(greedy)(self._trainer(), state, self.keys(stream))
        batch = len(self.seeds)
        returns, lengths, finished = (
            np.asarray(x).reshape(batch, -1) for x in (result.returns, result.lengths, result.finished)
        )
        return Scores(returns.astype(np.float64), lengths, finished)

    def ask(self, question: Any, state: PyTree, stream: int = 2**31 - 2) -> dict[str, np.ndarray]:
        """What ``question(trainer, state, key)`` answers of every run, compiled: arrays ``[B, ...]`` on the host."""
        name = f"ask {question}"
        self._compile(Wanted(name, question, ("state", "runs"), "whole", (self.state_shape(), self.keys())))
        answers = self._programs[name](self._trainer(), state, self.keys(stream))
        return {
            name: np.asarray(x, np.float64).reshape(len(self.seeds), *x.shape[not self.single :]) for name, x in answers.items()
        }

    def params(self, state: PyTree) -> PyTree:
        """All runs' parameters, on the host."""
        return jax.tree.map(on_host, self.trainer.params(state))

    def finite(self, state: PyTree) -> np.ndarray:
        """Whether all parameters of each run are finite ``[B]``."""
        leaves = [x for x in jax.tree.leaves(self.params(state)) if np.issubdtype(x.dtype, np.inexact)]
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
