"""Environments of gymnax 1.0 (Lange, 2022, https://github.com/RobertTLange/gymnax) under the protocol of this library.

What was read in gymnax 1.0.1 and decides how its episodes end:

- ``is_terminated`` never contains the time limit; ``is_truncated`` is ``state.time >= params.max_steps_in_episode``.
- Where both hold at one step the task itself has ended, so the step is terminated and not truncated. ``DeepSea`` needs
  this: its limit equals its number of rows, so every episode ends by both at once.
- These have a length that belongs to the task, and end it as *terminated*: ``DeepSea`` (a row per step), ``Catch`` (the
  ball lands), ``UmbrellaChain`` (after ``chain_length`` steps), ``MemoryChain`` (after ``memory_length + 1`` steps),
  ``SimpleBandit`` and ``MNISTBandit`` (after one step).
- These never terminate and are only ever *truncated*: ``Pendulum``, ``Freeway``, ``DiscountingChain``,
  ``BernoulliBandit``, ``GaussianBandit``, ``PointRobot``, ``Reacher`` and ``Swimmer``. Their values bootstrap through
  every end.
- ``MemoryChain`` shows the observation of the state *before* the step, so the first one is shown twice.
- ``info["discount"]`` repeats ``terminated`` and is left out; anything else in ``info`` is passed on.
- Under ``jax_enable_x64`` ``Freeway``, ``MetaMaze`` and ``GaussianBandit`` mix widths and fail to trace, and
  ``DiscountingChain`` does with 32-bit actions; here every environment computes in 32 bits in both modes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.envs.dtypes import cached, concrete, like, narrow, scalar, single_width, strong
from rl_jax.envs.limits import own_limit
from rl_jax.errors import ProtocolError, UnsupportedSpace
from rl_jax.masks import MASK
from rl_jax.spaces import Box, Dict, Discrete, MultiDiscrete, ObsSpace, Space
from rl_jax.types import Key, PyTree, Step


def parts_of(space: Any) -> Mapping[str, Any] | None:
    """The parts of a foreign dictionary space, or of ours; ``None`` of others."""
    parts = dict(space.items()) if isinstance(space, Dict) else getattr(space, "spaces", None)
    return parts if isinstance(parts, Mapping) else None


def convert_space(name: str, space: Any, dtype: Any = None) -> Any:
    """Our space for ``space``: ours already, or gymnax's (or anything shaped like them: ``n``, ``low``/``high``/``shape``, or a
    mapping ``spaces``).

    Args:
        name: the environment, for the error.
        space: what the environment returned.
        dtype: dtype of a box's elements, of a dictionary a dictionary of them; by default the space's own.

    Raises:
        UnsupportedSpace: a tuple or anything else that is neither one array nor a dictionary of them.
    """
    if isinstance(space, ObsSpace):
        return space
    if (parts := parts_of(space)) is not None:
        dtypes = dtype or dict.fromkeys(parts)
        return Dict({key: convert_space(name, part, np.bool_ if key == MASK else dtypes[key]) for key, part in parts.items()})
    if hasattr(space, "n") and getattr(space, "shape", ()) == ():
        return Discrete(int(space.n))
    if hasattr(space, "nvec") and np.ndim(space.nvec) == 1:
        return MultiDiscrete(tuple(int(n) for n in space.nvec))
    if all(hasattr(space, field) for field in ("low", "high", "shape")):
        shape = tuple(int(size) for size in space.shape)
        # The widest float32 is how gymnax writes "unbounded".
        limit = float(np.finfo(np.float32).max)
        low, high = (np.asarray(bound, np.float64) for bound in (space.low, space.high))
        low, high = np.where(low <= -limit, -np.inf, low), np.where(high >= limit, np.inf, high)
        return Box.of(low, high, shape, space.dtype if dtype is None else dtype)
    raise UnsupportedSpace(
        f"{name}: the space {space!r} is neither one array nor a dictionary of arrays; make it one, "
        f"described by a Discrete, MultiDiscrete, Box or, of an observation, Dict of rl_jax.envs"
    )


def convert_action_space(name: str, space: Any, dtype: Any = None) -> Space:
    """:func:`convert_space` of actions, which are one array.

    Raises:
        UnsupportedSpace: they are not.
    """
    if parts_of(space) is not None:
        raise UnsupportedSpace(f"{name}: the action space {space!r} is not one array; make it one, such as a MultiDiscrete")
    return convert_space(name, space, dtype)


def beginning(space: Any) -> Any:
    """The first of a foreign discrete space's choices (of each part): gymnasium's ``start``, 0 where there is none.

    Ours all begin at 0: an adapter adds it to actions, and takes it from observations. Of a dictionary, a dictionary of them.
    """
    if (parts := parts_of(space)) is not None:
        return {key: beginning(part) for key, part in parts.items()}
    return np.asarray(getattr(space, "start", 0), np.int32)


@cached
def _default_params(env: Any) -> PyTree:
    with single_width(), jax.ensure_compile_time_eval():
        return concrete(env.default_params)


def shifted(x: jax.Array, by: Any) -> jax.Array:
    """``x + by``, and ``x`` itself where that is nothing."""
    return x + by if np.any(by) else x


@cached
def _facts(env: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """The dtypes of observations and actions, known without running anything; the first of their choices where they are discrete.

    An observation stays an integer only where both the space and the array say so: ``FourRooms`` declares floats and
    returns integers, ``Catch`` declares integers and returns floats, and both are served as ``float32``.
    """
    params = _default_params(env)
    with single_width(), jax.ensure_compile_time_eval():
        spaces = env.observation_space(params), env.action_space(params)
        obs_shape = jax.eval_shape(lambda: env.reset_env(jax.random.key(0), params))[0]

    def declared(space: Any) -> Any:
        return jnp.int32 if hasattr(space, "n") or hasattr(space, "nvec") else np.dtype(space.dtype)

    def integer(dtype: Any) -> bool:
        return bool(jnp.issubdtype(dtype, jnp.integer))

    def served(space: Any, obs: Any) -> Any:
        if (parts := parts_of(space)) is not None:
            return {key: np.dtype(bool) if key == MASK else served(part, obs[key]) for key, part in parts.items()}
        both_integer = hasattr(obs, "dtype") and integer(obs.dtype) and integer(declared(space))
        return np.dtype(declared(space) if both_integer else np.float32)

    return (served(spaces[0], obs_shape), np.dtype(declared(spaces[1]))), (beginning(spaces[0]), beginning(spaces[1]))


def observation(name: str, obs: Any, dtype: Any, first: Any) -> Any:
    """A foreign observation with our dtypes, its choices counted from 0.

    Args:
        name: the environment, for the error.
        obs: what it returned.
        dtype: of the observation, of a dictionary one of them; ``None``: integers as they are, a mask yes or no, and all else floats.
        first: :func:`beginning` of its space.

    Raises:
        ProtocolError: it is not what the space says.
    """
    if isinstance(first, dict):
        if not isinstance(obs, Mapping):
            raise ProtocolError(f"{name}: the observation is a {type(obs).__name__}, and its space a dictionary; return a dict")
        dtypes = {MASK: np.dtype(bool)} if dtype is None else dtype
        return {key: observation(name, obs[key], dtypes.get(key), part) for key, part in first.items()}
    if not hasattr(obs, "dtype"):
        raise ProtocolError(f"{name}: the observation must be one array, as its space says, but is a {type(obs).__name__}")
    if dtype is None:
        dtype = strong(obs).dtype if jnp.issubdtype(obs.dtype, jnp.integer) else jnp.float32
    return shifted(jnp.asarray(obs, dtype), -first)


@dataclass(frozen=True)
class GymnaxEnv:
    """A gymnax-1.0 environment object as an :class:`rl_jax.types.Environment`.

    It calls ``reset_env`` and ``step_env``, never gymnax's resetting ``step``, so the observation after a step is
    always the true one. Every leaf of the state has the same strong dtype after ``step`` as after ``reset``.

    Attributes:
        env: the gymnax environment. Two adapters are equal when they hold the same object.
        name: what it is called in messages; gymnax's own name by default.
        time_limit: a limit for the loop on top of gymnax's own, which is ``params.max_steps_in_episode``.
        binary: observations are yes or no in every element and are given as ``bool``, a quarter of the memory.
    """

    env: Any
    name: str = ""
    time_limit: int | None = None
    binary: bool = False

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", str(self.env.name))

    @property
    def default_params(self) -> PyTree:
        """gymnax's own parameters, 32 bits wide. Stack several along a new first axis for a batch of tasks."""
        return _default_params(self.env)

    @property
    def own_limit(self) -> int | None:
        """Steps after which gymnax ends an episode itself."""
        return own_limit(self.default_params)

    def reset(self, key: Key, params: PyTree) -> tuple[PyTree, PyTree]:
        """Begin an episode: the state and the first observation."""
        with single_width():
            obs, state = self.env.reset_env(key, narrow(params))
            return strong(state), self._obs(obs)

    def step(self, key: Key, state: PyTree, action: jax.Array, params: PyTree) -> Step:
        """One step, without any reset. ``reward`` is ``float32``; the flags are exclusive booleans."""
        with single_width():
            params = narrow(params)
            dtypes, beginnings = _facts(self.env)
            action = shifted(jnp.asarray(action, dtypes[1]), beginnings[1])
            obs, new, reward, ended, info = self.env.step_env(key, state, action, params)
            terminated = scalar(ended, bool)
            truncated = scalar(self.env.is_truncated(new, params), bool) & ~terminated
            report = {name: value for name, value in strong(dict(info)).items() if name != "discount"}
            return Step(
                state=like(self.name, new, state),
                obs=self._obs(obs),
                reward=scalar(reward, jnp.float32),
                terminated=terminated,
                truncated=truncated,
                info=report,
            )

    def observation_space(self, params: PyTree) -> ObsSpace:
        """The space for the parameters of one task (concrete numbers, not a batch)."""
        with single_width(), jax.ensure_compile_time_eval():
            return convert_space(self.name, self.env.observation_space(concrete(params)), self._obs_dtype())

    def action_space(self, params: PyTree) -> Space:
        """The space for the parameters of one task (concrete numbers, not a batch)."""
        with single_width(), jax.ensure_compile_time_eval():
            return convert_action_space(self.name, self.env.action_space(concrete(params)), _facts(self.env)[0][1])

    def _obs(self, obs: Any) -> PyTree:
        return observation(self.name, obs, self._obs_dtype(), _facts(self.env)[1][0])

    def _obs_dtype(self) -> Any:
        return np.dtype(bool) if self.binary else _facts(self.env)[0][0]
