"""Mistakes in how a trainer is put together, each in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax import envs
from rl_jax.argument_checks import check_argument
from rl_jax.envs.limits import check_time_limit
from rl_jax.errors import ProtocolError, RLJaxError, UnsupportedSpace, check_metrics, check_part
from rl_jax.experience.transform import ONE
from rl_jax.loop.metrics import RESERVED, Means
from rl_jax.loop.updates import Constant
from rl_jax.ops.tree_difference import difference, kind_of
from rl_jax.spaces import ObsSpace, Space, check_mask, seen_by_actor
from rl_jax.types import Agent, Curriculum, Environment, ExperienceTransform, Metrics, PyTree, Replay, Rollout, Updates
from rl_jax.values import Count, Range, short

#: What to give for a part of the wrong kind.
_FIX = {
    "experience": (ExperienceTransform, ONE),
    "replay": (Replay, "give one of rl.replay, such as rl.replay.Buffer(capacity=100_000)"),
    "curriculum": (Curriculum, "give one of rl.curricula, such as rl.curricula.TaskSet(env, params)"),
    "updates": (Updates, "give a rule, such as rl.loop.updates.Constant(4)"),
}


def check_parts(env: Any, agent: Any, experience: Any, replay: Any, curriculum: Any, updates: Any) -> None:
    """Refuse what is no environment, no agent, or no part of its kind; parts that are ``None`` have defaults.

    Raises:
        RLJaxError: with what to pass instead.
    """
    if isinstance(env, str):
        raise RLJaxError(f"env is the text '{env}': pass rl.make('{env}')")
    if not isinstance(env, Environment) and hasattr(env, "reset") and not isinstance(env, type):
        envs.adapt(env)  # says why it cannot be, where it cannot
    check_part("env", env, Environment, "pass it through rl.envs.adapt")
    how = "call its .trainer(env), or pass its .agent()" if hasattr(agent, "trainer") else "pass one of rl.agents"
    check_part("agent", agent, Agent, how)
    parts = {"experience": experience, "replay": replay, "curriculum": curriculum, "updates": updates}
    for slot, part in parts.items():
        if part is not None:
            check_part(slot, part, *_FIX[slot])


def check_params(env: Any, params: PyTree, what: str = "params") -> None:
    """Refuse a batch of tasks that is given as one; ``what`` it is given as.

    Raises:
        RLJaxError: it belongs into a ``TaskSet``.
    """
    single_fix = "" if what == "params" else f", or give one, such as jax.tree.map(lambda x: x[0], {what})"
    if params is None:
        return
    single: Any
    batch: Any
    single, batch = jax.tree.structure(env.default_params), jax.tree.structure(params)
    shapes = [[np.shape(leaf) for leaf in jax.tree.leaves(tree)] for tree in (env.default_params, params)]
    if single == batch and any(len(b) == len(a) + 1 for a, b in zip(*shapes, strict=True)):
        raise RLJaxError(
            f"{what} holds several tasks along a new first axis: pass curriculum=rl.curricula.TaskSet(env, {what}){single_fix}"
        )
    tasks = params if single != batch and isinstance(params, list | tuple) else ()
    if tasks and all(jax.tree.structure(task) == single for task in tasks):
        raise RLJaxError(
            f"{what} is a {type(params).__name__} of {len(params)} tasks: stack them, "
            f"tasks = jax.tree.map(lambda *x: jnp.stack(x), *{what}), and pass curriculum=rl.curricula.TaskSet(env, tasks){single_fix}"
        )


def check_sizes(num_envs: Any, rollout_length: Any, limit: Any) -> None:
    """Refuse what is no number of environments or steps.

    Raises:
        RLJaxError: with the range.
    """
    check_argument("num_envs", num_envs, Count)
    check_argument("rollout_length", rollout_length, Count)
    check_time_limit(limit)


def check_given(updates: Any, whole: bool) -> int:
    """The number of environments and of steps, 1, where the replay was given all experience.

    Raises:
        RLJaxError: something depends on what is collected.
    """
    if updates is not None and not isinstance(updates, Constant):
        name = type(updates).__name__
        raise RLJaxError(f"the replay was given all experience, and {name} counts what is collected: use rl.loop.Constant(10)")
    if whole:
        raise RLJaxError("the replay was given all experience, and no episodes are collected: leave out whole=True")
    return 1


def check_steps(number: Any) -> None:
    """Refuse what is no number of environment steps of a run.

    Raises:
        RLJaxError: with the range.
    """
    check_argument("num_steps", number, Annotated[float, Range(0, 1e30)])


def check_episode_info(names: Any) -> tuple[str, ...]:
    """The names of numbers to report.

    Raises:
        RLJaxError: it is no list of names.
    """
    if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
        return tuple(names)
    raise RLJaxError(f"episode_info is {short(names)}: give a list of names of the info's numbers, such as ('success',)")


def check_curriculum(env: Any, params: PyTree, curriculum: Any) -> None:
    """Refuse a task beside a curriculum, and a curriculum of another environment.

    Raises:
        RLJaxError: with what to leave out or to give.
    """
    if curriculum is None:
        return
    if params is not None:
        raise RLJaxError("params is the task of every episode, and the curriculum says which task: leave one of them out")
    other_env = getattr(curriculum, "env", env)
    if other_env is env or (type(other_env) is type(env) and other_env == env) or not isinstance(other_env, Environment):
        return
    starts, other_starts = (jax.eval_shape(e.reset, jax.random.key(0), e.default_params) for e in (env, other_env))
    if jax.tree.map(kind_of, starts) != jax.tree.map(kind_of, other_starts):
        raise RLJaxError(
            f"the curriculum's environment is {other_env.name}, and the run's is {env.name}: give the curriculum the same"
        )


def check_leaves(trainer: Any) -> None:
    """Refuse what can be no hyperparameter: a text, or NaN.

    Raises:
        RLJaxError: with the place.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(trainer):
        if isinstance(leaf, str | bytes) or (isinstance(leaf, float | np.floating) and np.isnan(leaf)):
            raise RLJaxError(f"{jax.tree_util.keystr(path).removeprefix('.')} is {short(leaf)}: give a number")


def check_rollout(collected: Rollout, rollout: Rollout) -> None:
    """Refuse a rollout that the experience chain returns with other shapes or dtypes where nothing else could read them.

    Raises:
        RLJaxError: with the field.
    """
    for name in ("reward", "terminated", "truncated", "first"):
        old, new = (kind_of(getattr(each, name)) for each in (collected, rollout))
        if old != new:
            raise RLJaxError(
                f"the experience chain returned a rollout whose {name} is {new}, expected {old}: keep its shape and dtype"
            )


def check_spaces(obs: Any, action: Any) -> None:
    """Refuse spaces that no part serves.

    Raises:
        UnsupportedSpace: with those that are served.
    """
    fixes = {
        "observation": (ObsSpace, "Discrete, MultiDiscrete, Box and Dict", "give one array, or a dictionary of arrays"),
        "action": (Space, "Discrete, MultiDiscrete and Box", "give actions as one of these"),
    }
    for (what, (kinds, served, fix)), space in zip(fixes.items(), (obs, action), strict=True):
        if not isinstance(space, kinds):
            raise UnsupportedSpace(f"the {what} space is {str(space)[:80]}, and {served} are served: {fix}")
    check_mask(obs, action)
    seen_by_actor(obs)  # refuses what has nothing to read


@contextmanager
def naming_environment(env: Any, params: PyTree) -> Iterator[None]:
    """Where tracing fails, and the environment is at fault, its own check says so.

    Raises:
        ProtocolError: see :func:`rl_jax.envs.check_env`.
        RLJaxError: the environment is right, and ``params`` do not fit it.
    """
    try:
        yield
    except RLJaxError:
        raise
    except Exception as error:  # any error of the environment's code, or of code that uses its results
        try:
            envs.check_env(env)
        except RLJaxError as env_error:
            raise env_error from error
        try:
            envs.check_env(env, params)
        except ProtocolError as env_error:
            like = str(jax.tree.map(jnp.shape, env.default_params))[:120]
            raise RLJaxError(f"{env_error} (params that fit, such as its default_params, have the shapes {like})") from error
        raise


def reported(part: Any, metrics: Metrics) -> Means:
    """The metrics that a part returned.

    Raises:
        RLJaxError: one is no number, or has a name that rows of metrics have already.
    """
    whose = type(part).__name__
    check_metrics(whose, metrics)
    if taken := [name for name in metrics if name in RESERVED]:
        raise RLJaxError(
            f"{whose}: a metric is called '{taken[0]}', as every row of metrics has one already: call it 'mine/{taken[0]}'"
        )
    return Means.of(metrics)


def check_same(state: PyTree, next_state: PyTree) -> None:
    """Refuse a state that a train step changes in type: it could not be carried on.

    Args:
        state, next_state: states, or their shapes.

    Raises:
        RLJaxError: with the first leaf that differs, by its path.
    """
    for path, old, new in difference(state, next_state):
        where = jax.tree_util.keystr(path)
        raise RLJaxError(
            f"state{where} is {old} before a train step and {new} after it: let init and update of that part give "
            f"the same shapes and dtypes"
        )


def distinct(tree: PyTree) -> PyTree:
    """The same values, no array under two names: such a state could not be donated. Costs nothing under ``jit``."""
    ids: set[int] = set()

    def unshared(leaf: Any) -> Any:
        if isinstance(leaf, jax.Array) and not isinstance(leaf, jax.core.Tracer):
            leaf = leaf.copy() if id(leaf) in ids else leaf
            ids.add(id(leaf))
        return leaf

    return jax.tree.map(unshared, tree)
