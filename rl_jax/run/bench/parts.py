"""Suites of single parts: environments, replay buffers, and the time until a program begins."""

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

import rl_jax as rl
from rl_jax.agents.configs import CONFIGS
from rl_jax.errors import RLJaxError
from rl_jax.loop import Trainer
from rl_jax.run.bench.row import Row, Setup, compiled, finished, timed


def envs(setup: Setup) -> Iterator[Row]:
    """Environments alone, with random actions and their resets."""
    names = ["CartPole-v1", "Pendulum-v1", "Breakout-MinAtar", "SpaceInvaders-MinAtar"]
    number, length = (8, 8) if setup.small else (1024, 128)
    for name in names[:1] if setup.small else names:
        trainer = CONFIGS["ppo"](num_envs=number, rollout_length=length).trainer(rl.make(name))

        def run(state: Any, key: jax.Array, trainer: Trainer = trainer) -> Any:
            def policy(carry: Any, obs: Any, first: jax.Array, key: jax.Array) -> Any:
                return carry, rl.spaces.random_action(trainer.base.action_space, key, len(first)), {}

            def value(carry: Any, obs: Any) -> jax.Array:
                return jnp.zeros((trainer.num_envs,))

            collector, rollout, _ = trainer._rollout(state.curriculum, policy, value, state.collector, key)
            return collector, jnp.sum(rollout.reward)

        state = jax.jit(trainer.init, static_argnums=1)(jax.random.key(0), 1)
        program, seconds, size = compiled(run, state, jax.random.key(1))
        row = Row("envs", "random actions", name, "", number, 1, 0, number * length, "", seconds, bytes_peak=size)
        yield finished(row, timed(partial(program, state, jax.random.key(1)), setup.seconds), None, setup.peak)


def replay(setup: Setup) -> Iterator[Row]:
    """Adding 64 transitions and drawing a batch of 256, in a full buffer of a million."""
    capacity = 2_000 if setup.small else 1_000_000
    cases: dict[str, dict[str, Any]] = {"uniform": {}, "prioritized": {"prioritized": True}, "n-step": {"n_step": 3}}
    for case, options in cases.items():
        yield from _buffer(setup, "replay", case, capacity, options)


def scale_replay(setup: Setup) -> Iterator[Row]:
    """The same, uniformly, in full buffers of ten thousand to ten million."""
    for capacity in (1_000, 2_000) if setup.small else (10_000, 100_000, 1_000_000, 10_000_000):
        yield from _buffer(setup, "scale-replay", "uniform", capacity, {})


def _buffer(setup: Setup, suite: str, case: str, capacity: int, options: dict[str, Any]) -> Iterator[Row]:
    batch, repeats = (16, 64) if setup.small else (256, 2048)
    config = CONFIGS["dqn"](num_envs=64, buffer_size=capacity, batch_size=batch, **options)
    trainer = config.trainer(rl.make("CartPole-v1"))
    state = jax.jit(trainer.init, static_argnums=1)(jax.random.key(0), 1)
    _, rollout, context, _ = jax.jit(trainer._collect)(state)
    context = context.replace(policy=None, collected=None)

    def add(buffer: Any, rollout: Any, context: Any) -> Any:
        return jax.lax.fori_loop(0, repeats, lambda _, now: trainer.replay.add(now, rollout, context), buffer)

    def sample(buffer: Any, context: Any) -> jax.Array:
        def once(i: jax.Array, total: jax.Array) -> jax.Array:
            drawn = trainer.replay.sample(buffer, context.replace(key=jax.random.fold_in(context.key, i)))
            return total + sum(jnp.sum(x.astype(jnp.float32)) for x in jax.tree.leaves(drawn.batch))

        return jax.lax.fori_loop(0, repeats, once, jnp.zeros(()))

    program, seconds, size = compiled(add, state.replay, rollout, context, donate=(0,))
    buffer = state.replay

    def again() -> Any:
        nonlocal buffer
        buffer = program(buffer, rollout, context)
        return buffer

    times = timed(again, 0.0, least=max(3, capacity // (64 * repeats)))
    row = Row(suite, f"{case} add", "CartPole-v1", "", 64, 1, 0, 64 * repeats, capacity=capacity)
    row.seconds_compile, row.bytes_peak = seconds, size
    yield finished(row, times, None, setup.peak)
    program, seconds, size = compiled(sample, buffer, context)
    row = dataclasses.replace(row, case=f"{case} sample", steps=batch * repeats, seconds_compile=seconds, bytes_peak=size)
    yield finished(row, timed(partial(program, buffer, context), setup.seconds), None, setup.peak)


def start(setup: Setup) -> Iterator[Row]:
    """From the command ``rl-jax train`` to its first steps, in a process of its own: with nothing compiled before, and again."""
    for agent, env in (("ppo", "CartPole-v1"), ("sac", "Pendulum-v1"))[: 1 if setup.small else 2]:
        with tempfile.TemporaryDirectory() as folder:
            for case, number in (("first start", 1), ("second start", 1 if setup.small else 3)):
                times = [_until_first_steps(agent, env, folder) for _ in range(number)]
                row = Row("start", case, env, agent, CONFIGS[agent]().num_envs, steps=CONFIGS[agent]().num_envs)
                yield finished(row, times, None, 0.0)


def _until_first_steps(agent: str, env: str, folder: str) -> float:
    """Seconds until the first line of progress; the run goes on to its end, so that the next one finds all of it compiled."""
    command = [sys.executable, "-m", "rl_jax.run.cli.console", "train", agent, "--env", env, "--steps", "10000", "--overwrite"]
    command += ["--eval-episodes", "1", "--checkpoints", "1", "--time-limit", "32", "--out", f"{folder}/run"]
    said = ""
    begin = time.perf_counter()
    environment = {**os.environ, "RL_JAX_CACHE": folder}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        for line in process.stderr:
            said += line
            if " steps/s" in line:
                seconds = time.perf_counter() - begin
                process.communicate()
                return seconds
    raise RLJaxError(f"rl-jax train {agent} came to no steps: {said[-500:]}")
