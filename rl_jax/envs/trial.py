"""Trials: many episodes of one hidden task as one episode, so that what is learned within it is learned in context."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.errors import RLJaxError
from rl_jax.networks.torsos import to_vector
from rl_jax.spaces import Box, Dict, Discrete, ObsSpace, Space
from rl_jax.types import Environment, Key, PyTree, Step
from rl_jax.values import Count, Share


class TrialState(NamedTuple):
    """Where a trial stands: the inner environment's state and hidden task, steps and episodes done, and the last feedback."""

    inner: PyTree
    obs: PyTree
    task: PyTree
    time: jax.Array
    episode: jax.Array
    episode_time: jax.Array
    feedback: jax.Array


@struct.dataclass
class Trial:
    """Many episodes of one hidden task, one after the other, as one episode of this environment (RL^2, Duan et al. 2016).

    The task is drawn by ``inner.sample_task(key)`` when a trial begins and stays until its end. Inner ends do not end the
    trial: the inner environment is reset, and the observation says so. Observations are the inner ones, flat, followed by the
    feedback of the step before: action (one-hot, or the numbers), reward, and whether an inner episode ended. So ``first`` marks
    the beginning of a *trial*, which is where memories start afresh. A dictionary stays one, with the feedback as the part
    ``"feedback"``.

    ``params`` is the probability with which an inner end replaces the task by a fresh one: 0 is the usual trial, 1 leaves
    nothing that could be learned from one episode for the next. It is a leaf, so both can be runs of one program.

    A trial ends as *terminated*: its length is part of the task. ``info`` holds, beside the inner ``info``, ``inner_done``
    (an inner episode ended at this step, for whichever reason), ``inner_terminated``, and ``episode`` (the number of the inner
    episode that the step belongs to, from 0).

    Attributes:
        inner: an environment with a method ``sample_task``.
        episodes: inner episodes of a trial; or
        steps: steps of a trial, the last inner episode cut off. Exactly one of the two.
        feedback: show action, reward and end of the step before. Without them a memory sees observations only.
        redraw: default of ``params``.
    """

    inner: Environment = struct.field(pytree_node=False)
    episodes: int | None = struct.field(pytree_node=False, default=None)
    steps: int | None = struct.field(pytree_node=False, default=None)
    feedback: bool = struct.field(pytree_node=False, default=True)
    redraw: float = struct.field(pytree_node=False, default=0.0)

    def __post_init__(self) -> None:
        if (self.episodes is None) == (self.steps is None):
            raise RLJaxError("a trial is as long as episodes=... or steps=... says: give one of them")
        check_numbers("a trial's", self, episodes=Count | None, steps=Count | None, feedback=bool, redraw=Share)
        if not hasattr(self.inner, "sample_task"):
            raise RLJaxError(f"{self.inner.name} has no hidden tasks: give it a method sample_task(key) -> params")

    @property
    def name(self) -> str:
        return f"trial/{self.inner.name}"

    @property
    def default_params(self) -> jax.Array:
        return jnp.float32(self.redraw)

    @property
    def time_limit(self) -> int | None:
        return None

    def _inner_params(self) -> PyTree:
        return self.inner.default_params

    def observation_space(self, params: PyTree) -> ObsSpace:
        inner, action = self.inner.observation_space(self._inner_params()), self.action_space(params)
        extra = 0
        if self.feedback:
            extra = 2 + (action.n if isinstance(action, Discrete) else int(np.prod(action.shape)))
        if isinstance(inner, Dict):
            if "feedback" in inner:
                raise RLJaxError(
                    f"{self.inner.name} has a part 'feedback' in its observation, as trials have: call it otherwise"
                )
            return Dict({**dict(inner.items()), "feedback": Box.of(-np.inf, np.inf, (extra,))}) if extra else inner
        if isinstance(inner, Box):
            return Box(inner.low + (-np.inf,) * extra, inner.high + (np.inf,) * extra, (len(inner.low) + extra,))
        width = inner.n if isinstance(inner, Discrete) else int(sum(inner.nvec))
        return Box.of(-np.inf, np.inf, (width + extra,))

    def action_space(self, params: PyTree) -> Space:
        return self.inner.action_space(self._inner_params())

    def _look(self, obs: PyTree, feedback: jax.Array) -> PyTree:
        space = self.inner.observation_space(self._inner_params())
        if isinstance(space, Dict):
            return {**obs, "feedback": feedback} if self.feedback else obs
        flat = obs.astype(jnp.float32).reshape(-1) if isinstance(space, Box) else to_vector(obs, space)
        return jnp.concatenate([flat, feedback])

    def _feedback(self, action: jax.Array | None, reward: Any = 0.0, done: Any = False) -> jax.Array:
        """The feedback of a step ``float32[F]``; zeros before the first step."""
        if not self.feedback:
            return jnp.zeros((0,), jnp.float32)
        space = self.action_space(None)
        if isinstance(space, Discrete):
            action_features = jnp.zeros((space.n,)) if action is None else jax.nn.one_hot(action, space.n, dtype=jnp.float32)
        else:
            action_features = jnp.zeros(space.shape) if action is None else action.astype(jnp.float32)
        reward_and_done = jnp.stack([jnp.asarray(reward, jnp.float32), jnp.asarray(done, jnp.float32)])
        return jnp.concatenate([action_features.reshape(-1).astype(jnp.float32), reward_and_done])

    def reset(self, key: Key, params: PyTree) -> tuple[TrialState, PyTree]:
        """Draw a task and begin its first episode."""
        key_task, key_reset = jax.random.split(key)
        task = self.inner.sample_task(key_task)  # type: ignore[attr-defined]
        inner, obs = self.inner.reset(key_reset, task)
        zero = jnp.zeros((), jnp.int32)
        state = TrialState(inner, obs, task, zero, zero, zero, self._feedback(None))
        return state, self._look(obs, state.feedback)

    def step(self, key: Key, state: TrialState, action: jax.Array, params: PyTree) -> Step:
        """One inner step, and the reset after it where it ends an inner episode."""
        key_step, key_reset, key_task, key_redraw = jax.random.split(key, 4)
        out = self.inner.step(key_step, state.inner, action, state.task)
        episode_time = state.episode_time + 1
        truncated = out.truncated
        if self.inner.time_limit is not None:
            truncated = truncated | (episode_time >= self.inner.time_limit)
        done = out.terminated | truncated

        fresh_task = self.inner.sample_task(key_task)  # type: ignore[attr-defined]
        redraw = done & jax.random.bernoulli(key_redraw, params)
        task = jax.tree.map(lambda new, old: jnp.where(redraw, new, old), fresh_task, state.task)
        reset, reset_obs = self.inner.reset(key_reset, task)
        inner = jax.tree.map(lambda new, old: jnp.where(done, new, old), reset, out.state)
        obs = jax.tree.map(lambda new, old: jnp.where(done, new, old), reset_obs, out.obs)

        feedback = self._feedback(action, out.reward, done)
        episode = state.episode + done.astype(jnp.int32)
        time = state.time + 1
        over = episode >= self.episodes if self.episodes is not None else time >= (self.steps or 0)
        next_state = TrialState(inner, obs, task, time, episode, jnp.where(done, 0, episode_time), feedback)
        info = {**out.info, "inner_done": done, "inner_terminated": out.terminated, "episode": state.episode}
        return Step(next_state, self._look(obs, feedback), out.reward, over, jnp.zeros((), bool), info)
