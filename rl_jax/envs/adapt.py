"""Bring a foreign environment under the protocol: :func:`adapt` recognises what it is given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.envs.dtypes import cached, concrete, like, narrow, scalar, single_width, strong
from rl_jax.envs.limits import check_time_limit, own_limit
from rl_jax.envs.stateful import check_pure
from rl_jax.envs.suites import extras
from rl_jax.envs.suites.brax import BraxEnv
from rl_jax.envs.suites.gymnax import GymnaxEnv, beginning, convert_action_space, convert_space, observation, shifted
from rl_jax.errors import ProtocolError
from rl_jax.masks import MASK
from rl_jax.spaces import Box, Dict, ObsSpace, Space
from rl_jax.types import Environment, Key, PyTree, Step

MEMBERS = ("name", "default_params", "time_limit", "reset", "step", "observation_space", "action_space")
"""What an :class:`rl_jax.types.Environment` has."""


def _has(env: Any, *members: str) -> bool:
    return all(hasattr(env, member) for member in members)


def adapt(
    env: Any,
    params: PyTree = None,
    *,
    name: str | None = None,
    time_limit: int | None = None,
    truncated: Callable[[PyTree, PyTree], Any] | None = None,
) -> Environment:
    """An :class:`rl_jax.types.Environment` for ``env``, which may be

    - one already: returned as it is;
    - a gymnax-1.0 environment (``reset_env``, ``step_env``, ``is_truncated``): see :class:`GymnaxEnv`;
    - an environment with gymnax's functions ``reset(key, params) -> (obs, state)`` and ``step(key, state, action,
      params)`` returning five or six things: see :class:`TupleEnv`;
    - a brax environment: see :class:`BraxEnv`;
    - one of Craftax, Jumanji, Navix, MuJoCo Playground or XLand-MiniGrid: see :mod:`rl_jax.envs.suites.extras`.

    Args:
        env: the environment.
        params: default parameters to use in place of the environment's own.
        name: what to call it in messages.
        time_limit: steps after which the loop truncates; by default the adapter's own.
        truncated: for environments with one ``done``: see :class:`TupleEnv`.

    Raises:
        RLJaxError: ``time_limit`` is no number of steps.
        ProtocolError: ``env`` is none of these; the message names what is missing.
    """
    check_time_limit(time_limit)
    if isinstance(env, type):
        raise ProtocolError(f"{env.__name__} is a class; pass an object of it: {env.__name__}()")
    if isinstance(env, Environment):
        made = env
    elif (foreign := extras.wrap(env, params, name, time_limit)) is not None:
        made = foreign
    elif _has(env, "reset_env", "step_env", "is_truncated", "default_params", "observation_space", "action_space"):
        made = GymnaxEnv(env, name or "", time_limit)
    elif _has(env, "reset", "step", "observation_size", "action_size"):
        made = BraxEnv(env, name or "", 1000 if time_limit is None else time_limit)
    elif _has(env, "reset", "step", "observation_space", "action_space"):
        check_pure(env, name or type(env).__name__)
        made = TupleEnv(env, name or "", time_limit, truncated)
    else:
        missing = [member for member in MEMBERS if not hasattr(env, member)]
        raise ProtocolError(
            f"{name or type(env).__name__} is no environment: it lacks {', '.join(missing)}; add them "
            f"(see rl_jax.types.Environment), or pass a gymnax or brax environment"
        )
    if truncated is not None and not isinstance(made, TupleEnv):
        raise ProtocolError(f"{made.name}: its steps say by themselves what was truncated; leave 'truncated' out")
    limit = made.time_limit if time_limit is None else time_limit
    if params is None and limit == made.time_limit and name in (None, made.name):
        return made
    return Override(made, made.default_params if params is None else params, limit, name or made.name)


@dataclass(frozen=True, eq=False)
class Override:
    """``inner`` with other defaults. Equal only to itself, since parameters may be arrays."""

    inner: Environment
    default_params: PyTree
    time_limit: int | None
    name: str

    @property
    def own_limit(self) -> int | None:
        """The inner one's, with these parameters."""
        return own_limit(self.default_params, self.inner)

    def reset(self, key: Key, params: PyTree) -> tuple[PyTree, PyTree]:
        return self.inner.reset(key, params)

    def step(self, key: Key, state: PyTree, action: jax.Array, params: PyTree) -> Step:
        return self.inner.step(key, state, action, params)

    def observation_space(self, params: PyTree) -> ObsSpace:
        return self.inner.observation_space(params)

    def action_space(self, params: PyTree) -> Space:
        return self.inner.action_space(params)


@cached
def _params_of(env: Any) -> PyTree:
    with single_width(), jax.ensure_compile_time_eval():
        return concrete(getattr(env, "default_params", ()))


@cached
def _beginnings(env: Any) -> tuple[Any, Any]:
    """The first choices of observations and of actions."""
    params = _params_of(env)
    with single_width(), jax.ensure_compile_time_eval():
        return beginning(env.observation_space(params)), beginning(env.action_space(params))


@dataclass(frozen=True)
class TupleEnv:
    """An environment whose ``step`` returns gymnax's tuple, of one of these kinds.

    - Six: ``(obs, state, reward, terminated, truncated, info)``, with the true next observation in
      ``info["final_observation"]`` (gymnax 1.0's resetting ``step``). Nothing is lost: the state after its own reset is
      replaced by the loop's.
    - Five, from ``step_env``: ``(obs, state, reward, done, info)`` without a reset (gymnax 0.0.9).
    - Five, from ``step``: the same, perhaps after a reset of its own. If it did reset, the last observation of the
      episode is lost; that is harmless for values, since ``done`` counts as termination, but a transform that looks at
      ``next_obs`` sees the first observation of the next episode. Offer ``step_env``, or six things, where that
      matters.

    One ``done`` does not say why the episode ended. It counts as *terminated*, which is wrong for a time limit;
    ``truncated`` can tell: it is given the new state and the params and says whether this ``done`` was only a limit,
    for example ``lambda state, params: state.time >= params.max_steps_in_episode``. It needs ``step_env``, since a
    state after a reset has forgotten its time.

    Attributes:
        env: the environment.
        name: what it is called in messages; its own name or its class by default.
        time_limit: steps after which the loop truncates.
        truncated: see above.
    """

    env: Any
    name: str = ""
    time_limit: int | None = None
    truncated: Callable[[PyTree, PyTree], Any] | None = None

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", str(getattr(self.env, "name", type(self.env).__name__)))
        if self.truncated is not None and not self._pure:
            raise ProtocolError(
                f"{self.name}: 'truncated' reads the state at the end of an episode, but the environment has only a "
                f"'step' that may have reset it; give it reset_env and step_env"
            )

    @property
    def _pure(self) -> bool:
        """Whether there are functions that certainly do not reset."""
        return _has(self.env, "reset_env", "step_env")

    @property
    def default_params(self) -> PyTree:
        return _params_of(self.env)

    def observation_space(self, params: PyTree) -> ObsSpace:
        """The space for the parameters of one task (concrete numbers, not a batch)."""
        _beginnings(self.env)  # asked for here, before anything is traced, and remembered
        with single_width(), jax.ensure_compile_time_eval():
            return self._narrowed(convert_space(self.name, self.env.observation_space(concrete(params))))

    def action_space(self, params: PyTree) -> Space:
        """The space for the parameters of one task (concrete numbers, not a batch)."""
        with single_width(), jax.ensure_compile_time_eval():
            return self._narrowed(convert_action_space(self.name, self.env.action_space(concrete(params))))

    def reset(self, key: Key, params: PyTree) -> tuple[PyTree, PyTree]:
        """Begin an episode: the state and the first observation."""
        reset_fn = self.env.reset_env if self._pure else self.env.reset
        with single_width():
            pair = reset_fn(key, narrow(params))
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise ProtocolError(f"{self.name}: reset must return (obs, state), but returned {_shown(pair)}")
            return strong(pair[1]), self._obs(pair[0])

    def step(self, key: Key, state: PyTree, action: jax.Array, params: PyTree) -> Step:
        """One step; ``obs`` is the true next observation wherever the environment lets it be known."""
        step_fn = self.env.step_env if self._pure else self.env.step
        with single_width():
            params = narrow(params)
            result = step_fn(key, state, shifted(action, _beginnings(self.env)[1]), params)
            if not isinstance(result, tuple) or len(result) not in (5, 6):
                raise ProtocolError(
                    f"{self.name}: step must return (obs, state, reward, done, info) or "
                    f"(obs, state, reward, terminated, truncated, info), but returned {_shown(result)}"
                )
            obs, new, reward, ended, *cut, info = result
            info = dict(info)
            terminated = scalar(ended, bool)
            if cut:
                if "final_observation" not in info and not self._pure:
                    raise ProtocolError(
                        f"{self.name}: step returned six things but no info['final_observation'], so the true last "
                        f"observation of an episode is unknown; put it there, or offer reset_env and step_env, "
                        f"which do not reset"
                    )
                truncated = scalar(cut[0], bool) & ~terminated
            elif self.truncated is not None:
                truncated = scalar(self.truncated(new, params), bool) & terminated
                terminated = terminated & ~truncated
            else:
                truncated = jnp.zeros((), bool)
            obs = info.pop("final_observation", obs)
            for repeated in ("terminated", "truncated", "discount"):
                info.pop(repeated, None)
            return Step(
                like(self.name, new, state),
                self._obs(obs),
                scalar(reward, jnp.float32),
                terminated,
                truncated,
                strong(info),
            )

    def _obs(self, obs: Any) -> PyTree:
        return observation(self.name, obs, None, _beginnings(self.env)[0])

    def _narrowed(self, space: Any) -> Any:
        """``space`` with the dtype that observations and actions are given here."""
        if isinstance(space, Dict):
            return Dict({name: part if name == MASK else self._narrowed(part) for name, part in space.items()})
        if not isinstance(space, Box) or np.issubdtype(space.dtype, np.integer):
            return space
        return Box(space.low, space.high, space.shape, np.dtype(np.float32))


def _shown(value: Any) -> str:
    """A result as an error describes it."""
    return f"a tuple of {len(value)}" if isinstance(value, tuple) else f"a {type(value).__name__}"
