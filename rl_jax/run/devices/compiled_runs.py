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
from rl_jax.loop import Trainer
from rl_jax.loop.evaluate import longest, play_episodes, start_episodes
from rl_jax.run.devices.compiling import compiler_options
from rl_jax.run.devices.device_memory import MOST, check_compiled
from rl_jax.run.devices.evaluation import Scores, Watch, play_out
from rl_jax.run.devices.placement import Devices, Layout, on_host
from rl_jax.run.devices.vmap_in_chunks import vmap_in_chunks
from rl_jax.types import PyTree

PER_RUN, REPLICATED, TRAIN_STATE = Layout.PER_RUN, Layout.REPLICATED, Layout.TRAIN_STATE


class ProgramSpec(NamedTuple):
    """A program to be compiled: of what, where its arguments and results lie, the arguments' shapes, and which are consumed."""

    name: str
    function: Any
    in_layout: tuple[Layout, ...]
    out_layout: PyTree
    shapes: tuple[Any, ...]
    donate: tuple[int, ...] = ()


@dataclass
class CompiledRuns:
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
        return self.devices.put(keys[0] if self.single else keys, self._place(PER_RUN))

    def _lift(self, function: Any, axes: tuple[int | None, ...], in_place: bool = False) -> Any:
        if self.single:
            return function
        runs = self.devices.runs_each(len(self.seeds))
        return vmap_in_chunks(function, (0 if self.batched else None, *axes), runs, in_place)

    def _place(self, kind: Layout) -> Any:
        """Where on the devices something lies."""
        if self.devices.mesh is None:
            return None
        one = jax.tree.map(lambda leaf: leaf[0], self.trainer) if self.batched else self.trainer
        return self.devices.sharding(kind, one, self.batched, not self.single)

    def _jit(
        self, name: str, function: Any, in_layout: tuple[Layout, ...], out_layout: PyTree, donate: tuple[int, ...] = ()
    ) -> Any:
        """The function under ``jax.jit``; the same object each time, which jax traces once for all that is asked of it."""
        if name not in self._jitted:
            axes = tuple(None if layout is REPLICATED else 0 for layout in in_layout)
            places = tuple(map(self._place, (Layout.TRAINER, *in_layout))), jax.tree.map(self._place, out_layout)
            self._jitted[name] = self.devices.jit(self._lift(function, axes, bool(donate)), *places, donate)
        return self._jitted[name]

    def _compile(self, *wanted: ProgramSpec) -> None:
        """Make the programs that are not there yet: traced one after the other, compiled side by side."""
        self._start(*wanted)
        self._finish(*(one.name for one in wanted))

    def _start(self, *wanted: ProgramSpec) -> None:
        """Trace the programs that are not there yet, and leave them to be compiled by other threads."""
        start = time.perf_counter()
        for name, function, in_layout, out_layout, shapes, donate in wanted:
            if name not in self._programs and name not in self._coming:
                jitted = self._jit(name, function, in_layout, out_layout, donate)
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
            self._placed = self.devices.put(self.trainer, self._place(Layout.TRAINER))
        return self._placed

    def check(self) -> None:
        """Refuse a length that cannot be counted, and a setting of jax that ends compiled runs.

        Raises:
            RLJaxError: there are more train steps between two rows than ``int32`` has numbers, or ``jax_debug_nans`` is on.
        """
        settings: Any = jax.config
        if settings.jax_debug_nans:
            raise RLJaxError("jax_debug_nans cannot be used with a compiled run, which looks for NaN itself: switch it off")
        if self.updates > MOST * self.rows:
            raise RLJaxError(f"--steps {self.steps} is more than one run can count: use larger --num-envs or fewer --steps")

    def _begin(self, trainer: Trainer, key: jax.Array, steps: jax.Array) -> PyTree:
        return trainer.init(key, steps)

    def _advance(self, trainer: Trainer, state: PyTree, number: jax.Array, frozen: jax.Array) -> tuple[PyTree, dict[str, Any]]:
        """Train steps of one run; ``failed`` tells whether it met NaN or infinity. One of several keeps what it had learned before.

        So a run that has failed stays as it was, at the cost of a copy of its agent for each call.
        """
        agent = state.agent
        state, metrics = trainer.advance(state, number)
        leaves = [x for x in jax.tree.leaves(trainer.params(state)) if jnp.issubdtype(x.dtype, jnp.inexact)]
        # An agent may have no parameters.
        finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in leaves] or [jnp.bool_(True)]))
        failed = frozen | (metrics["nonfinite_update"] >= 0) | ~finite
        if not self.single:
            state = state.replace(agent=jax.tree.map(partial(jax.lax.select, failed), agent, state.agent))
        return state, {**metrics, "failed": failed}

    def _frozen(self, frozen: np.ndarray | None) -> jax.Array:
        """Which runs have failed before ``[B]``, where the program takes it."""
        flags = jnp.asarray(np.zeros(len(self.seeds), bool) if frozen is None else frozen)
        return self.devices.put(flags[0] if self.single else flags, self._place(PER_RUN))

    def _first(self) -> tuple[jax.Array, jax.Array]:
        """What a first state is made of: keys, and the planned length, which is no part of the program."""
        return self.keys(), self.devices.put(jnp.asarray(self.steps, jnp.float32), self._place(REPLICATED))

    def state_shape(self) -> PyTree:
        """The training state's shapes, dtypes and places."""
        if self._shape is None:
            begin = self._jit("init", self._begin, (PER_RUN, REPLICATED), TRAIN_STATE)
            with self.devices.tracing():
                shape = begin.eval_shape(self._trainer(), *self._first())
            self._shape = self.devices.placed_shape(shape, self._place(TRAIN_STATE))
        return self._shape

    def compile(self, fresh: bool = True) -> float:
        """Compile what trains; seconds it took. A resumed run (not ``fresh``) needs no first state, and may have no room for one."""
        state, number = self.state_shape(), jax.ShapeDtypeStruct((), jnp.int32)
        shapes = (state, number, self._frozen(None))
        advance = ProgramSpec(
            "advance", self._advance, (TRAIN_STATE, REPLICATED, PER_RUN), (TRAIN_STATE, REPLICATED), shapes, (1,)
        )
        begin = ProgramSpec("init", self._begin, (PER_RUN, REPLICATED), TRAIN_STATE, self._first())
        self._compile(*([begin] if fresh else []), advance)  # the small one is made while the large one is traced
        return self.seconds_compile

    def program(self, name: str) -> Any:
        """A compiled program: ``"init"`` or ``"advance"``."""
        return self._programs[name]

    def init(self) -> PyTree:
        """Fresh states."""
        return self._programs["init"](self._trainer(), *self._first())

    def advance(
        self, state: PyTree, num_updates: int, frozen: np.ndarray | None = None
    ) -> tuple[PyTree, dict[str, np.ndarray]]:
        """``num_updates`` train steps of every run; ``state`` is consumed. Metrics ``[B]`` on the host.

        Args:
            state: of all runs.
            num_updates: train steps.
            frozen: runs ``[B]`` that have failed before: they learn nothing any more.
        """
        number = self.devices.put(jnp.asarray(num_updates, jnp.int32), self._place(REPLICATED))
        state, metrics = self._programs["advance"](self._trainer(), state, number, self._frozen(frozen))
        self._finish(*(name for name, program in self._coming.items() if program.done()))  # what has failed shall say so now
        return state, {name: np.atleast_1d(np.asarray(value)) for name, value in metrics.items()}

    def _evaluation(self, greedy: bool) -> tuple[ProgramSpec, ProgramSpec]:
        """The beginning of an evaluation, and playing on."""
        episodes = self.eval_episodes

        def start(trainer: Trainer, state: PyTree, key: jax.Array) -> Any:
            return start_episodes(trainer, state, key, episodes)

        def play(trainer: Trainer, state: PyTree, playing: Any, until: jax.Array) -> Any:
            return play_episodes(trainer, state, playing, until, greedy)

        first = ProgramSpec(
            f"evaluate {episodes}",
            start,
            (TRAIN_STATE, PER_RUN),
            PER_RUN,
            (self.state_shape(), self.keys()),
        )
        jitted = self._jit(first.name, first.function, first.in_layout, first.out_layout)
        with self.devices.tracing():
            playing = jitted.eval_shape(self._trainer(), *first.shapes)
        playing = self.devices.placed_shape(playing, self._place(PER_RUN))
        shapes = (self.state_shape(), playing, jax.ShapeDtypeStruct((), jnp.int32))
        on = ProgramSpec(f"evaluate on {episodes} {greedy}", play, (TRAIN_STATE, PER_RUN, REPLICATED), PER_RUN, shapes)
        return first, on

    def start_evaluation(self) -> None:
        """Trace the evaluation and have it compiled while other things go on; nothing if that was done."""
        if not any(name.startswith("evaluate") for name in (*self._programs, *self._coming)):
            self._start(*self._evaluation(True))

    def compile_evaluation(self, greedy: bool = True) -> tuple[Any, Any]:
        """Compile an evaluation, so that playing it can be timed by itself."""
        wanted = self._evaluation(greedy)
        self._compile(*wanted)
        return self._programs[wanted[0].name], self._programs[wanted[1].name]

    def evaluate(
        self, state: PyTree, stream: int, greedy: bool = True, steps: int | None = None, watch: Watch | None = None
    ) -> Scores | None:
        """Whole episodes of every run, from keys of their own.

        Args:
            state: of all runs.
            stream: tells evaluations of one run apart.
            greedy: the policy's mode instead of a sample.
            steps: after which episodes are left unfinished; default: the time limit, or 10,000.
            watch: called now and then, with the steps played, their limit, and how many episodes still run; when it returns true
                the evaluation is given up, and ``None`` returned.
        """
        start, play = self.compile_evaluation(greedy)

        def on(playing: Any, until: int) -> Any:
            steps = self.devices.put(jnp.asarray(until, jnp.int32), self._place(REPLICATED))
            return play(self._trainer(), state, playing, steps)

        playing = start(self._trainer(), state, self.keys(stream))
        return play_out(playing, on, longest(self.trainer, steps), len(self.seeds), watch)

    def ask(self, question: Any, state: PyTree, stream: int = 2**31 - 2) -> dict[str, np.ndarray]:
        """What ``question(trainer, state, key)`` answers of every run, compiled: arrays ``[B, ...]`` on the host."""
        name = f"ask {question}"
        self._compile(ProgramSpec(name, question, (TRAIN_STATE, PER_RUN), REPLICATED, (self.state_shape(), self.keys())))
        answers = self._programs[name](self._trainer(), state, self.keys(stream))
        return {
            name: np.asarray(x, np.float64).reshape(len(self.seeds), *x.shape[not self.single :]) for name, x in answers.items()
        }

    def params(self, state: PyTree) -> PyTree:
        """All runs' parameters, on the host."""
        return jax.tree.map(on_host, self.trainer.params(state))
