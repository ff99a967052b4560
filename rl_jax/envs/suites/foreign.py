"""The base of all extras' adapters: an environment given as two functions and its spaces."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from rl_jax.envs.dtypes import like, narrow, scalar, single_width, strong
from rl_jax.envs.limits import own_limit
from rl_jax.errors import ProtocolError, UnsupportedSpace
from rl_jax.spaces import Box, Dict, ObsSpace, Space, describe
from rl_jax.types import Key, PyTree, Step


@dataclass(frozen=True, eq=False)
class ForeignEnv:
    """An environment of another library as an :class:`rl_jax.types.Environment`. Equal only to itself.

    The functions may return Python numbers, weak types and any width; whatever they return is given the spaces' dtypes and kept to
    one state. Where the library reports both ends at one step, the step is terminated.

    Attributes:
        env: the library's object.
        name: what it is called in messages.
        default_params: parameters of one task.
        observation, action: spaces of one environment.
        reset_fn: ``(key, params) -> (state, obs)``, given a :func:`raw` key.
        step_fn: ``(key, state, action, params) -> Step``, without any reset.
        time_limit: steps after which the loop truncates; ``None``: only the environment's own rules end an episode.
    """

    env: Any
    name: str
    default_params: PyTree
    observation: ObsSpace
    action: Space
    reset_fn: Callable[[Key, PyTree], tuple[PyTree, Any]]
    step_fn: Callable[[Key, PyTree, jax.Array, PyTree], Step]
    time_limit: int | None = None

    @property
    def own_limit(self) -> int | None:
        """Steps after which the library ends an episode itself."""
        return own_limit(self.default_params, self.env)

    def observation_space(self, params: PyTree) -> ObsSpace:
        return self.observation

    def action_space(self, params: PyTree) -> Space:
        return self.action

    def reset(self, key: Key, params: PyTree) -> tuple[PyTree, PyTree]:
        """Begin an episode: the library's state and the first observation."""
        with single_width():
            state, obs = self.reset_fn(raw(key), narrow(params))
            return strong(state), self._obs(obs)

    def step(self, key: Key, state: PyTree, action: jax.Array, params: PyTree) -> Step:
        """One step, without a reset: ``obs`` is the true next observation."""
        with single_width():
            out = self.step_fn(raw(key), state, jnp.asarray(action, self.action.dtype), narrow(params))
            terminated = scalar(out.terminated, bool)
            return Step(
                state=like(self.name, out.state, state),
                obs=self._obs(out.obs),
                reward=scalar(out.reward, jnp.float32),
                terminated=terminated,
                truncated=scalar(out.truncated, bool) & ~terminated,
                info=strong(dict(out.info)),
            )

    def _obs(self, obs: Any) -> PyTree:
        return _served(self.name, obs, self.observation)


def _served(name: str, obs: Any, space: ObsSpace) -> PyTree:
    """An observation with its space's dtypes."""
    if isinstance(space, Dict) and isinstance(obs, dict):
        return {key: _served(name, obs[key], part) for key, part in space.items()}
    if isinstance(space, Dict) or not hasattr(obs, "dtype"):
        raise UnsupportedSpace(f"{name}: the observation is a {type(obs).__name__}, not {describe(space)}; select a part of it")
    return jnp.asarray(obs, space.dtype)


def raw(key: Key) -> jax.Array:
    """A raw ``uint32`` key, as these libraries take it, drawn from a typed key of any generator.

    They keep keys in their states, and some use one twice (Craftax, Playground's ``CartpoleBalance``).
    """
    shape = jax.random.key_data(jax.random.key(0)).shape
    return jax.random.bits(key, shape, jnp.uint32)


def planes(codes: jax.Array, sizes: Sequence[int]) -> jax.Array:
    """One-hot codes: ``[..., C]``, of which channel ``c`` has ``sizes[c]`` categories, to ``bool[..., sum(sizes)]``.

    Codes of categories have no order, and networks take ``uint8`` for an image of 256 shades. A code beyond its size has no 1.
    """
    parts = [codes[..., c, None] == jnp.arange(size, dtype=codes.dtype) for c, size in enumerate(sizes)]
    return jnp.concatenate(parts, axis=-1)


def codes_space(shape: tuple[int, ...], sizes: Sequence[int], one_hot: bool) -> Space:
    """The space of codes ``[..., C]``: that of their :func:`planes`, or the codes themselves as ``int32``."""
    if one_hot:
        return Box.of(0, 1, (*shape[:-1], sum(sizes)), jnp.bool_)
    return Box.of(0, [size - 1 for size in sizes], shape, jnp.int32)


_RESETTING = ("AutoReset", "Vmap", "EpisodeWrapper")


def refuse_wrapped(name: str, env: Any) -> None:
    """Raise :class:`ProtocolError` if a wrapper of ``env`` resets, batches or counts, which the loop does by itself."""
    layer = env
    while layer is not None:
        kind = type(layer).__name__
        if any(word in kind for word in _RESETTING) and not hasattr(layer, "step_env"):
            raise ProtocolError(
                f"{name}: it is wrapped in {kind}, but the loop batches, counts and resets by itself; pass what is inside"
            )
        layer = vars(layer).get("_env", vars(layer).get("env")) if hasattr(layer, "__dict__") else None
