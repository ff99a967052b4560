"""What is measured: one function per suite, each yielding rows as they come."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax

import rl_jax as rl
from rl_jax.agents.configs import CONFIGS
from rl_jax.loop import Trainer
from rl_jax.run.bench.devices import scale_devices
from rl_jax.run.bench.flops import count
from rl_jax.run.bench.parts import envs, replay, scale_replay, start
from rl_jax.run.bench.row import Row, Setup, bytes_of, compiled, finished, timed
from rl_jax.run.bench.scale_seeds import scale_seeds
from rl_jax.run.devices.compiled_runs import CompiledRuns

#: The settings that are compared everywhere: environment and hyperparameters of each agent.
SETTINGS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "ppo": ("ppo", "CartPole-v1", {"num_envs": 64, "rollout_length": 128}),
    "ppo-gru": ("ppo", "CartPole-v1", {"num_envs": 64, "rollout_length": 128, "memory": "gru"}),
    "ppo-cnn": ("ppo", "Breakout-MinAtar", {"num_envs": 64, "rollout_length": 128}),
    "dqn": ("dqn", "CartPole-v1", {"num_envs": 10, "buffer_size": 10_000, "hidden": (64, 64)}),
    "pqn": ("pqn", "CartPole-v1", {"num_envs": 64, "rollout_length": 32}),
    "sac": ("sac", "Pendulum-v1", {"num_envs": 8, "buffer_size": 10_000, "hidden": (64, 64)}),
}


def _cases(setup: Setup) -> tuple[str, ...]:
    """All settings; of a small run one that learns from fresh rollouts and one that replays."""
    return ("ppo", "dqn") if setup.small else tuple(SETTINGS)


def _trainer(case: str, setup: Setup, **changes: Any) -> tuple[Trainer, Row]:
    agent, env, options = SETTINGS[case]
    options = {**options, **changes}
    if setup.small:
        options |= {"num_envs": min(options["num_envs"], 8), "rollout_length": min(options.get("rollout_length", 1), 8)}
        options |= {"learning_starts": 64} if "buffer_size" in options else {}
    trainer = CONFIGS[agent](**options).trainer(rl.make(env))
    width = options.get("hidden", getattr(CONFIGS[agent](), "hidden", (0,)))[0]
    return trainer, Row("", case, env, agent, trainer.num_envs, 1, width, length=trainer.rollout_length)


def rollout(setup: Setup) -> Iterator[Row]:
    """Acting in environments, with everything that happens to experience before it is learned from."""
    for case in ("ppo",) if setup.small else ("ppo", "ppo-gru", "ppo-cnn"):
        trainer, row = _trainer(case, setup)
        state = jax.jit(trainer.init, static_argnums=1)(jax.random.key(0), 10**6)

        def collect(state: Any, trainer: Trainer = trainer) -> Any:
            state, experience, _ = trainer.collect(state)
            return state, experience.extras["advantage"]

        program, row.seconds_compile, row.bytes_peak = compiled(collect, state)
        row.suite, row.steps = "rollout", trainer.steps_per_update
        times = timed(partial(program, state), setup.seconds)
        yield finished(row, times, count(collect, state), setup.peak)


def update(setup: Setup) -> Iterator[Row]:
    """Learning alone, from what was collected once."""
    for case in _cases(setup):
        trainer, row = _trainer(case, setup)
        job = _job(trainer)
        state = job.advance(job.init(), 1 + 2048 // trainer.steps_per_update)[0]

        def learn(state: Any, passes: int, trainer: Trainer = trainer) -> Any:
            state, experience, context, _ = trainer._collect(state)

            def again(_: jax.Array, state: Any) -> Any:
                return trainer._learn(state, experience, context)[0].replace(updates=state.updates)  # type: ignore[attr-defined]

            return jax.lax.fori_loop(0, passes, again, state)

        passes = 2 if setup.small else max(4, 4096 // trainer.steps_per_update)
        both, row.seconds_compile, row.bytes_peak = compiled(partial(learn, passes=passes), state)
        once = compiled(partial(learn, passes=0), state)[0]
        collecting = min(timed(partial(once, state), setup.seconds / 4))
        times = [max(t - collecting, 1e-9) for t in timed(partial(both, state), setup.seconds)]
        row.suite, row.steps = "update", passes * trainer.steps_per_update
        operations = passes * count(lambda s, t=trainer: t._learn(s, *t._collect(s)[1:3]), state, loops=_learns(trainer))
        yield finished(row, times, operations - passes * count(lambda s, t=trainer: t._collect(s)[0], state), setup.peak)


def _learns(trainer: Trainer) -> int:
    """Learning steps of a train step, where the loop over them has no fixed length."""
    ratio = getattr(trainer.updates, "ratio", None)
    return 1 if ratio is None else max(1, round(float(ratio) * trainer.steps_per_update))


def _job(trainer: Trainer) -> CompiledRuns:
    jax.clear_caches()
    job = CompiledRuns(trainer, [0], 10**7, 8)
    job.compile()
    return job


def _train(setup: Setup, suite: str, case: str, **changes: Any) -> Row:
    """Whole train steps, and the return that they end with."""
    trainer, row = _trainer(case, setup, **changes)
    job = _job(trainer)
    row.suite, row.seconds_compile = suite, job.seconds_compile
    row.bytes_peak = bytes_of(job.program("advance"))
    state, metrics = job.advance(job.init(), 1 + 4096 // trainer.steps_per_update)
    times: list[float] = []
    number, passed = 1, 0.0
    operations = count(trainer._train_step, jax.eval_shape(trainer.init, jax.random.key(0), 1), loops=_learns(trainer))
    while passed < setup.seconds or len(times) < 3:
        (state, metrics), seconds = _clocked(partial(job.advance, state, number))
        passed += seconds
        if seconds < setup.seconds / 8:  # the call itself should not count
            number, times = number * 2, []
        else:
            times.append(seconds / number)
    if setup.profiles:
        with jax.profiler.trace(str(setup.profiles / case)):
            state, metrics = job.advance(state, max(1, number // 8))
    row.steps = trainer.steps_per_update
    row.result = float(metrics["episode/return"].mean())
    return finished(row, times, operations, setup.peak)


def _clocked(call: Callable[[], Any]) -> tuple[Any, float]:
    begin = time.perf_counter()
    result = call()
    return result, time.perf_counter() - begin


def train(setup: Setup) -> Iterator[Row]:
    """Whole training of every agent."""
    for case in _cases(setup):
        yield _train(setup, "train", case)


def scale_envs(setup: Setup) -> Iterator[Row]:
    """PPO with 4 to 65,536 environments, the rollout as long and the minibatches as many."""
    for power in (2, 3) if setup.small else range(2, 17, 2):
        yield _train(setup, "scale-envs", "ppo", num_envs=2**power, rollout_length=32)


def scale_width(setup: Setup) -> Iterator[Row]:
    """PPO with hidden layers of 32 to 1024 units."""
    for width in (8, 16) if setup.small else (32, 64, 128, 256, 512, 1024):
        yield _train(setup, "scale-width", "ppo", hidden=(width, width))


def scale_length(setup: Setup) -> Iterator[Row]:
    """PPO with rollouts of 8 to 1024 steps, the minibatches as many."""
    for length in (4, 8) if setup.small else (8, 32, 128, 512, 1024):
        yield _train(setup, "scale-length", "ppo", rollout_length=length)


SUITES: dict[str, Callable[[Setup], Iterator[Row]]] = {
    "envs": envs,
    "rollout": rollout,
    "update": update,
    "train": train,
    "replay": replay,
    "start": start,
    "scale-envs": scale_envs,
    "scale-length": scale_length,
    "scale-seeds": scale_seeds,
    "scale-width": scale_width,
    "scale-replay": scale_replay,
    "scale-devices": scale_devices,
}
