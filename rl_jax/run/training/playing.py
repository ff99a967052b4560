"""Whole episodes of trained runs: scores of many, and the states of one."""

import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.loop import counter as streams
from rl_jax.loop.collect import collect, reset_envs
from rl_jax.loop.evaluate import longest
from rl_jax.ops import unrolled_threefry
from rl_jax.run.devices.compiled_runs import CompiledRuns
from rl_jax.run.devices.tree_io import digest
from rl_jax.run.failures import writing
from rl_jax.run.report.progress import Progress
from rl_jax.run.storage.metadata import device_text
from rl_jax.run.training.evaluating import FINAL_EVALUATION
from rl_jax.run.training.outcome import Failures, summarise
from rl_jax.types import PyTree

#: The most steps of an episode that is drawn, unless the user says otherwise.
DRAWN_STEPS = 1000


def evaluation(
    runs: CompiledRuns, state: PyTree, failures: Failures, greedy: bool, seed: int, max_steps: int | None, quiet: bool
) -> dict[str, Any]:
    """Play ``runs.eval_episodes`` episodes of every run, with keys that neither training nor its evaluations use.

    Returns:
        The summary, without what the run is called.
    """
    num_runs, episodes = len(runs.seeds), runs.eval_episodes
    stream = (FINAL_EVALUATION - 1 - seed) % 2**31  # far from the numbers of evaluations during training, which are train steps
    runs.compile_evaluation(greedy=greedy)
    start = time.perf_counter()
    progress = Progress(0, quiet)

    def watch(steps: int, limit: int, running: int) -> bool:
        progress.doing(f"{steps:,} of at most {limit:,} steps, {running} of {episodes * num_runs} episodes still run")
        return False

    with progress:
        scores = runs.evaluate(state, stream, greedy, max_steps, watch)
    assert scores is not None
    seconds = time.perf_counter() - start
    return {
        "seeds": len(set(runs.seeds)),
        "device": device_text(),
        "seconds_compile": round(runs.seconds_compile, 3),
        "seconds_run": round(seconds, 3),
        "steps_per_second": round(float(scores.lengths.sum()) / seconds, 1),
        **summarise(scores, failures),
        "policy": "greedy" if greedy else "stochastic",
        "params_sha256": digest(runs.trainer.params(state)),
    }


class EpisodePlayer:
    """Plays one episode of a run, and keeps the environment's states.

    Args:
        runs: the compiled runs.
        greedy: the policy's mode instead of a sample.
        seed: of the episode.
        max_steps: its longest.
        run: the number of the run.
    """

    def __init__(self, runs: CompiledRuns, greedy: bool = True, seed: int = 0, max_steps: int = DRAWN_STEPS, run: int = 0):
        trainer = runs.trainer_of(run)
        self._runs, self.run, self._limit = runs, run, min(max_steps, longest(trainer, max_steps))
        self._key = jax.random.fold_in(unrolled_threefry(jax.random.key(seed, impl=runs.prng)), streams.EVALUATE)

        def play(state: PyTree, key: jax.Array) -> Any:
            key_start, key_steps = jax.random.split(key)
            carry, whole = trainer.agent.initial_carry(1), trainer.base.whole
            collector = reset_envs(trainer.curriculum, state.curriculum, carry, key_start, 1, whole)

            def policy(carry: Any, obs: jax.Array, first: jax.Array, key: jax.Array) -> Any:
                obs = trainer.experience.observe(state.experience, obs)
                return trainer.agent.act(state.agent, carry, obs, first, key, greedy)

            rollout = collect(
                trainer.env,
                trainer.base.action_space,
                trainer.curriculum,
                state.curriculum,
                policy,
                lambda carry, obs: jnp.zeros((1,)),  # no value is needed, as nothing is learned
                collector,
                key_steps,
                self._limit + whole,  # it stands still after its end: one row more shows how it ended
                trainer.time_limit,
            )[1]
            return jax.tree.map(lambda x: x[:, 0], (rollout.env_state, rollout.reward, rollout.done))

        self._play = jax.jit(play)

    def play(self, states: PyTree) -> tuple[PyTree, np.ndarray]:
        """The environment's states ``[T, ...]`` and the rewards ``[T]`` of an episode, from the training states of all runs.

        Where rollouts are whole episodes there is one state more, the last.
        """
        env_states, rewards, done = self._play(self._runs.state_of(states, self.run), self._key)
        length = int(np.argmax(done)) + 1 if np.any(done) else self._limit
        known = length + self._runs.trainer.base.whole
        return jax.tree.map(lambda x: np.asarray(x[:known]), env_states), np.asarray(rewards[:length])


def draw_episode(
    runs: CompiledRuns, states: PyTree, rewards: np.ndarray, out: Path, fps: float | None = None, every: int = 1
) -> None:
    """Write the picture of an episode; see :func:`rl_jax.run.pictures.render.render_episode`."""
    from rl_jax.run.pictures.render import render_episode

    env = runs.trainer.env
    with writing(out):
        render_episode(env, env.default_params, states, rewards, out, fps=fps, every=every)
