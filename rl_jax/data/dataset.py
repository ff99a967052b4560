"""Recorded experience: episodes one after the other, each observation stored once."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from rl_jax.data.marks import FIRST, MARK, TERMINATED, TRUNCATED, marks_of
from rl_jax.errors import RLJaxError
from rl_jax.spaces import ObsSpace, Space, describe, example
from rl_jax.types import PyTree, Rollout

#: Arrays are on the host as they are loaded, and on a device in compiled functions.
Array = Any


@struct.dataclass
class Dataset:
    """``S`` steps of ``E`` whole episodes. A pytree: it can be an argument of a compiled function, and be stacked over seeds.

    Attributes:
        obs: ``[S + E, ...]``: the observation at every step, then what followed the last step of each episode. Of a dictionary
            each part so.
        action: ``[S, ...]``, in unit coordinates (:mod:`rl_jax.spaces`).
        reward: ``[S]``.
        marks: ``int32 [S]``: how each step stands in its episode (:mod:`rl_jax.data.marks`).
        extras: ``[S, ...]``, whatever else is known of a step.
        obs_space, action_space: of the environment.
        env: its name; empty if it is not known.
    """

    obs: PyTree
    action: Array
    reward: Array
    marks: Array
    extras: dict[str, Any]
    obs_space: ObsSpace = struct.field(pytree_node=False)
    action_space: Space = struct.field(pytree_node=False)
    env: str = struct.field(pytree_node=False, default="")

    @classmethod
    def of(
        cls,
        rollout: Rollout,
        obs_space: ObsSpace,
        action_space: Space,
        env: str = "",
        keep: Sequence[str] = (),
        episodes: int | None = None,
    ) -> "Dataset":
        """The steps of a rollout ``[T, N]`` that began with fresh episodes, environment after environment.

        An episode that was still running counts as truncated: the recording cut it.

        Args:
            rollout: as the environment gave it, such as of :func:`rl_jax.loop.play`.
            obs_space, action_space: of the environment.
            env: its name.
            keep: names of ``extras`` to keep.
            episodes: room for final observations. Default: as many as there are episodes, and where that is not known, under
                ``jit``, one for every step. With room for fewer than there are episodes, some final observations are wrong.
        """
        terminated = rollout.terminated
        truncated = (rollout.truncated & ~terminated).at[-1].set(~terminated[-1])

        def flat(x: jax.Array) -> jax.Array:
            return jnp.swapaxes(x, 0, 1).reshape(-1, *x.shape[2:])

        terminated, truncated = flat(terminated), flat(truncated)
        done = terminated | truncated
        if episodes is None:
            episodes = done.size if isinstance(done, jax.core.Tracer) else int(jnp.sum(done))
        ends = jnp.nonzero(done, size=episodes, fill_value=done.size - 1)[0]
        return cls(
            obs=jax.tree.map(
                lambda obs, following: jnp.concatenate([flat(obs), flat(following)[ends]]), rollout.obs, rollout.next_obs
            ),
            action=flat(rollout.action),
            reward=flat(rollout.reward),
            marks=marks_of(terminated, truncated),
            extras={name: flat(rollout.extras[name]) for name in keep},
            obs_space=obs_space,
            action_space=action_space,
            env=env,
        )

    @classmethod
    def absent(cls, obs_space: ObsSpace, action_space: Space) -> "Dataset":
        """One step of zeros, in the place of data that are not looked at: where a trained agent only acts."""
        obs, action = example(obs_space, 2), example(action_space, 1)
        marks = marks_of(jnp.ones((1,), bool), jnp.zeros((1,), bool))
        return cls(obs, action, jnp.zeros((1,), jnp.float32), marks, {}, obs_space, action_space)

    def sha256(self) -> str:
        """A digest of all numbers; on the host."""
        digest = hashlib.sha256()
        for x in jax.tree.leaves(self):
            digest.update(str((x.dtype, x.shape)).encode())
            digest.update(np.ascontiguousarray(x).tobytes())
        return digest.hexdigest()

    @property
    def num_steps(self) -> int:
        """``S``."""
        return self.reward.shape[-1]

    @property
    def terminated(self) -> jax.Array:
        """``[S]``: the task ended at this step."""
        return (self.marks & TERMINATED) != 0

    @property
    def truncated(self) -> jax.Array:
        """``[S]``: the episode was cut at this step, by a time limit or by the recording."""
        return (self.marks & TRUNCATED) != 0

    @property
    def first(self) -> jax.Array:
        """``[S]``: an episode began at this step."""
        return (self.marks & FIRST) != 0

    @property
    def episode(self) -> jax.Array:
        """``[S]``: the number of the step's episode."""
        return self.marks // MARK

    @property
    def num_episodes(self) -> int:
        """``E``; on the host."""
        return int(self.marks[-1]) // MARK + 1

    def lengths(self) -> np.ndarray:
        """Steps of each episode ``[E]``; on the host."""
        return np.bincount(np.asarray(self.episode))

    def returns(self) -> np.ndarray:
        """Undiscounted return of each episode ``[E]``, ``float64``; on the host."""
        return np.bincount(np.asarray(self.episode), np.asarray(self.reward, np.float64))

    def episodes(self) -> Iterator["Dataset"]:
        """Every episode as a data set of its own; on the host."""
        return (self.take([number]) for number in range(self.num_episodes))

    def take(self, episodes: Any) -> "Dataset":
        """Some episodes, in the order given; on the host.

        Args:
            episodes: their numbers, or a mask ``bool [E]``.

        Raises:
            RLJaxError: there are none, or no such.
        """
        lengths = self.lengths()
        chosen = np.asarray(episodes)
        numbers = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64).reshape(-1)
        if chosen.dtype == bool and chosen.shape != lengths.shape:
            raise RLJaxError(f"a mask of episodes has one entry for each of the {lengths.size}, not the shape {chosen.shape}")
        if numbers.size == 0:
            raise RLJaxError(f"no episode is left of {lengths.size}: keep at least one")
        if numbers.min() < 0 or numbers.max() >= lengths.size:
            raise RLJaxError(f"there is no episode {numbers.max()}: they are numbered from 0 to {lengths.size - 1}")
        begins, kept = np.cumsum(lengths) - lengths, lengths[numbers]
        within = np.arange(kept.sum()) - np.repeat(np.cumsum(kept) - kept, kept)
        rows = np.repeat(begins[numbers], kept) + within
        here: Dataset = jax.tree.map(np.asarray, self)
        steps = partial(jax.tree.map, lambda x: x[rows])
        return here.replace(  # type: ignore[attr-defined]
            obs=jax.tree.map(lambda x: x[np.concatenate([rows, self.num_steps + numbers])], here.obs),
            action=steps(here.action),
            reward=steps(here.reward),
            marks=np.asarray(here.marks[rows] % MARK + MARK * np.repeat(np.arange(numbers.size), kept), np.int32),
            extras=steps(here.extras),
        )

    def filter(self, keep: Any) -> "Dataset":
        """The episodes for which ``keep(returns [E], lengths [E])`` is true ``bool [E]``; on the host."""
        return self.take(np.asarray(keep(self.returns(), self.lengths()), bool))

    def split(self, share: float, seed: int = 0) -> tuple["Dataset", "Dataset"]:
        """Two data sets, of which the first has about ``share`` of the episodes, at least one in each; on the host.

        Raises:
            RLJaxError: there is one episode only, or the share is not between 0 and 1.
        """
        number = self.num_episodes
        if not 0.0 < share < 1.0 or number < 2:
            raise RLJaxError(f"{number} episodes cannot be split at a share of {share}: give 0 < share < 1, and two at least")
        order = np.random.default_rng(seed).permutation(number)
        first = min(max(round(share * number), 1), number - 1)
        return self.take(np.sort(order[:first])), self.take(np.sort(order[first:]))

    def subsample(self, number: int, seed: int = 0) -> "Dataset":
        """``number`` different episodes, drawn uniformly; on the host.

        Raises:
            RLJaxError: there are fewer.
        """
        if not 1 <= number <= self.num_episodes:
            raise RLJaxError(f"{number} of {self.num_episodes} episodes cannot be drawn: give a number from 1 to that")
        return self.take(np.sort(np.random.default_rng(seed).choice(self.num_episodes, number, replace=False)))

    def with_extras(self, **extras: Any) -> "Dataset":
        """This data set with fields ``[S, ...]`` added to ``extras``.

        Raises:
            RLJaxError: one has another number of steps.
        """
        for name, value in extras.items():
            if np.shape(value)[:1] != (self.num_steps,):
                raise RLJaxError(f"extras['{name}'] has the shape {np.shape(value)}, and there are {self.num_steps} steps")
        return self.replace(extras={**self.extras, **extras})  # type: ignore[attr-defined]

    def summary(self) -> str:
        """One line for people: steps, episodes, returns."""
        returns, lengths = self.returns(), self.lengths()
        middle = f"{returns.mean():.4g} ({returns.min():.4g} to {returns.max():.4g})"
        return (
            f"{self.num_steps:,} steps in {lengths.size:,} episodes of {lengths.mean():.4g} steps, return {middle}; observations: "
            f"{describe(self.obs_space)}, actions: {describe(self.action_space)}"
        )
