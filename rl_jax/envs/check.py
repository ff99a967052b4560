"""Does an environment keep the protocol? Shapes and dtypes by abstract evaluation, numbers by random play."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.argument_checks import check_argument
from rl_jax.envs.adapt import MEMBERS
from rl_jax.envs.random_play import played
from rl_jax.errors import ProtocolError, RLJaxError
from rl_jax.spaces import Dict, ObsSpace, Space, check_mask
from rl_jax.types import PyTree, Step
from rl_jax.values import Count, CountOrZero


def check_env(env: Any, params: PyTree = None, steps: int = 0) -> None:
    """Check that ``reset`` and ``step`` of ``env`` can be traced and keep to :class:`rl_jax.types.Environment`.

    Args:
        env: the environment to check (adapt it first if it is foreign).
        params: parameters of one task; the environment's defaults if ``None``.
        steps: so many random steps are played too, and their observations and rewards compared with what the spaces promise.
            With 0 nothing is compiled or run.

    Raises:
        RLJaxError: ``steps`` is no number of steps.
        ProtocolError: one line per violation; each names the environment, the field, what came, what was expected, and
            what to do about it.
    """
    check_argument("steps", steps, CountOrZero)
    if isinstance(env, type):
        raise ProtocolError(f"{env.__name__} is a class; pass an object of it: {env.__name__}()")
    name = str(getattr(env, "name", type(env).__name__))
    missing = [member for member in MEMBERS if not hasattr(env, member)]
    if missing:
        raise ProtocolError(
            f"{name}: an environment needs {', '.join(missing)}, which this {type(env).__name__} lacks; "
            f"add them, or pass it through rl_jax.envs.adapt if it comes from another library"
        )
    if params is None:
        params = env.default_params
    problems = _about(name, env) or _spaces(name, env, params) or _reset(name, env, params) or _step(name, env, params)
    if not problems and steps:
        problems = played(name, env, params, steps)
    if problems:
        raise ProtocolError("\n".join(problems))


def _about(name: str, env: Any) -> list[str]:
    problems = []
    if not isinstance(env.name, str) or not env.name:
        problems.append(f"{type(env).__name__}: name is {env.name!r}, expected a text; give what messages should call it")
    if env.time_limit is not None:
        try:
            check_argument(f"{name}: time_limit", env.time_limit, Count, "None is no limit")
        except RLJaxError as error:
            problems.append(str(error))
    return problems


def _spaces(name: str, env: Any, params: PyTree) -> list[str]:
    problems, spaces = [], []
    for field, kinds in (("observation_space", ObsSpace), ("action_space", Space)):
        try:
            space = getattr(env, field)(params)
        except RLJaxError:
            raise
        except Exception as error:  # any error of the environment's code
            first = (str(error).strip() or "no message").splitlines()[0]
            problems.append(f"{name}: {field}(params) raised {type(error).__name__}: {first}; correct it, or the params")
            continue
        spaces.append(space)
        if not isinstance(space, kinds):
            served = "Discrete, MultiDiscrete, Box or Dict" if kinds is ObsSpace else "Discrete, MultiDiscrete or Box"
            problems.append(f"{name}: {field} is {space!r}, expected a {served}; build one from rl_jax.envs")
    if problems:
        return problems
    try:
        check_mask(*spaces)
    except RLJaxError as error:
        problems.append(f"{name}: {error}")
    return problems


def _trace(name: str, field: str, function: Any, *args: Any) -> tuple[Any, list[str]]:
    """The abstract result of a call, or the reason why it cannot be traced."""
    try:
        return jax.eval_shape(function, *args), []
    except RLJaxError:
        raise
    except Exception as error:  # any error of the environment's code
        first = (str(error).strip() or "no message").splitlines()[0]
        advice = "write it with jax.numpy, and with jnp.where in place of 'if'"
        return None, [f"{name}: {field} cannot be traced, it raised {type(error).__name__}: {first}; {advice}"]


def _reset(name: str, env: Any, params: PyTree) -> list[str]:
    result, problems = _trace(name, "reset", lambda: _leafless(env.reset(jax.random.key(0), params), 2))
    if problems:
        return problems
    if result is None:
        return [f"{name}: reset must return the pair (state, obs); return exactly these two"]
    state, obs = result
    space = env.observation_space(params)
    problems = _observation(f"{name}: obs", "after reset", obs, space)
    if problems and not _observation("", "", state, space):
        return [f"{name}: reset returned (obs, state), expected (state, obs); swap them"]
    return problems


def _leafless(result: Any, length: int) -> Any:
    """``result`` if it is a plain tuple of that length, else ``None`` (which can be returned from a trace)."""
    return result if isinstance(result, tuple) and len(result) == length else None


def _step(name: str, env: Any, params: PyTree) -> list[str]:
    kinds: list[type] = []  # seen inside the trace, where they are still what was returned

    def run(action: jax.Array) -> Any:
        key_reset, key_step = jax.random.split(jax.random.key(0))
        state, _ = env.reset(key_reset, params)
        result = env.step(key_step, state, action, params)
        kinds.append(type(result))
        if not isinstance(result, Step):
            return None
        kinds.append(type(result.info))
        return state, result

    result, problems = _trace(name, "step", run, _action(env.action_space(params)))
    if problems:
        return problems
    if result is None:
        return [
            f"{name}: step returned a {kinds[-1].__name__}, expected a rl_jax.types.Step "
            f"({', '.join(Step._fields)}); return that, or pass the environment through rl_jax.envs.adapt"
        ]
    state, step = result
    space = env.observation_space(params)
    problems = _observation(f"{name}: obs", "after step", step.obs, space)
    problems += _array(f"{name}: reward", step.reward, (), jnp.float32)
    for flag in ("terminated", "truncated"):
        problems += _array(f"{name}: {flag}", getattr(step, flag), (), jnp.bool_)
    if not issubclass(kinds[-1], dict):
        problems.append(f"{name}: info is a {kinds[-1].__name__}, expected a dict; return {{}} if there is none")
    return problems + _same_types(name, state, step.state)


def _action(space: Space) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(space.shape, space.dtype)


def _observation(what: str, when: str, value: Any, space: ObsSpace) -> list[str]:
    """Problems with an observation, part by part."""
    if not isinstance(space, Dict):
        return _array(f"{what} {when}", value, space.shape, space.dtype)
    if not isinstance(value, dict):
        return [f"{what} {when} is a {type(value).__name__}, expected a dict with {', '.join(space)}; return {{name: array}}"]
    if set(value) != set(space):
        return [
            f"{what} {when} has the parts {', '.join(map(str, value))}, expected {', '.join(space)}; give both the same names"
        ]
    return [line for name, part in space.items() for line in _observation(f"{what}['{name}']", when, value[name], part)]


def _array(what: str, value: Any, shape: tuple[int, ...], dtype: Any) -> list[str]:
    """Problems with a leaf that must be an array of this shape and dtype."""
    expected = f"{np.dtype(dtype).name}{list(shape)}"
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        return [f"{what} is a {type(value).__name__}, expected the one array {expected}; concatenate its parts"]
    if tuple(value.shape) == tuple(shape) and value.dtype == np.dtype(dtype):
        return []
    mend = "cast it with jnp.asarray(..., dtype)" if tuple(value.shape) == tuple(shape) else "reshape it"
    if "obs" in what:
        mend += " or correct the observation_space"
    return [f"{what} is {value.dtype}{list(value.shape)}, expected {expected}; {mend}"]


def _same_types(name: str, reset_state: PyTree, step_state: PyTree) -> list[str]:
    """Problems with a state that changes its type from ``reset`` to ``step``."""
    old_tree: Any = jax.tree.structure(reset_state)
    new_tree: Any = jax.tree.structure(step_state)
    if old_tree != new_tree:
        return [
            f"{name}: state after step has the structure {new_tree}, expected that of reset, {old_tree}; "
            f"return the same pytree from both"
        ]
    problems = []
    named = jax.tree_util.tree_leaves_with_path(reset_state)
    for (path, old), new in zip(named, jax.tree.leaves(step_state), strict=True):
        if old.shape != new.shape or old.dtype != new.dtype:
            problems.append(
                f"{name}: state{jax.tree_util.keystr(path)} is {new.dtype}{list(new.shape)} after step, expected "
                f"{old.dtype}{list(old.shape)} as after reset; give the leaf one shape and dtype in both"
            )
    return problems
