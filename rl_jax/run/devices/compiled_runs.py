"""A batch of runs as three compiled programs: init, advance, evaluate."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from operator import itemgetter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.errors import RLJaxError
from rl_jax.loop import Trainer, counter
from rl_jax.loop.evaluate import longest, play_episodes, start_episodes
from rl_jax.run.devices.compiling import compiler_options
from rl_jax.run.devices.device_memory import INT32_MAX, check_compiled
from rl_jax.run.devices.evaluation import Scores, Watch, play_out
from rl_jax.run.devices.placement import Devices, Layout, on_host
from rl_jax.run.devices.run_programs import ProgramSpec, advance_run
from rl_jax.run.devices.vmap_in_chunks import vmap_in_chunks
from rl_jax.types import PyTree

TRAINER, PER_RUN, STATE, REPLICATED = Layout.TRAINER, Layout.PER_RUN, Layout.TRAIN_STATE, Layout.REPLICATED


@dataclass
class CompiledRuns:
    """One run, or a batch of runs in one program.

    Attributes:
        trainer: the run; with ``batched`` its leaves have a leading axis ``[B]`` (a sweep's settings).
        seeds: the seed of each of the ``B`` runs.
        steps: environment steps planned for each.
        eval_episodes: episodes of an evaluation of each.
        batched: whether the trainer's leaves are batched.
        rows: rows of metrics over a whole run, one for each chunk.
        prng: the random number generator, an ``impl`` of :func:`jax.random.key`.
        devices: the mesh over which environments or runs are sharded.
        phase: the number of these runs among those of the same seeds that follow one another; each draws its own random numbers.
        seconds_compile: seconds spent on tracing and compiling so far.
    """

    trainer: Trainer
    seeds: list[int]
    steps: int
    eval_episodes: int
    batched: bool = False
    rows: int = 200
    prng: str = "threefry2x32"
    devices: Devices = field(default_factory=Devices)
    phase: int = 0
    seconds_compile: float = field(default=0.0, init=False)
    _programs: dict[str, Any] = field(default_factory=dict, init=False)
    _compiling: dict[str, Future[Any]] = field(default_factory=dict, init=False)
    _threads: ThreadPoolExecutor = field(default_factory=ThreadPoolExecutor, init=False)
    _jitted: dict[str, Any] = field(default_factory=dict, init=False)
    _shape: Any = field(default=None, init=False)
    _trainer_on_devices: Any = field(default=None, init=False)

    @property
    def single(self) -> bool:
        """Whether there is one run, without an axis of runs: products that are not batched are faster than a batch of one."""
        return len(self.seeds) == 1 and not self.batched

    def trainer_of(self, run: int) -> Trainer:
        """The trainer of one run, by its number."""
        return jax.tree.map(itemgetter(run), self.trainer) if self.batched else self.trainer

    def state_of(self, states: PyTree, run: int) -> PyTree:
        """The training state of one run, of those of all."""
        return states if self.single else jax.tree.map(itemgetter(run), states)

    @property
    def updates(self) -> int:
        """Train steps of each run."""
        return self.trainer.num_updates(self.steps)

    def edges(self, steps: int | None = None) -> list[int]:
        """Train steps at the end of each chunk, from 0, over ``steps`` environment steps (default: all that are planned)."""
        rows = min(self.rows, updates := self.trainer.num_updates(steps or self.steps))
        return [round(i * updates / rows) for i in range(rows + 1)]

    def keys(self, stream: int | None = None) -> jax.Array:
        """One typed key per run ``[B]``, made from its seed; with ``stream`` that number is folded in."""
        keys = jax.vmap(partial(jax.random.key, impl=self.prng))(jnp.asarray(self.seeds, jnp.uint32))
        for number in [counter.PHASES + self.phase] * (self.phase > 0) + ([] if stream is None else [stream]):
            keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, number)
        return self.devices.put(keys[0] if self.single else keys, self._sharding(PER_RUN))

    def _vmap(self, function: Any, axes: tuple[int | None, ...], in_place: bool = False) -> Any:
        if self.single:
            return function
        num_runs = self.devices.runs_per_device(len(self.seeds))
        return vmap_in_chunks(function, (0 if self.batched else None, *axes), num_runs, in_place)

    def _sharding(self, layout: Layout) -> Any:
        """The sharding of a layout; ``None`` on a single device."""
        if self.devices.mesh is None:
            return None
        return self.devices.sharding(layout, self.trainer_of(0), self.batched, not self.single)

    def with_trainer(self, trainer: Trainer, seeds: list[int], steps: int, rows: int, phase: int) -> "CompiledRuns":
        """As many runs of a trainer that differs from this one in numbers alone, by the same programs."""
        runs = replace(self, trainer=trainer, seeds=seeds, steps=steps, rows=rows, phase=phase)
        runs._programs, runs._jitted, runs._shape = self._programs, self._jitted, self._shape
        return runs

    def _jit(self, spec: ProgramSpec) -> Any:
        """The function under ``jax.jit``. The same object is returned for the same name, so that jax traces it once."""
        if spec.name not in self._jitted:
            axes = tuple(None if layout is REPLICATED else 0 for layout in spec.in_layout)
            shardings = tuple(map(self._sharding, (TRAINER, *spec.in_layout))), jax.tree.map(self._sharding, spec.out_layout)
            function = self._vmap(spec.function, axes, bool(spec.donate))
            self._jitted[spec.name] = self.devices.jit(function, *shardings, spec.donate)
        return self._jitted[spec.name]

    def _compile(self, *specs: ProgramSpec) -> None:
        """Compile the programs that are missing: traced one after the other, compiled in parallel."""
        self._start(*specs)
        self._finish(*(spec.name for spec in specs))

    def _start(self, *specs: ProgramSpec) -> None:
        """Trace the programs that are missing, and compile them in other threads."""
        start = time.perf_counter()
        for spec in specs:
            if spec.name not in self._programs and spec.name not in self._compiling:
                jitted = self._jit(spec)
                with self.devices.tracing():
                    lowered = jitted.lower(self._placed_trainer(), *spec.shapes)
                self._compiling[spec.name] = self._threads.submit(lowered.compile, compiler_options())
        self.seconds_compile += time.perf_counter() - start

    def _finish(self, *names: str) -> None:
        """Wait until programs are compiled.

        Raises:
            RLJaxError: one of them needs more memory than there is.
        """
        start = time.perf_counter()
        for name in names:
            if name in self._compiling:
                program = self._compiling.pop(name).result()
                check_compiled(program, name)
                self._programs[name] = program
        self.seconds_compile += time.perf_counter() - start

    def _placed_trainer(self) -> Trainer:
        """The hyperparameters on all devices."""
        if self._trainer_on_devices is None:
            self._trainer_on_devices = self.devices.put(self.trainer, self._sharding(TRAINER))
        return self._trainer_on_devices

    def check(self) -> None:
        """Refuse a run that is too long to count, and a setting of jax that ends compiled runs.

        Raises:
            RLJaxError: there are more train steps between two rows than ``int32`` has numbers, or ``jax_debug_nans`` is on.
        """
        settings: Any = jax.config
        if settings.jax_debug_nans:
            raise RLJaxError("jax_debug_nans cannot be used with a compiled run, which looks for NaN itself: switch it off")
        if self.updates > INT32_MAX * self.rows:
            raise RLJaxError(f"--steps {self.steps} is more than one run can count: use larger --num-envs or fewer --steps")

    def _frozen_flags(self, frozen: np.ndarray | None) -> jax.Array:
        """The flags of runs that have failed before, ``[B]``, on the devices."""
        flags = jnp.asarray(np.zeros(len(self.seeds), bool) if frozen is None else frozen)
        return self.devices.put(flags[0] if self.single else flags, self._sharding(PER_RUN))

    def _init_spec(self) -> ProgramSpec:
        """The program ``init`` with its arguments: keys, and the planned environment steps, which are no constant of the program."""
        steps = self.devices.put(jnp.asarray(self.steps, jnp.float32), self._sharding(REPLICATED))
        return ProgramSpec("init", Trainer.init, (PER_RUN, REPLICATED), STATE, (self.keys(), steps))

    def state_shape(self) -> PyTree:
        """The training state's shapes, dtypes and shardings."""
        if self._shape is None:
            init = self._init_spec()
            jitted = self._jit(init)
            with self.devices.tracing():
                shape = jitted.eval_shape(self._placed_trainer(), *init.shapes)
            self._shape = self.devices.placed_shape(shape, self._sharding(STATE))
        return self._shape

    def compile(self, fresh: bool = True) -> float:
        """Compile ``advance``, and ``init`` unless the run is resumed: it may have no memory for two states. Returns seconds."""
        shapes = (self.state_shape(), jax.ShapeDtypeStruct((), jnp.int32), self._frozen_flags(None))
        advance = ProgramSpec(
            "advance",
            partial(advance_run, single=self.single),
            (STATE, REPLICATED, PER_RUN),
            (STATE, REPLICATED),
            shapes,
            donate=(1,),
        )
        self._compile(*([self._init_spec()] if fresh else []), advance)  # init is compiled while advance is traced
        return self.seconds_compile

    def program(self, name: str) -> Any:
        """A compiled program: ``"init"`` or ``"advance"``."""
        return self._programs[name]

    def init(self) -> PyTree:
        """The initial training states of all runs."""
        return self._programs["init"](self._placed_trainer(), *self._init_spec().shapes)

    def advance(
        self, state: PyTree, num_updates: int, frozen: np.ndarray | None = None
    ) -> tuple[PyTree, dict[str, np.ndarray]]:
        """``num_updates`` train steps of every run; ``state`` is consumed. Metrics ``[B]`` on the host.

        Args:
            state: of all runs.
            num_updates: train steps.
            frozen: runs ``[B]`` that have failed before: they learn nothing any more.
        """
        number = self.devices.put(jnp.asarray(num_updates, jnp.int32), self._sharding(REPLICATED))
        state, metrics = self._programs["advance"](self._placed_trainer(), state, number, self._frozen_flags(frozen))
        # Errors of the compiler are raised as soon as they are known.
        self._finish(*(name for name, program in self._compiling.items() if program.done()))
        return state, {name: np.atleast_1d(np.asarray(value)) for name, value in metrics.items()}

    def _evaluation(self, greedy: bool) -> tuple[ProgramSpec, ProgramSpec]:
        """The two programs of an evaluation: one starts the episodes, one plays them up to a step."""
        episodes = self.eval_episodes

        def start(trainer: Trainer, state: PyTree, key: jax.Array) -> Any:
            return start_episodes(trainer, state, key, episodes)

        def play(trainer: Trainer, state: PyTree, playing: Any, until: jax.Array) -> Any:
            return play_episodes(trainer, state, playing, until, greedy)

        shapes: tuple[Any, ...] = (self.state_shape(), self.keys())
        start_spec = ProgramSpec(f"evaluate {episodes}", start, (STATE, PER_RUN), PER_RUN, shapes)
        jitted = self._jit(start_spec)
        with self.devices.tracing():
            playing = jitted.eval_shape(self._placed_trainer(), *start_spec.shapes)
        playing = self.devices.placed_shape(playing, self._sharding(PER_RUN))
        shapes = (self.state_shape(), playing, jax.ShapeDtypeStruct((), jnp.int32))
        return start_spec, ProgramSpec(f"evaluate on {episodes} {greedy}", play, (STATE, PER_RUN, REPLICATED), PER_RUN, shapes)

    def start_evaluation(self) -> None:
        """Trace the evaluation and compile it in the background; does nothing if it was started before."""
        if not any(name.startswith("evaluate") for name in (*self._programs, *self._compiling)):
            self._start(*self._evaluation(True))

    def compile_evaluation(self, greedy: bool = True) -> tuple[Any, Any]:
        """Compile an evaluation; returns its two programs, ``start`` and ``play``. So playing can be timed by itself."""
        specs = self._evaluation(greedy)
        self._compile(*specs)
        return self._programs[specs[0].name], self._programs[specs[1].name]

    def evaluate(
        self, state: PyTree, stream: int, greedy: bool = True, steps: int | None = None, watch: Watch | None = None
    ) -> Scores | None:
        """Play whole episodes of every run, with keys that training does not use.

        Args:
            state: of all runs.
            stream: number folded into the keys: each evaluation of a run has another one.
            greedy: the policy's mode instead of a sample.
            steps: after which episodes are left unfinished; default: the time limit, or 10,000.
            watch: called now and then with the steps played, their limit, and the number of episodes that still run. When it returns
                true, the evaluation stops and ``None`` is returned.
        """
        start, play = self.compile_evaluation(greedy)

        def play_until(playing: Any, until: int) -> Any:
            steps = self.devices.put(jnp.asarray(until, jnp.int32), self._sharding(REPLICATED))
            return play(self._placed_trainer(), state, playing, steps)

        playing = start(self._placed_trainer(), state, self.keys(stream))
        return play_out(playing, play_until, longest(self.trainer, steps), len(self.seeds), watch)

    def call(self, function: Any, state: PyTree, stream: int) -> PyTree:
        """Compile ``function(trainer, state, key)`` and call it for every run; leaves ``[B, ...]``."""
        name = f"ask {function} {id(function)}"  # the program keeps the function, so that no other has its number
        self._compile(ProgramSpec(name, function, (STATE, PER_RUN), REPLICATED, (self.state_shape(), self.keys())))
        answers = self._programs[name](self._placed_trainer(), state, self.keys(stream))
        return jax.tree.map(lambda x: x[None], answers) if self.single else answers

    def ask(self, question: Any, state: PyTree, stream: int = 2**31 - 2) -> dict[str, np.ndarray]:
        """The answers to ``question(trainer, state, key)`` of every run: arrays ``[B, ...]`` on the host."""
        return {name: np.asarray(x, np.float64) for name, x in self.call(question, state, stream).items()}

    def params(self, state: PyTree) -> PyTree:
        """All runs' parameters, on the host."""
        return jax.tree.map(on_host, self.trainer.params(state))
